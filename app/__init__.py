"""Token broker: cached app-only access tokens from Microsoft Entra ID, over local HTTP."""
