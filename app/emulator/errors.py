"""Entra's errors: for each AADSTS code the HTTP status, the OAuth error and the text.

Marked "recorded" where a public recording or log shows it, "from memory" where nothing better was found.
"""

import uuid
from datetime import UTC, datetime
from typing import Any, NamedTuple

_NOT_INSTALLED = (
    "This can happen if the application has not been installed by the administrator of the tenant or consented to "
    "by any user in the tenant."
)
_FEDERATED = (
    "Check your federated identity credential Subject, Audience and Issuer against the presented assertion. "
    "https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
)
_ASSERTIONS = (
    "Review the documentation at "
    "https://docs.microsoft.com/azure/active-directory/develop/active-directory-certificate-credentials ."
)


class _Kind(NamedTuple):
    status: int
    error: str
    text: str


_KINDS = {
    # From memory: the order in which Entra checks is not recorded either.
    50013: _Kind(401, "invalid_client", "Assertion failed signature validation. [Reason - {reason}]"),
    50027: _Kind(400, "invalid_request", "JWT token is invalid or malformed."),
    # From memory, and that it is this code which refuses an assertion at /organizations is our guess.
    50194: _Kind(
        400,
        "invalid_request",
        "Application '{client_id}'({client_id}) is not configured as a multi-tenant application. Usage of the "
        "/common endpoint is not supported for such apps created after '10/15/2018'. Use a tenant-specific "
        "endpoint or configure the application to be multi-tenant.",
    ),
    # Recorded; it also has `suberror` and `claims`, see _EXTRA.
    53003: _Kind(
        400,
        "invalid_grant",
        "Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.",
    ),
    # From memory.
    70003: _Kind(400, "unsupported_grant_type", "The app requested an unsupported grant type '{grant_type}'."),
    # Status and error recorded, text from memory.
    70011: _Kind(
        400,
        "invalid_scope",
        "The provided request must include a 'scope' input parameter. The provided value for the input parameter "
        "'scope' is not valid. The scope {scope} is not valid.",
    ),
    # Recorded in 2022; since 2023 the three codes from 700211 on say which part does not match.
    70021: _Kind(400, "invalid_request", "No matching federated identity record found for presented assertion."),
    # Text recorded, status from memory.
    70025: _Kind(
        401, "invalid_client", "The client '{client_id}' has no configured federated identity credentials."
    ),
    # Recorded (the discovery document has "invalid_tenant" instead).
    90002: _Kind(
        400,
        "invalid_request",
        "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the "
        "correct cloud. Check with your subscription administrator, this may happen if there are no active "
        "subscriptions for the tenant.",
    ),
    # From memory.
    90033: _Kind(503, "temporarily_unavailable", "A transient error has occurred. Please try again."),
    # Recorded.
    500011: _Kind(
        400,
        "invalid_resource",
        "The resource principal named {resource} was not found in the tenant named {tenant}. "
        + _NOT_INSTALLED
        + " You might have sent your authentication request to the wrong tenant.",
    ),
    # Recorded.
    700016: _Kind(
        400,
        "unauthorized_client",
        "Application with identifier '{client_id}' was not found in the directory '{tenant}'. "
        + _NOT_INSTALLED
        + " You may have sent your authentication request to the wrong tenant.",
    ),
    # Texts documented by Microsoft, statuses from memory.
    700021: _Kind(
        401,
        "invalid_client",
        "Client assertion application identifier doesn't match 'client_id' parameter. " + _ASSERTIONS,
    ),
    700023: _Kind(
        401, "invalid_client", "Client assertion audience claim does not match Realm issuer. " + _ASSERTIONS
    ),
    # Text recorded, status of a third party's fixture.
    700024: _Kind(
        401,
        "invalid_client",
        "Client assertion is not within its valid time range. Current time: {now}, assertion valid from {start}, "
        "expiry time of assertion {end}. " + _ASSERTIONS,
    ),
    # Text recorded for the unregistered certificate; the status is that of its recorded sibling 50012.
    700027: _Kind(
        401,
        "invalid_client",
        "{problem} [Reason - {reason}, Thumbprint of key used by client: '{thumbprint}', Please visit the Azure "
        "Portal, Graph Explorer or directly use MS Graph to see configured keys for app Id '{client_id}'.]",
    ),
    # Texts recorded; status and error recorded for the third's sibling 7002137.
    700211: _Kind(
        401,
        "invalid_client",
        "No matching federated identity record found for presented assertion issuer '{issuer}'. " + _FEDERATED,
    ),
    700212: _Kind(
        401,
        "invalid_client",
        "No matching federated identity record found for presented assertion audience '{audience}'. " + _FEDERATED,
    ),
    700213: _Kind(
        401,
        "invalid_client",
        "No matching federated identity record found for presented assertion subject '{subject}'. " + _FEDERATED,
    ),
    # Text recorded, status from memory.
    900144: _Kind(400, "invalid_request", "The request body must contain the following parameter: '{parameter}'."),
    # Text recorded, status of a third party.
    1002012: _Kind(
        400,
        "invalid_scope",
        "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with "
        "/.default suffixed to the resource identifier (application ID URI).",
    ),
    # Recorded.
    7000215: _Kind(
        401,
        "invalid_client",
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, "
        "not the client secret ID, for a secret added to app '{client_id}'.",
    ),
    # Text recorded, status from memory.
    7000216: _Kind(
        401,
        "invalid_client",
        "'client_assertion', 'client_secret' or 'request' is required for the 'client_credentials' grant type.",
    ),
    # Recorded.
    7000222: _Kind(
        401,
        "invalid_client",
        "The provided client secret keys for app '{client_id}' are expired. Visit the Azure portal to create new "
        "keys for your app: https://aka.ms/NewClientSecret, or consider using certificate credentials for added "
        "security: https://aka.ms/certCreds.",
    ),
    # A third party's.
    7000229: _Kind(
        400,
        "invalid_client",
        "The client application {client_id} is missing service principal in the tenant {tenant}.",
    ),
}
_EXTRA: dict[int, dict[str, Any]] = {
    53003: {
        "suberror": "message_only",
        # A string of JSON, not an object.
        "claims": '{"access_token":{"capolids":{"essential":true,'
        '"values":["00000000-0000-0000-0000-0000000ca001"]}}}',
    }
}


class _Facts(dict[str, str]):
    """What a text mentions; a scripted error does not know all of it."""

    def __missing__(self, name: str) -> str:
        return f"<{name}>"


def is_known(code: int) -> bool:
    return code in _KINDS


class EntraError(Exception):
    """A refusal by AADSTS code; `facts` are what its text mentions, none of them secret."""

    def __init__(self, code: int, **facts: str) -> None:
        super().__init__(code)
        self.code = code
        self.status, self.error, text = _KINDS[code]
        self.text = text.format_map(_Facts(facts))

    def body(self, *, base_url: str, now: float, trace_id: str, correlation_id: str | None) -> dict[str, Any]:
        """Return the JSON; `correlation_id` is the client's own, if it sent one."""
        timestamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        correlation_id = correlation_id or str(uuid.uuid4())
        # Until 2023 Entra had "\r\n" before each of the three, since then spaces.
        trail = f"Trace ID: {trace_id} Correlation ID: {correlation_id} Timestamp: {timestamp}"
        return {
            "error": self.error,
            "error_description": f"AADSTS{self.code}: {self.text} {trail}",
            "error_codes": [self.code],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": correlation_id,
            "error_uri": f"{base_url}/error?code={self.code}",
            **_EXTRA.get(self.code, {}),
        }
