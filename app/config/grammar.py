"""How the value of an option is written, as types for pydantic.

Every function here raises ValueError with the whole fix in its message and nothing of the value: the message
is shown to whoever starts the broker, and the value may be a secret in the wrong place.
"""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationInfo

from app.core.errors import InvalidRequest
from app.core.tokens import parse_scope
from app.server.listeners import parse_address

# Names stand in URL paths, in grants (`graph@TENANT`) and in metrics; a leading dot would let `..` be one.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
NAME_RULE = "a name has up to 128 letters, digits, '.', '_' and '-', and does not start with '.' or '-'"

CLOUDS = {
    "azurecloud": "https://login.microsoftonline.com",
    "azureusgovernment": "https://login.microsoftonline.us",
    "azurechinacloud": "https://login.partner.microsoftonline.cn",
}

_HOST = r"(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
_URL = re.compile(rf"https://{_HOST}(?P<path>/[^?#\s]*)?")
_AUTHORITY_HOST = re.compile(rf"(?:https://)?{_HOST}/?")
_PROXY = re.compile(rf"https?://(?:[^@/?#\s]+@)?{_HOST}/?")
_TENANT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_MAX_PORT = 65535
_SHA1_DIGITS, _SHA256_DIGITS = 40, 64


def split_words(value: Any) -> Any:
    """Split what the environment holds in one string; pydantic-settings would want JSON there."""
    return tuple(re.findall(r"[^,\s]+", value)) if isinstance(value, str) else value


def https_url(text: str) -> tuple[str, str] | None:
    """Return origin and path of an https URL, or None if it is none; there is no place in it for userinfo."""
    found = _URL.fullmatch(text)
    if not found or not _is_port(found["port"]):
        return None
    return _origin(found), (found["path"] or "").rstrip("/")


def _authority_host(text: str) -> str:
    found = _AUTHORITY_HOST.fullmatch(text)
    if text.lower().startswith("http:"):
        raise ValueError("http is refused, since it would send the credential in the clear; use https")
    if not found or not _is_port(found["port"]):
        raise ValueError("must be HOST, HOST:PORT or https://HOST[:PORT]")
    return _origin(found)


def _origin(found: re.Match[str]) -> str:
    port = f":{found['port']}" if found["port"] else ""
    return f"https://{found['host'].lower()}{port}"


def _is_port(digits: str | None) -> bool:
    return int(digits or 0) <= _MAX_PORT


def _proxy_url(text: str) -> str:
    found = _PROXY.fullmatch(text)
    if not found or not _is_port(found["port"]):
        raise ValueError(
            "must be http://HOST:PORT or https://HOST:PORT, with USER:PASSWORD@ before HOST if need be"
        )
    return text


def _address(text: str) -> str:
    parse_address(text)
    return text


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(values)) != len(values):
        raise ValueError("names the same one twice")
    return values


def _some(values: tuple[str, ...]) -> tuple[str, ...]:
    if not values:
        raise ValueError("must name at least one address")
    return values


def _word(text: str) -> str:
    if not text or not text.isprintable() or " " in text:
        raise ValueError("must be one word" if text else "is empty")
    return text


def _secret(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().strip():
        raise ValueError("is empty")
    return value


def _path(value: Any) -> Any:
    if isinstance(value, str) and not value.strip():
        raise ValueError("is empty; it must name a file")
    return value


def _absolute(path: Path, validation: ValidationInfo) -> Path:
    return ((validation.context or Path()) / path).absolute()


def _scope(text: str) -> str:
    try:
        scope = parse_scope(text)
    except InvalidRequest as problem:
        raise ValueError(str(problem)) from None
    if scope == "/.default":
        raise ValueError("names no resource before /.default")
    return scope


def _tenant(text: str) -> str:
    tenant = text.lower()
    if tenant in {"common", "consumers"}:
        raise ValueError(
            "`common` and `consumers` stand for personal accounts, too, and nobody can consent to a daemon for"
            " those; give the tenant's id or domain"
        )
    if not _TENANT.fullmatch(tenant):
        raise ValueError("must be a tenant's id or domain: letters, digits, dots and hyphens")
    return tenant


def _thumbprint(text: str) -> str:
    # Windows' certificate dialog puts an invisible left-to-right mark in front of what one copies from it.
    digits = re.sub(r"[\s:\u200e]", "", text).upper()
    if not re.fullmatch(r"[0-9A-F]+", digits):
        raise ValueError("must be 40 hex digits, the SHA-1 thumbprint of the certificate")
    if len(digits) == _SHA256_DIGITS:
        raise ValueError(
            "is the SHA-256 thumbprint; give the SHA-1 one (40 hex digits), or certificate_file instead of it"
        )
    if len(digits) != _SHA1_DIGITS:
        raise ValueError("must be 40 hex digits, the SHA-1 thumbprint of the certificate")
    return digits


Word = Annotated[str, AfterValidator(_word)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
# Absolute, so that it means the same file for as long as the process runs; relative to the directory that is
# validation's context (that of the file in which it stands), or to the working directory.
GivenPath = Annotated[Path, BeforeValidator(_path), AfterValidator(_absolute)]
Scope = Annotated[str, AfterValidator(_scope)]
Scopes = Annotated[tuple[Scope, ...], BeforeValidator(split_words), AfterValidator(_distinct)]
Tenant = Annotated[str, AfterValidator(_tenant)]
Tenants = Annotated[tuple[Tenant, ...], BeforeValidator(split_words), AfterValidator(_distinct)]
Thumbprint = Annotated[str, AfterValidator(_thumbprint)]
Addresses = Annotated[
    tuple[Annotated[str, AfterValidator(_address)], ...],
    BeforeValidator(split_words),
    AfterValidator(_some),
    AfterValidator(_distinct),
]
AuthorityHost = Annotated[str, AfterValidator(_authority_host)]
ProxyUrl = Annotated[str, AfterValidator(_proxy_url)]
Lowercase = BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value)
