"""A local look-alike of Microsoft Entra ID, for demonstrations and tests."""
