"""The metadata documents: OpenID configuration and instance discovery, in Entra's shape and order."""

from typing import Any
from urllib.parse import urlsplit

_CLAIMS = (
    "sub",
    "iss",
    "cloud_instance_name",
    "cloud_instance_host_name",
    "cloud_graph_host_name",
    "msgraph_host",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "acr",
    "nonce",
    "preferred_username",
    "name",
    "tid",
    "ver",
    "at_hash",
    "c_hash",
    "email",
)


def openid_configuration(base_url: str, tenant: str, issuer: str) -> dict[str, Any]:
    """Return a tenant's document, all of it under `base_url`: nothing sends a client to the real Entra."""
    host = urlsplit(base_url).netloc
    own = f"{base_url}/{tenant}"
    return {
        "token_endpoint": f"{own}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": [
            "client_secret_post",
            "private_key_jwt",
            "client_secret_basic",
        ],
        "jwks_uri": f"{own}/discovery/v2.0/keys",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": issuer,
        "request_uri_parameter_supported": False,
        "userinfo_endpoint": f"{base_url}/oidc/userinfo",
        "authorization_endpoint": f"{own}/oauth2/v2.0/authorize",
        "device_authorization_endpoint": f"{own}/oauth2/v2.0/devicecode",
        "http_logout_supported": True,
        "frontchannel_logout_supported": True,
        "end_session_endpoint": f"{own}/oauth2/v2.0/logout",
        "claims_supported": list(_CLAIMS),
        "kerberos_endpoint": f"{own}/kerberos",
        "tenant_region_scope": "AS",
        "cloud_instance_name": host,
        "cloud_graph_host_name": host,
        "msgraph_host": host,
        "rbac_url": base_url,
    }


def instance_discovery(base_url: str, tenant: str) -> dict[str, Any]:
    """Return what says which hosts are one cloud: this one alone is."""
    host = urlsplit(base_url).netloc
    return {
        "tenant_discovery_endpoint": f"{base_url}/{tenant}/v2.0/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    }


def oidc_configuration(base_url: str) -> dict[str, Any]:
    """Return the generic issuer's document. It offers no authorization endpoint, but MSAL reads its address."""
    own = f"{base_url}/oidc"
    return {
        "issuer": own,
        "authorization_endpoint": f"{own}/authorize",
        "token_endpoint": f"{own}/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "jwks_uri": f"{own}/keys",
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


def federated_configuration(base_url: str) -> dict[str, Any]:
    """Return the federated issuer's document, as a Kubernetes cluster publishes it."""
    own = f"{base_url}/federated"
    return {
        "issuer": own,
        "jwks_uri": f"{own}/keys",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }
