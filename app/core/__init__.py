"""What a token is, when it is renewed, and who is asked for it: no HTTP, no MSAL, no settings."""
