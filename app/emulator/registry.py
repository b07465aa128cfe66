"""What the emulated directory contains: tenants, applications, managed identities, resources.

These are plain mutable values: a test rotates a secret by changing the list it is in.
"""

import re
import secrets
import uuid
from dataclasses import dataclass, field

from cryptography import x509

EXCHANGE_AUDIENCE = "api://AzureADTokenExchange"
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def is_guid(text: str) -> bool:
    return _GUID.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Tenant:
    """A directory, addressed by its GUID or by any of its domains."""

    id: str
    domains: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.domains[0] if self.domains else self.id

    def is_called(self, name: str) -> bool:
        return name.lower() in {self.id.lower(), *(domain.lower() for domain in self.domains)}


@dataclass(frozen=True, slots=True)
class FederatedCredential:
    """Whose assertions an application accepts: all three must be equal to the assertion's, letter by letter."""

    issuer: str
    subject: str
    audience: str = EXCHANGE_AUDIENCE


@dataclass(slots=True)
class Application:
    """An app registration. `tenants` are the ids of those it is installed in, its home first; none: in all."""

    client_id: str
    tenants: tuple[str, ...] = ()
    secrets: list[str] = field(default_factory=list, repr=False)
    expired_secrets: list[str] = field(default_factory=list, repr=False)
    certificates: list[x509.Certificate] = field(default_factory=list)
    federated_credentials: list[FederatedCredential] = field(default_factory=list)
    roles: dict[str, list[str]] = field(default_factory=dict)

    def object_id(self, tenant: Tenant) -> str:
        """Return the id of its service principal: another one in every tenant, the same in every run."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{tenant.id}/{self.client_id}".lower()))

    def is_installed_in(self, tenant: Tenant) -> bool:
        return not self.tenants or tenant.id in self.tenants

    def roles_for(self, resource: str) -> list[str]:
        return self.roles.get(resource, self.roles.get(resource.removesuffix("/"), []))


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """An identity that the IMDS endpoint answers for; the system-assigned one needs no selector."""

    client_id: str
    principal_id: str
    resource_id: str = ""
    system_assigned: bool = False


def _identities() -> list[ManagedIdentity]:
    return [
        ManagedIdentity(str(uuid.uuid4()), str(uuid.uuid4()), system_assigned=True),
        ManagedIdentity(str(uuid.uuid4()), str(uuid.uuid4()), resource_id="/subscriptions/s/identity"),
    ]


@dataclass(slots=True)
class Registry:
    """Everything the emulator knows.

    `resources` is the closed list of resources that exist; while it is None, everything that looks like one
    exists, except `unknown_resources`. The first tenant is that of the managed identities.
    """

    tenants: list[Tenant]
    applications: list[Application]
    managed_identities: list[ManagedIdentity] = field(default_factory=_identities)
    resources: set[str] | None = None
    unknown_resources: set[str] = field(default_factory=set)

    @classmethod
    def demo(cls) -> "Registry":
        """Return one tenant with one application that has one random secret."""
        tenant = Tenant(str(uuid.uuid4()), ("contoso.onmicrosoft.com",))
        application = Application(
            str(uuid.uuid4()),
            (tenant.id,),
            secrets=[secrets.token_urlsafe(30)],
            roles={"https://graph.microsoft.com": ["User.Read.All"]},
        )
        return cls([tenant], [application])

    def tenant(self, name: str) -> Tenant | None:
        return next((tenant for tenant in self.tenants if tenant.is_called(name)), None)

    def application(self, client_id: str) -> Application | None:
        wanted = client_id.lower()
        return next((known for known in self.applications if known.client_id.lower() == wanted), None)

    def home(self, application: Application) -> Tenant:
        for tenant in self.tenants:
            if application.tenants and tenant.id == application.tenants[0]:
                return tenant
        return self.tenants[0]

    def managed_identity(self, **selectors: str) -> ManagedIdentity | None:
        """Return the one that has all the non-empty selectors; the system-assigned one if there are none."""
        wanted = {name: value.lower() for name, value in selectors.items() if value}
        for identity in self.managed_identities:
            if wanted:
                if all(getattr(identity, name).lower() == value for name, value in wanted.items()):
                    return identity
            elif identity.system_assigned:
                return identity
        return None

    def knows_resource(self, resource: str) -> bool:
        plain = resource.removesuffix("/")
        if self.resources is not None:
            return plain in {known.removesuffix("/") for known in self.resources}
        if plain in {unknown.removesuffix("/") for unknown in self.unknown_resources}:
            return False
        return is_guid(plain) or resource.startswith(("https://", "api://"))
