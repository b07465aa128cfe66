"""`parameters.json` of Microsoft's Python sample, in both its secret and its certificate form.

https://github.com/Azure-Samples/ms-identity-python-daemon. The sample passes `authority` to MSAL as it is, with
the tenant in it; `private_key_file` and `thumbprint` are one credential, `secret` is the other.
"""

from typing import Any

from app.config.placeholders import IDENTITY, LEFT, is_left
from app.config.problems import Problems

_AUTHORITY, _TENANT = f"{IDENTITY}.authority", f"{IDENTITY}.tenant"
_SCOPES = "scopes"
KEYS = {
    "authority": _AUTHORITY,
    "client_id": f"{IDENTITY}.client_id",
    "scope": _SCOPES,
    "secret": f"{IDENTITY}.client_secret",
    "thumbprint": f"{IDENTITY}.thumbprint",
    "private_key_file": f"{IDENTITY}.private_key_file",
    "endpoint": "",  # what the sample calls with its token; nothing to do with getting one
}


def read(root: dict[str, Any], problems: Problems) -> dict[str, Any]:
    """Return what the Python sample's parameters.json says."""
    problems.rename((option, key) for key, option in KEYS.items())
    problems.rename([(_TENANT, "authority"), (f"{IDENTITY}.certificate_file", "thumbprint")])
    for key in root:
        if key not in KEYS:
            problems.unknown(key, KEYS)
    given = _used({key: root[key] for key in KEYS if key in root and KEYS[key]})
    for key in given:
        if is_left(given[key]):
            problems.add(LEFT, KEYS[key])
    if _AUTHORITY in problems.settled:
        problems.settle(_TENANT)
    filled = {KEYS[key]: value for key, value in given.items() if not is_left(value)}
    scopes = {_SCOPES: filled.pop(_SCOPES)} if _SCOPES in filled else {}
    identity = {option.removeprefix(f"{IDENTITY}."): value for option, value in filled.items()}
    return {"identities": {"default": identity}} | scopes


def _used(given: dict[str, Any]) -> dict[str, Any]:
    """Leave out the credential that stayed as it was in the sample, where the other one is filled in."""
    secret, thumbprint = (key in given and not is_left(given[key]) for key in ("secret", "thumbprint"))
    unused: set[str] = set()
    if secret and "thumbprint" in given and not thumbprint:
        unused = {"thumbprint", "private_key_file"}
    elif thumbprint and not secret:
        unused = {"secret"}
    return {key: value for key, value in given.items() if key not in unused}
