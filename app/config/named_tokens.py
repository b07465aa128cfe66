"""The tokens that may be asked for, by their names.

A token's identity and tenant are looked up here, across tables, so that a token which no identity can ask
for stops the start instead of the first caller.
"""

from collections.abc import Iterable, Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

from app.config.grammar import NAME, Scope, Tenant
from app.config.identities import IdentitySettings
from app.config.problems import Problems
from app.core.tokens import resource_of


class TokenSettings(BaseModel):
    """A token that may be asked for by name."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # Exactly one scope, sent as it is spelled here; for Entra it ends in /.default.
    scope: Scope
    # Which identity asks for it.
    identity: str = "default"
    # Which of the identity's tenants is asked; without it, its `tenant`.
    tenant: Tenant | None = None
    # Fetched at start and kept fresh, whether or not somebody asks.
    keep_warm: bool = True
    # The broker is ready only while this one can be served; what keep_warm says, where it is not given.
    required: bool | None = None

    @model_validator(mode="after")
    def _check_required(self) -> Self:
        if self.required and not self.keep_warm:
            raise ValueError("a token that is not kept warm cannot be required: the broker would not get ready")
        return self


def check_tokens(
    tokens: Mapping[str, TokenSettings],
    identities: Mapping[str, IdentitySettings | None],
    problems: Problems,
) -> None:
    """Add which tokens no identity can ask for; an identity that is None has problems of its own."""
    first: dict[tuple[str, str | None, str], str] = {}
    for name, token in tokens.items():
        where = f"tokens.{name}"
        identity = identities.get(token.identity)
        if token.identity not in identities:
            known = ", ".join(identities)
            which = "needs the identity default, which" if token.identity == "default" else "names one that"
            problems.add(f"{which} is not configured; there is {known}", f"{where}.identity")
        elif identity:
            _check_token(token, identity, where, problems)
            wanted = (token.identity, token.tenant or identity.tenant, token.scope)
            twin = first.setdefault(wanted, name)
            if twin != name:
                problems.add("are the same token; keep one", f"tokens.{twin}.scope", f"{where}.scope")


def _check_token(token: TokenSettings, identity: IdentitySettings, where: str, problems: Problems) -> None:
    if identity.authority_type == "entra" and not token.scope.endswith("/.default"):
        problems.add("must be a resource followed by /.default, since it is for an application", f"{where}.scope")
    if token.tenant and token.tenant not in {identity.tenant, *identity.tenants}:
        problems.add(f"is not among the tenants of identities.{token.identity}", f"{where}.tenant")


def tokens_of(scopes: Iterable[str], problems: Problems) -> dict[str, TokenSettings]:
    """Return a token for each scope, named after the resource it is for."""
    scopes = tuple(scopes)
    tokens = {_resource_name(scope): TokenSettings(scope=scope) for scope in scopes}
    if len(tokens) < len(scopes) or not all(NAME.fullmatch(name) for name in tokens):
        problems.add(
            "no name of its own can be made for each; list them in a TOML file as [tokens.NAME]", "scopes"
        )
    return tokens


def _resource_name(scope: str) -> str:
    """Return the host of a web resource; `api://` is followed by no host, so there it is the last segment."""
    scheme, _, rest = resource_of(scope).rpartition("://")
    segments = rest.split("/")
    if scheme.lower() in {"http", "https"}:
        return segments[0].partition(":")[0].lower()
    return segments[-1]
