"""Which tokens there are to be had, and finding the one a caller means.

Only configured tokens can be asked for: whoever reaches the port is in effect the application, and a list
is what keeps "may read mail" from becoming "may do all the application may".
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from app.core.errors import InvalidRequest, UnknownToken
from app.core.tokens import DEFAULT_SUFFIX, TokenRequest, resource_of

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class ConfiguredToken:
    """A named token. `tenants` are those a caller may name in place of the request's own.

    `keep_warm` tokens are fetched at start and kept fresh; `required` ones must be servable for readiness.
    """

    name: str
    request: TokenRequest
    tenants: frozenset[str] = frozenset()
    keep_warm: bool = True
    required: bool = True

    def serves(self, tenant: str | None) -> bool:
        """Whether a caller may ask for it in `tenant`; None is its own."""
        # Ids and domains, which have no case; the configured ones are in lower case.
        return tenant is None or tenant.lower() in {self.request.tenant, *self.tenants}

    def request_in(self, tenant: str | None) -> TokenRequest:
        """Return what to ask for; raises InvalidRequest for a tenant it is not for."""
        if not self.serves(tenant):
            raise InvalidRequest("this token cannot be asked for in that tenant")
        return self.request if tenant is None else replace(self.request, tenant=tenant.lower())


class Catalog:
    """The configured tokens. Every `find` raises RequestError where no one token is meant."""

    def __init__(self, tokens: Iterable[ConfiguredToken]) -> None:
        self.tokens = {token.name: token for token in tokens}

    def find_named(self, name: str | None, tenant: str | None = None) -> TokenRequest:
        """Find by name; without one, the token named `default`, or the only one there is."""
        if name is None:
            return self._unnamed().request_in(tenant)
        if name not in self.tokens:
            raise UnknownToken("no token of this name is configured")
        return self.tokens[name].request_in(tenant)

    def find_scope(self, scope: str, tenant: str | None = None) -> TokenRequest:
        """Find by scope: the configured spelling, or its resource with or without one trailing slash.

        Terraform and the az CLI ask for `https://management.azure.com/` where configurations say
        `https://management.azure.com`; the token's audience is spelled as asked, so upstream gets that.
        """
        tokens = [token for token in self.tokens.values() if token.serves(tenant)]
        found = [token for token in tokens if token.request.scope == scope]
        if not found and scope.endswith(DEFAULT_SUFFIX):
            found = [token for token in tokens if _is_same_resource(token.request.scope, scope)]
        if not found:
            raise InvalidRequest("this scope is not that of a configured token, or not in that tenant")
        if len(found) > 1:
            found = [token for token in found if token.request.identity == DEFAULT]
        if len(found) != 1:
            raise InvalidRequest("several configured tokens have this scope; ask for one by its name")
        return replace(found[0].request_in(tenant), scope=scope)

    def _unnamed(self) -> ConfiguredToken:
        if DEFAULT in self.tokens:
            return self.tokens[DEFAULT]
        if len(self.tokens) == 1:
            return next(iter(self.tokens.values()))
        raise InvalidRequest("several tokens are configured; name one: GET /token/NAME")


def _is_same_resource(configured: str, asked: str) -> bool:
    return configured.endswith(DEFAULT_SUFFIX) and resource_of(configured) == resource_of(asked)
