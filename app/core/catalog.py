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


class Catalog:
    """The configured tokens. Every `find` raises RequestError where no one token is meant."""

    def __init__(self, tokens: Iterable[ConfiguredToken]) -> None:
        self.tokens = {token.name: token for token in tokens}

    def find_named(self, name: str | None, tenant: str | None = None) -> TokenRequest:
        """Find by name; without one, the token named `default`, or the only one there is."""
        if name is None:
            return self._in_tenant(self._unnamed(), tenant)
        if name not in self.tokens:
            raise UnknownToken("no token of this name is configured")
        return self._in_tenant(self.tokens[name], tenant)

    def find_scope(self, scope: str, tenant: str | None = None) -> TokenRequest:
        """Find by scope: the configured spelling, or its resource with or without one trailing slash.

        Terraform and the az CLI ask for `https://management.azure.com/` where configurations say
        `https://management.azure.com`; the token's audience is spelled as asked, so upstream gets that.
        """
        tokens = self.tokens.values()
        found = [token for token in tokens if token.request.scope == scope]
        if not found and scope.endswith(DEFAULT_SUFFIX):
            found = [token for token in tokens if _is_same_resource(token.request.scope, scope)]
        if not found:
            raise InvalidRequest("this scope is not that of a configured token")
        if len(found) > 1:
            found = [token for token in found if token.request.identity == DEFAULT]
        if len(found) != 1:
            raise InvalidRequest("several configured tokens have this scope; ask for one by its name")
        return replace(self._in_tenant(found[0], tenant), scope=scope)

    def _unnamed(self) -> ConfiguredToken:
        if DEFAULT in self.tokens:
            return self.tokens[DEFAULT]
        if len(self.tokens) == 1:
            return next(iter(self.tokens.values()))
        raise InvalidRequest("several tokens are configured; name one: GET /token/NAME")

    @staticmethod
    def _in_tenant(token: ConfiguredToken, tenant: str | None) -> TokenRequest:
        if tenant is None:
            return token.request
        known = tenant.lower()  # ids and domains, both of which have no case; configured ones are in lower case
        if known not in {token.request.tenant, *token.tenants}:
            raise InvalidRequest("this token cannot be asked for in that tenant")
        return replace(token.request, tenant=known)


def _is_same_resource(configured: str, asked: str) -> bool:
    return configured.endswith(DEFAULT_SUFFIX) and resource_of(configured) == resource_of(asked)
