"""The upstream edge: credentials, the HTTP client MSAL is given, and MSAL itself."""
