"""`appsettings.json` of Microsoft's .NET sample (flat) and of Microsoft.Identity.Web (under `AzureAd`).

https://github.com/Azure-Samples/active-directory-dotnetcore-daemon-v2 and, for the keys,
https://github.com/AzureAD/microsoft-identity-abstractions-for-dotnet. The file configures a whole application:
what is not about tokens is passed over, unless it looks like a misspelt key of ours.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from app.config.placeholders import IDENTITY, LEFT, LEFT_ALL, is_left
from app.config.problems import Problems

# The keys that are obeyed, and the option each is for; .NET compares keys without regard to case.
_KEYS = {
    "Instance": "authority",
    "Tenant": "tenant",
    "TenantId": "tenant",
    "ClientId": "client_id",
    "ClientSecret": "client_secret",
    "CertificateName": "certificate_file",
    "Certificate": "certificate_file",
    "ClientCertificates": "certificate_file",
    "ClientCredentials": "assertion_file",
}
_SPELLED = {key.lower(): key for key in _KEYS}
_SECTIONS = {"azuread": "AzureAd", "downstreamapis": "DownstreamApis"}

# Keys that would change which token comes, or who asks for it, and are not obeyed.
_REFUSED = {
    "authority": ("Authority", "write Instance and TenantId instead"),
    "azureregion": ("AzureRegion", "regional endpoints are not supported; remove it"),
    "clientcapabilities": ("ClientCapabilities", "this version declares none; remove it"),
    "clientcredentialsusingmanagedidentity": (
        "ClientCredentialsUsingManagedIdentity",
        "write ClientCredentials with SourceType SignedAssertionFromManagedIdentity instead",
    ),
    "extraqueryparameters": ("ExtraQueryParameters", "nothing can be added to the request; remove it"),
}

# The SourceTypes that are obeyed: the key that must be there first, and the options they stand for.
_SOURCES = {
    "clientsecret": {"ClientSecret": "client_secret"},
    "path": {"CertificateDiskPath": "certificate_file", "CertificatePassword": "certificate_password"},
    "signedassertionfilepath": {"SignedAssertionFileDiskPath": "assertion_file"},
    "signedassertionfrommanagedidentity": {"ManagedIdentityClientId": "managed_identity"},
}
_UNSUPPORTED = (
    "this SourceType is not supported; use ClientSecret, SignedAssertionFilePath or"
    " SignedAssertionFromManagedIdentity, or export the certificate with its key to a file and use Path with"
    " CertificateDiskPath"
)


@dataclass
class _Credential:
    """A credential as found: what it is called in the file, the options it makes and their keys there."""

    name: str
    options: dict[str, str] = field(default_factory=dict, repr=False)
    keys: dict[str, str] = field(default_factory=dict)
    problem: str = ""
    filled: bool = True


def is_key(key: str) -> bool:
    return key.lower() in _SPELLED.keys() | _SECTIONS.keys()


def read(root: dict[str, Any], directory: Path, problems: Problems) -> dict[str, Any]:
    """Return what appsettings.json says; certificates are looked for in `directory`, the file's own."""
    top = _folded(root)
    nested = isinstance(top.get("azuread"), dict)
    prefix = "AzureAd:" if nested else ""
    section = _folded(top["azuread"]) if nested else top
    if nested:
        for key in top:
            if key in _SPELLED:
                problems.add("stands outside AzureAd, which has the identity; keep one of them", _SPELLED[key])
    _check_keys(root, _SECTIONS if nested else _SECTIONS | _SPELLED, "", problems)
    if nested:
        _check_keys(top["azuread"], _SPELLED, prefix, problems)
    for key, (name, fix) in _REFUSED.items():
        if key in section:
            problems.add(fix, prefix + name)
    problems.rename((f"{IDENTITY}.{option}", prefix + key) for key, option in reversed(_KEYS.items()))
    identity = _registration(section, prefix, problems) | _credential(section, prefix, directory, problems)
    return {"identities": {"default": identity}, "tokens": _tokens(top.get("downstreamapis"), problems)}


def _folded(table: dict[str, Any]) -> dict[str, Any]:
    return {key.lower(): value for key, value in table.items() if value is not None}


def _check_keys(table: dict[str, Any], known: dict[str, str], prefix: str, problems: Problems) -> None:
    """Add the keys that are nearly one of ours; all others belong to somebody else."""
    present = {key.lower() for key in table}
    for key in table:
        nearest = get_close_matches(key.lower(), known.keys() - present, 1, cutoff=0.85)
        if nearest and key.lower() not in known.keys() | _REFUSED.keys():
            spelled = known[nearest[0]]
            option = f"{IDENTITY}.{_KEYS[spelled]}" if spelled in _KEYS else "tokens"
            problems.misspelt(f"{prefix}{key}", spelled, option)


def _registration(section: dict[str, Any], prefix: str, problems: Problems) -> dict[str, Any]:
    """Return authority, tenant and client id."""
    identity: dict[str, Any] = {}
    if section.get("tenant") and section.get("tenantid"):
        problems.add("say the same; keep one", f"{prefix}Tenant", f"{prefix}TenantId")
    for key, option in (
        ("instance", "authority"),
        ("tenantid", "tenant"),
        ("tenant", "tenant"),
        ("clientid", "client_id"),
    ):
        value = section.get(key)
        if value is None:
            continue
        problems.rename([(f"{IDENTITY}.{option}", prefix + _SPELLED[key])])
        if is_left(value):
            problems.add(LEFT, f"{IDENTITY}.{option}")
        else:
            identity[option] = value
    if isinstance(identity.get("authority"), str):
        identity["authority"] = identity["authority"].removesuffix("{0}")
    return identity


def _credential(section: dict[str, Any], prefix: str, directory: Path, problems: Problems) -> dict[str, Any]:
    """Return the options of the one credential that is filled in."""
    found = list(_credentials(section, prefix))
    used = [credential for credential in found if credential.filled]
    for credential in used:
        if credential.problem:
            problems.add(credential.problem, credential.name)
    if len(used) > 1:
        problems.add("exclude each other; keep one credential", *(credential.name for credential in used))
    elif found and not used:
        problems.add(LEFT if len(found) == 1 else LEFT_ALL, *(credential.name for credential in found))
    elif used and not used[0].problem:
        problems.rename((f"{IDENTITY}.{option}", key) for option, key in used[0].keys.items())
        name = used[0].options.pop("certificate_name", None)
        return used[0].options if name is None else _certificate(str(name), directory, problems)
    if found:
        problems.settle(f"{IDENTITY}.client_secret")  # so that the credential is not also called missing
    return {}


def _credentials(section: dict[str, Any], prefix: str) -> Iterator[_Credential]:
    for key, option in (("clientsecret", "client_secret"), ("certificatename", "certificate_name")):
        if key in section:
            name, value = prefix + _SPELLED[key], section[key]
            yield _Credential(name, {option: value}, {option: name}, filled=not is_left(value))
    if "certificate" in section:
        yield _described(section["certificate"], f"{prefix}Certificate")
    for key in ("clientcertificates", "clientcredentials"):
        entries = section.get(key, [])
        for index, entry in enumerate(entries if isinstance(entries, list) else [entries]):
            credential = _described(entry, f"{prefix}{_SPELLED[key]}:{index}")
            if not (isinstance(entry, dict) and str(_folded(entry).get("skip")).lower() == "true"):
                yield credential


def _described(entry: Any, name: str) -> _Credential:
    """Read what Microsoft.Identity.Abstractions calls a CredentialDescription."""
    if not isinstance(entry, dict):
        return _Credential(name, problem="must be an object with a SourceType")
    folded = _folded(entry)
    if any(is_left(value) for value in folded.values() if value != ""):
        return _Credential(name, filled=False)
    source = str(folded.get("sourcetype", "")).lower()
    if source not in _SOURCES:
        return _Credential(name, problem=_UNSUPPORTED)
    keys = {option: key for key, option in _SOURCES[source].items()}
    options = {option: folded[key.lower()] for option, key in keys.items() if folded.get(key.lower(), "") != ""}
    main = next(iter(keys))
    if main == "managed_identity":
        options.setdefault(main, "system")
    return _Credential(
        name, options, {option: f"{name}:{key}" for option, key in keys.items()}, filled=main in options
    )


def _certificate(name: str, directory: Path, problems: Problems) -> dict[str, Any]:
    """Return the file that stands for a certificate of the Windows store."""
    subject = name.removeprefix("CN=")
    for suffix in (".pfx", ".pem"):
        if _is_beside(directory, f"{subject}{suffix}"):
            return {"certificate_file": f"{subject}{suffix}"}
    problems.add(
        "there is no certificate store here, and beside the file there is neither NAME.pfx nor NAME.pem of this"
        " name; export it on Windows with Export-PfxCertificate -Cert Cert:\\CurrentUser\\My\\THUMBPRINT"
        " -FilePath NAME.pfx -Password (Read-Host -AsSecureString), and take the password off with"
        " openssl pkcs12 -in NAME.pfx -out NAME.pem -nodes",
        f"{IDENTITY}.certificate_file",
    )
    return {}


def _is_beside(directory: Path, name: str) -> bool:
    try:
        return "/" not in name and (directory / name).is_file()
    except OSError:  # too long to be a file's name
        return False


def _tokens(apis: Any, problems: Problems) -> dict[str, Any]:
    """Return a token for each entry of DownstreamApis."""
    if apis is None:
        return {}
    problems.rename([("tokens", "DownstreamApis")])
    if not isinstance(apis, dict):
        problems.add("must be an object of named entries", "tokens")
        return {}
    tokens: dict[str, Any] = {}
    for name, entry in apis.items():
        where = f"DownstreamApis:{name}"
        options = [("scope", "Scopes"), ("tenant", "AcquireTokenOptions:Tenant")]
        problems.rename((f"tokens.{name}.{option}", f"{where}:{key}") for option, key in options)
        problems.rename([(f"tokens.{name}", where)])
        token = _token(_folded(entry) if isinstance(entry, dict) else {}, where, problems)
        problems.settle("tokens")
        if token:
            tokens[name] = token
    return tokens


def _token(entry: dict[str, Any], where: str, problems: Problems) -> dict[str, Any] | None:
    scopes = entry.get("scopes")
    scopes = scopes.split() if isinstance(scopes, str) and not is_left(scopes) else scopes
    acquire = entry.get("acquiretokenoptions", {})
    tenant = _folded(acquire) if isinstance(acquire, dict) else {"?": acquire}
    if not scopes or is_left(scopes):
        problems.add(LEFT, f"{where}:Scopes")
    elif not isinstance(scopes, list) or not _is_for_app(entry, scopes):
        problems.add(
            "asks for a user's token, and a daemon has no user; remove it, or set RequestAppToken to true and"
            " Scopes to the resource followed by /.default",
            where,
        )
    elif len(scopes) > 1:
        problems.add("must hold exactly one scope; write an entry for each", f"{where}:Scopes")
    elif str(entry.get("protocolscheme", "Bearer")).lower() != "bearer":
        problems.add("only Bearer is supported", f"{where}:ProtocolScheme")
    elif tenant.keys() - {"tenant"}:
        problems.add("only Tenant is supported in it", f"{where}:AcquireTokenOptions")
    else:
        return {"scope": scopes[0]} | tenant
    return None


def _is_for_app(entry: dict[str, Any], scopes: list[Any]) -> bool:
    """Return whether .NET would ask as the application, which a scope of /.default alone leaves open."""
    asked = str(entry.get("requestapptoken", True)).lower() == "true"
    return asked and all(str(scope).endswith("/.default") for scope in scopes)
