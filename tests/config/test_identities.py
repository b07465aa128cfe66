"""What makes an identity, and which of its options go together."""

from pathlib import Path

import pytest

from app.config import ConfigurationError, IdentitySettings, load

TOKEN = '\n[tokens.graph]\nscope = "https://graph.microsoft.com/.default"\n'
SECRET = "client_secret = 's'"
CERTIFICATE = "certificate_file = 'c.pem'"
SHA1 = "79 0e:" + "AB" * 18


def loaded(tmp_path: Path, *lines: str, tenant: str = "tenant = 'contoso.com'") -> IdentitySettings:
    path = tmp_path / "broker.toml"
    path.write_text("\n".join(["[identities.default]", "client_id = 'c'", tenant, *lines]) + TOKEN)
    return load({"config": path}).identities["default"]


def refusal(tmp_path: Path, *lines: str, tenant: str = "tenant = 'contoso.com'") -> str:
    with pytest.raises(ConfigurationError) as refused:
        loaded(tmp_path, *lines, tenant=tenant)
    return str(refused.value).replace("identities.default.", "")


@pytest.mark.parametrize(
    "lines",
    [
        (SECRET,),
        ("client_secret_file = 'f'",),
        (CERTIFICATE,),
        (CERTIFICATE, "private_key_file = 'k'"),
        (CERTIFICATE, "certificate_password = 'p'"),
        (CERTIFICATE, "certificate_password_file = 'p'"),
        (CERTIFICATE, "client_claims = { client_ip = '10.0.0.4' }"),
        ("private_key_file = 'k'", f"thumbprint = '{SHA1}'"),
        ("certificate_file = 'c'", f"thumbprint = '{SHA1}'"),
        ("certificate_file = 'c'", "private_key_file = 'k'", f"thumbprint = '{SHA1}'"),
        ("private_key_file = 'k'", f"thumbprint = '{SHA1}'", "certificate_password = 'p'"),
        ("assertion_file = 'a'",),
        ("managed_identity = 'system'",),
    ],
)
def test_each_kind_of_credential_is_accepted_alone(tmp_path: Path, lines: tuple[str, ...]) -> None:
    assert loaded(tmp_path, *lines).client_id == "c"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((), "client_secret, certificate_file, assertion_file: one of them is required: the credential"),
        (
            (SECRET, CERTIFICATE),
            "client_secret, certificate_file: exclude each other; keep one credential",
        ),
        (
            ("client_secret_file = 'f'", "assertion_file = 'a'"),
            "client_secret_file, assertion_file: exclude each other; keep one credential",
        ),
        (
            (CERTIFICATE, "managed_identity = 'system'"),
            "certificate_file, managed_identity: exclude each other; keep one credential",
        ),
        ((SECRET, "client_secret_file = 'f'"), "client_secret, client_secret_file: say the same; keep one"),
        (
            (CERTIFICATE, "certificate_password = 'p'", "certificate_password_file = 'f'"),
            "certificate_password, certificate_password_file: say the same; keep one",
        ),
        (
            (SECRET, "certificate_password = 'p'"),
            "certificate_password: needs a certificate, and none is configured",
        ),
        ((SECRET, "client_claims = { a = 1 }"), "client_claims: needs a certificate, and none is configured"),
        ((f"thumbprint = '{SHA1}'",), "private_key_file: is required beside thumbprint"),
        (("private_key_file = 'k'",), "certificate_file: is required beside private_key_file"),
        (("client_secret = ''",), "client_secret: is empty"),
        (("client_secret = 5",), "client_secret: must be text"),
        (("client_secret_file = ''",), "client_secret_file: is empty; it must name a file"),
        (
            (CERTIFICATE, "client_claims = { day = 2024-01-01 }"),
            "client_claims: has a value that JSON cannot hold",
        ),
        ((CERTIFICATE, "client_claims = 'x'"), "client_claims: must be a table"),
        (("managed_identity = 'a b'",), "managed_identity: must be one word"),
    ],
)
def test_options_that_do_not_go_together_are_named(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    found = refusal(tmp_path, *lines)
    assert found.startswith(message)
    assert "\n" not in found


def test_a_thumbprint_is_cleaned_of_what_windows_puts_into_it(tmp_path: Path) -> None:
    identity = loaded(tmp_path, "private_key_file = 'k'", f"thumbprint = '\u200e{SHA1.lower()}'")
    assert identity.thumbprint == "790E" + "AB" * 18


@pytest.mark.parametrize(
    ("thumbprint", "message"),
    [
        ("ab" * 32, "SHA-256"),
        ("ab" * 19, "must be 40 hex digits"),
        ("xy" * 20, "must be 40 hex digits"),
        ("", "40"),
    ],
)
def test_a_thumbprint_of_another_kind_is_refused(tmp_path: Path, thumbprint: str, message: str) -> None:
    assert message in refusal(tmp_path, "private_key_file = 'k'", f"thumbprint = '{thumbprint}'")


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        ("AzureCloud", "https://login.microsoftonline.com"),
        ("azureusgovernment", "https://login.microsoftonline.us"),
        ("AzureChinaCloud", "https://login.partner.microsoftonline.cn"),
        ("https://Login.Example:8443/", "https://login.example:8443"),
    ],
)
def test_an_authority_is_a_cloud_or_a_url(tmp_path: Path, authority: str, expected: str) -> None:
    assert loaded(tmp_path, SECRET, f"authority = '{authority}'").authority == expected


def test_without_an_authority_it_is_the_public_cloud(tmp_path: Path) -> None:
    assert loaded(tmp_path, SECRET).authority == "https://login.microsoftonline.com"


@pytest.mark.parametrize("tenant", ["", "tenant = 'fabrikam.com'", "tenant = 'Fabrikam.com'"])
def test_the_tenant_may_be_in_the_authority(tmp_path: Path, tenant: str) -> None:
    identity = loaded(tmp_path, SECRET, "authority = 'https://login.example/Fabrikam.com/'", tenant=tenant)
    assert (identity.authority, identity.tenant) == ("https://login.example", "fabrikam.com")


@pytest.mark.parametrize(
    "authority",
    [
        "https://login.example/fabrikam.com",  # while `tenant` says contoso.com
        "https://login.example/a/b",
        "https://user:pw@login.example",
        "https://login.example:99999",
        "http://login.example",
        "AzureGermanCloud",
    ],
)
def test_any_other_authority_is_refused(tmp_path: Path, authority: str) -> None:
    assert refusal(tmp_path, SECRET, f"authority = '{authority}'").startswith("authority: must be AzureCloud")


@pytest.mark.parametrize("tenant", ["", "tenant = ''", "tenant = 'a/b'", "tenant = 'a b'", "tenant = '..'"])
def test_an_entra_identity_needs_a_tenant(tmp_path: Path, tenant: str) -> None:
    assert refusal(tmp_path, SECRET, tenant=tenant).startswith("tenant: ")


@pytest.mark.parametrize("tenant", ["common", "Consumers"])
def test_tenants_without_an_administrator_are_refused_with_the_reason(tmp_path: Path, tenant: str) -> None:
    assert "nobody can consent" in refusal(tmp_path, SECRET, tenant=f"tenant = '{tenant}'")


def test_the_reason_is_given_for_an_authority_that_ends_in_common_too(tmp_path: Path) -> None:
    found = refusal(tmp_path, SECRET, "authority = 'https://login.microsoftonline.com/common'", tenant="")
    assert "nobody can consent" in found


def test_organizations_with_a_secret_is_accepted_with_a_warning(tmp_path: Path) -> None:
    loaded(tmp_path, SECRET, tenant="tenant = 'organizations'")
    assert "unreliable" in load({"config": tmp_path / "broker.toml"}).warnings[0]


@pytest.mark.parametrize("credential", [CERTIFICATE, "assertion_file = 'a'", "managed_identity = 'system'"])
def test_organizations_with_another_credential_is_refused_with_the_reason(tmp_path: Path, credential: str) -> None:
    found = refusal(tmp_path, credential, tenant="tenant = 'Organizations'")
    assert "limitation of MSAL" in found
    assert credential.partition(" ")[0] in found


def test_an_ordinary_tenant_gets_no_warning(tmp_path: Path) -> None:
    loaded(tmp_path, SECRET)
    assert load({"config": tmp_path / "broker.toml"}).warnings == ()


@pytest.mark.parametrize(
    "tenants", ["'organizations'", "['a.com', 'common']", "['a.com', 'A.com']", "['a/b']", "5"]
)
def test_other_tenants_are_held_to_the_same_rules(tmp_path: Path, tenants: str) -> None:
    assert refusal(tmp_path, SECRET, f"tenants = {tenants}").startswith("tenants")


def test_a_client_id_is_required(tmp_path: Path) -> None:
    (tmp_path / "broker.toml").write_text(f"[identities.default]\ntenant = 'a.com'\n{SECRET}{TOKEN}")
    with pytest.raises(ConfigurationError, match=r"^identities\.default\.client_id: is required$"):
        load({"config": tmp_path / "broker.toml"})


def test_an_oidc_identity_needs_an_issuer_and_no_tenant(tmp_path: Path) -> None:
    identity = loaded(
        tmp_path, SECRET, "authority_type = 'oidc'", "authority = 'https://idp.example/realms/a/'", tenant=""
    )
    assert (identity.authority, identity.tenant) == ("https://idp.example/realms/a", None)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((SECRET,), "authority: is required"),
        ((SECRET, "authority = 'AzureCloud'"), "authority: must be the issuer's https URL"),
        ((SECRET, "authority = 'https://i.example/'"), "authority: must be the issuer's https URL, with a path"),
        ((SECRET, "authority = 'https://i.example/realm'", "tenant = 'a'"), "tenant: belongs to Entra"),
        ((SECRET, "authority = 'https://i.example/realm'", "tenants = ['a']"), "tenants: belongs to Entra"),
        (
            ("authority = 'https://i.example/realm'", "managed_identity = 'system'"),
            "managed_identity: belongs to Entra",
        ),
    ],
)
def test_what_belongs_to_entra_is_refused_with_oidc(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    assert refusal(tmp_path, "authority_type = 'oidc'", *lines, tenant="").startswith(message)


def test_an_unknown_kind_of_authority_is_refused(tmp_path: Path) -> None:
    assert "authority_type: must be 'entra' or 'oidc'" in refusal(tmp_path, SECRET, "authority_type = 'adfs'")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("identities = 5", "identities: must be a table"),
        ("[identities]\ndefault = 'x'", "identities.default: must be a table"),
        ("[identities.'a/b']\ntenant = 't'", "identities.a/b: a name has"),
    ],
)
def test_identities_are_tables_with_names(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "broker.toml").write_text(text)
    with pytest.raises(ConfigurationError) as refused:
        load({"config": tmp_path / "broker.toml"})
    assert str(refused.value).startswith(message)
