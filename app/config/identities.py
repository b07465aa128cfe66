"""What an identity is configured by, and which of its options go together.

The rules look at the options as they were given, before pydantic has converted any: so a value that is no
good does not hide that two options exclude each other, and one start tells of both.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
)

from app.config.grammar import (
    CLOUDS,
    GivenPath,
    Lowercase,
    Secret,
    Tenant,
    Tenants,
    Thumbprint,
    Word,
    https_url,
    split_words,
)
from app.config.problems import Problems

_SECRET = ("client_secret", "client_secret_file")
_CERTIFICATE = ("certificate_file", "private_key_file", "thumbprint")
_PASSWORD = ("certificate_password", "certificate_password_file")
_CREDENTIALS = (_SECRET, _CERTIFICATE, ("assertion_file",), ("managed_identity",))


def _json_claims(claims: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(claims, allow_nan=False)
    except (TypeError, ValueError):
        raise ValueError("has a value that JSON cannot hold, such as a date") from None
    return claims


class IdentitySettings(BaseModel):
    """An app registration and its one credential."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # Whose rules hold: Microsoft Entra ID's, or those of any OpenID Connect issuer.
    authority_type: Annotated[Literal["entra", "oidc"], Lowercase] = "entra"
    # Where tokens come from: https://HOST[:PORT] for Entra (a cloud's name is turned into it), else the issuer.
    authority: str = CLOUDS["azurecloud"]
    # The id or domain of the tenant asked by default; Entra only.
    tenant: Tenant | None = None
    # Other tenants a request may name.
    tenants: Tenants = ()
    # The application (client) id of the app registration.
    client_id: Word
    # The secret itself, or a file that holds it.
    client_secret: Secret | None = None
    client_secret_file: GivenPath | None = None
    # PEM or PFX; the key may be in it, or in a PEM file of its own.
    certificate_file: GivenPath | None = None
    private_key_file: GivenPath | None = None
    # SHA-1, 40 hex digits: stands for the certificate where only the key is at hand; beside a certificate, it
    # makes the older kind of assertion (RS256 and x5t, in place of PS256 and x5t#S256).
    thumbprint: Thumbprint | None = None
    # What the certificate's file or the key's is encrypted with, or a file that holds it.
    certificate_password: Secret | None = None
    certificate_password_file: GivenPath | None = None
    # Claims added to the assertion that the certificate's key signs.
    client_claims: Annotated[dict[str, Any], AfterValidator(_json_claims)] = Field(default_factory=dict)
    # A signed assertion, such as Kubernetes projects for workload identity; read anew for every request.
    assertion_file: GivenPath | None = None
    # A managed identity as federated credential: "system", or a client id.
    managed_identity: Word | None = None

    @field_validator("authority")
    @classmethod
    def _normalise_authority(cls, authority: str, others: ValidationInfo) -> str:
        url = https_url(authority)
        if others.data.get("authority_type") == "oidc":
            if not url or not url[1]:
                raise ValueError("must be the issuer's https URL, with a path: MSAL takes no issuer without one")
            return "".join(url)
        if authority.lower() in CLOUDS:
            return CLOUDS[authority.lower()]
        if not url or url[1]:
            raise ValueError(
                "must be AzureCloud, AzureUSGovernment, AzureChinaCloud, https://HOST or https://HOST/TENANT"
                " (and TENANT not another than `tenant` says)"
            )
        return url[0]


def split_authority(table: Mapping[str, Any]) -> dict[str, Any]:
    """Read `https://HOST/TENANT`, as MSAL's samples write the authority, as an authority and a tenant."""
    split = dict(table)
    authority, tenant = split.get("authority"), split.get("tenant")
    if split.get("authority_type", "entra") != "entra" or not isinstance(authority, str):
        return split
    origin, path = https_url(authority) or ("", "")
    segment = path.removeprefix("/")
    if segment and "/" not in segment and (tenant is None or str(tenant).lower() == segment.lower()):
        split |= {"authority": origin, "tenant": segment}
    return split


def check_identity(given: Mapping[str, Any], where: str, problems: Problems) -> None:
    """Add which options of an identity are missing and which exclude each other."""
    _check_credential(given, where, problems)
    if str(given.get("authority_type")).lower() == "oidc":
        _check_oidc(given, where, problems)
        return
    tenant = str(given.get("tenant")).lower()
    if "tenant" not in given:
        problems.require("is required: the id or domain of the tenant", f"{where}.tenant")
    elif tenant == "organizations":
        others = [option for kind in _CREDENTIALS[1:] for option in kind if option in given]
        if others:
            problems.add(
                "`organizations` goes with a client secret only, which is a limitation of MSAL;"
                " give the tenant's id or domain",
                f"{where}.tenant",
                *(f"{where}.{option}" for option in others),
            )
    if "organizations" in _words(given.get("tenants")):
        problems.add("`organizations` is no tenant; list ids or domains", f"{where}.tenants")


def _words(value: Any) -> list[str]:
    words = split_words(value)
    return [str(word).lower() for word in words] if isinstance(words, list | tuple) else []


def _check_oidc(given: Mapping[str, Any], where: str, problems: Problems) -> None:
    if "authority" not in given:
        problems.require(
            'is required: the URL of the issuer, since authority_type is "oidc"', f"{where}.authority"
        )
    for option in ("tenant", "tenants", "managed_identity"):
        if option in given:
            problems.add('belongs to Entra, and authority_type is "oidc"; remove it', f"{where}.{option}")


def _check_credential(given: Mapping[str, Any], where: str, problems: Problems) -> None:
    def present(options: Iterable[str]) -> list[str]:
        return [f"{where}.{option}" for option in options if option in given]

    kinds = [present(kind) for kind in _CREDENTIALS if present(kind)]
    everything = {f"{where}.{option}" for kind in _CREDENTIALS for option in kind}
    if len(kinds) > 1:
        problems.add("exclude each other; keep one credential", *(option for kind in kinds for option in kind))
    elif not kinds and not everything & problems.settled:
        wanted = ("client_secret", "certificate_file", "assertion_file")
        problems.add("one of them is required: the credential", *(f"{where}.{option}" for option in wanted))
    for pair in (_SECRET, _PASSWORD):
        if len(present(pair)) > 1:
            problems.add("say the same; keep one", *present(pair))
    _check_certificate(given, where, problems)
    if not present(("certificate_file", "private_key_file")):
        for option in present((*_PASSWORD, "client_claims")):
            problems.add("needs a certificate, and none is configured", option)


def _check_certificate(given: Mapping[str, Any], where: str, problems: Problems) -> None:
    certificate, key, thumbprint = (option in given for option in _CERTIFICATE)
    if thumbprint and not certificate and not key:
        problems.require("is required beside thumbprint", f"{where}.private_key_file", f"{where}.certificate_file")
    elif key and not certificate and not thumbprint:
        problems.require("is required beside private_key_file", f"{where}.certificate_file", f"{where}.thumbprint")
