"""A local look-alike of Microsoft Entra ID, for demonstrations and tests.

It checks credentials as Entra does and answers with Entra's bodies, but knows only the tenants and
applications it is given, and says in every token's issuer that it is an emulator. Nothing in it is meant
to protect anything: the production image does not contain it.
"""
