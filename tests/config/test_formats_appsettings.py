"""The configuration file of Microsoft's .NET sample, flat, and of Microsoft.Identity.Web, under AzureAd."""

import json
from pathlib import Path
from typing import Any

import pytest
from configurations import loaded_file, refused_file

from app.config import Settings

SAMPLES = Path(__file__).parent / "samples"
FILL = {
    "[Enter here the tenantID or domain name for your Azure AD tenant]": "contoso.onmicrosoft.com",
    "[Enter here the ClientId for your application]": "00000000-0000-0000-0000-000000000001",
    "[Enter here a client secret for your application]": "s3cret",
}
CERTIFICATE = (
    "[Or instead of client secret: Enter here the name of a certificate (from the user cert store)"
    " as registered with your application]"
)


def filled(name: str, left: str = "") -> str:
    text = (SAMPLES / f"{name}.json").read_text()
    for placeholder, value in FILL.items():
        text = text if placeholder == left else text.replace(placeholder, value)
    return text


def flat(**changes: Any) -> str:
    """Return the flat sample with a secret and changed keys; one that is None is left out."""
    settings = json.loads(filled("dotnet-secret")) | changes
    return json.dumps({key: value for key, value in settings.items() if value is not None})


def with_credentials(*entries: Any, **changes: Any) -> str:
    settings = json.loads(filled("dotnet-azuread"))
    settings["AzureAd"] |= {"ClientCredentials": list(entries)} | changes
    return json.dumps(settings)


def loaded(tmp_path: Path, text: str) -> Settings:
    return loaded_file(tmp_path / "appsettings.json", text)


def refusal(tmp_path: Path, text: str) -> str:
    return refused_file(tmp_path / "appsettings.json", text)


def names_in(message: str) -> list[str]:
    return [line.partition(": ")[0] for line in message.splitlines()]


@pytest.fixture(autouse=True)
def scopes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what the flat sample has no place for."""
    monkeypatch.setenv("BROKER_SCOPES", "https://vault.azure.net/.default")


@pytest.mark.parametrize("name", ["dotnet-secret", "dotnet-azuread"])
def test_the_sample_makes_an_identity_with_a_secret(tmp_path: Path, name: str) -> None:
    identity = loaded(tmp_path, filled(name)).identities["default"]
    assert (identity.authority, identity.tenant) == (
        "https://login.microsoftonline.com",
        "contoso.onmicrosoft.com",
    )
    assert identity.client_id == "00000000-0000-0000-0000-000000000001"
    assert identity.client_secret
    assert identity.client_secret.get_secret_value() == "s3cret"


def test_the_flat_sample_takes_its_scopes_from_the_environment(tmp_path: Path) -> None:
    assert list(loaded(tmp_path, filled("dotnet-secret")).tokens) == ["vault.azure.net"]


def test_without_scopes_the_flat_sample_is_told_where_they_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("BROKER_SCOPES")
    assert "set BROKER_SCOPES" in refusal(tmp_path, filled("dotnet-secret"))


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("dotnet-secret", ["Tenant", "ClientId", "ClientSecret, CertificateName"]),
        ("dotnet-azuread", ["AzureAd:TenantId", "AzureAd:ClientId", "AzureAd:ClientCredentials:0"]),
    ],
)
def test_with_the_samples_text_left_in_each_key_is_named_and_nothing_else(
    tmp_path: Path, name: str, keys: list[str]
) -> None:
    assert names_in(refusal(tmp_path, (SAMPLES / f"{name}.json").read_text())) == keys


@pytest.mark.parametrize(("left", "key"), list(zip(FILL, ["Tenant", "ClientId", "ClientSecret"], strict=True)))
def test_one_placeholder_left_is_named(tmp_path: Path, left: str, key: str) -> None:
    assert names_in(refusal(tmp_path, filled("dotnet-secret", left)))[0].startswith(key)


@pytest.mark.parametrize("suffix", [".pfx", ".pem"])
@pytest.mark.parametrize("name", ["DaemonCert", "CN=DaemonCert"])
@pytest.mark.parametrize("secret", [list(FILL)[2], "", None])
def test_a_certificates_name_is_looked_up_beside_the_file(
    tmp_path: Path, name: str, suffix: str, secret: str | None
) -> None:
    (tmp_path / f"DaemonCert{suffix}").touch()
    identity = loaded(tmp_path, flat(ClientSecret=secret, CertificateName=name)).identities["default"]
    assert identity.certificate_file == tmp_path / f"DaemonCert{suffix}"
    assert identity.client_secret is None


@pytest.mark.parametrize("name", ["Absent", "../Absent", "x" * 3000])
def test_a_certificate_that_is_not_there_comes_with_how_to_export_it(tmp_path: Path, name: str) -> None:
    found = refusal(tmp_path, flat(ClientSecret=None, CertificateName=name))
    assert names_in(found) == ["CertificateName"]
    assert "Export-PfxCertificate" in found
    assert "openssl pkcs12" in found


@pytest.mark.parametrize("certificate", [CERTIFICATE, "", None])
def test_a_placeholder_for_the_certificate_beside_a_secret_counts_as_absent(
    tmp_path: Path, certificate: str | None
) -> None:
    assert loaded(tmp_path, flat(CertificateName=certificate)).identities["default"].client_secret


def test_secret_and_certificate_are_refused(tmp_path: Path) -> None:
    found = refusal(tmp_path, flat(CertificateName="DaemonCert"))
    assert found == "ClientSecret, CertificateName: exclude each other; keep one credential"


def test_neither_is_refused_by_the_names_of_both(tmp_path: Path) -> None:
    found = refusal(tmp_path, flat(ClientSecret=None, CertificateName=None))
    assert found.startswith("ClientSecret, CertificateName, ")


def test_organizations_with_a_certificate_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "DaemonCert.pem").touch()
    found = refusal(tmp_path, flat(Tenant="organizations", ClientSecret=None, CertificateName="DaemonCert"))
    assert found.startswith("Tenant, CertificateName: `organizations` goes with a client secret only")


def test_keys_are_compared_without_regard_to_case(tmp_path: Path) -> None:
    text = filled("dotnet-azuread").replace("ClientId", "CLIENTID").replace("AzureAd", "azuread")
    assert loaded(tmp_path, text.replace("Scopes", "scopes")).identities["default"].client_id


def test_comments_and_trailing_commas_are_accepted_outside_strings(tmp_path: Path) -> None:
    secret = "s // no comment /* nor this */ ,} ,]"
    text = filled("dotnet-secret").replace("s3cret", secret)
    text = "// first\n" + text.rstrip().removesuffix("}").rstrip() + ", /* last,\n */ // }\n}"
    found = loaded(tmp_path, text).identities["default"].client_secret
    assert found
    assert found.get_secret_value() == secret


@pytest.mark.parametrize("key", ["Logging", "AllowedHosts", "ApiUrl", "RequiredRoles", "ConnectionStrings"])
def test_unrelated_keys_are_passed_over(tmp_path: Path, key: str) -> None:
    assert loaded(tmp_path, flat(**{key: {"Default": "Warning"}})).tokens


@pytest.mark.parametrize("key", ["Domain", "CallbackPath", "EnablePiiLogging", "SendX5C", "Audience"])
def test_unrelated_keys_under_azuread_are_passed_over(tmp_path: Path, key: str) -> None:
    text = with_credentials({"SourceType": "ClientSecret", "ClientSecret": "s"}, **{key: "x"})
    assert loaded(tmp_path, text).tokens


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("ClientSecert", "ClientSecret"), ("Client_Id", "ClientId"), ("Tenat", "Tenant")],
)
def test_a_misspelt_key_is_refused_with_the_nearest_name(tmp_path: Path, key: str, nearest: str) -> None:
    found = refusal(tmp_path, flat(**{key: "x", nearest: None, "CertificateName": None}))
    assert found == f"{key}: no such option in this version; did you mean {nearest}?"


def test_a_misspelt_section_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    found = refusal(tmp_path, filled("dotnet-azuread").replace("DownstreamApis", "DownstreamApi"))
    assert found == "DownstreamApi: no such option in this version; did you mean DownstreamApis?"


def test_an_identity_both_inside_and_outside_azuread_is_refused(tmp_path: Path) -> None:
    text = json.dumps(json.loads(filled("dotnet-azuread")) | {"ClientId": "x"})
    assert refusal(tmp_path, text).startswith("ClientId: stands outside AzureAd")


def test_tenant_and_tenant_id_together_are_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, flat(TenantId="contoso.com")).startswith("Tenant, TenantId: say the same")


@pytest.mark.parametrize(
    "key",
    [
        "Authority",
        "AzureRegion",
        "ClientCapabilities",
        "ClientCredentialsUsingManagedIdentity",
        "ExtraQueryParameters",
    ],
)
def test_what_would_change_the_answer_is_refused(tmp_path: Path, key: str) -> None:
    text = with_credentials({"SourceType": "ClientSecret", "ClientSecret": "s"}, **{key: "x"})
    assert names_in(refusal(tmp_path, text)) == [f"AzureAd:{key}"]


@pytest.mark.parametrize(
    ("entry", "option", "expected"),
    [
        ({"SourceType": "Path", "CertificateDiskPath": "c.pfx"}, "certificate_file", "c.pfx"),
        (
            {"SourceType": "SignedAssertionFilePath", "SignedAssertionFileDiskPath": "token"},
            "assertion_file",
            "token",
        ),
    ],
)
def test_a_credential_in_a_file_is_relative_to_the_settings(
    tmp_path: Path, entry: dict[str, str], option: str, expected: str
) -> None:
    identity = loaded(tmp_path, with_credentials(entry)).identities["default"]
    assert getattr(identity, option) == tmp_path / expected


def test_the_certificates_password_is_taken_over(tmp_path: Path) -> None:
    entry = {"SourceType": "Path", "CertificateDiskPath": "c.pfx", "CertificatePassword": "pw"}
    password = loaded(tmp_path, with_credentials(entry)).identities["default"].certificate_password
    assert password
    assert password.get_secret_value() == "pw"


@pytest.mark.parametrize(("client_id", "expected"), [({"ManagedIdentityClientId": "mi"}, "mi"), ({}, "system")])
def test_a_managed_identity_is_the_systems_unless_named(
    tmp_path: Path, client_id: dict[str, str], expected: str
) -> None:
    entry = {"SourceType": "SignedAssertionFromManagedIdentity"} | client_id
    assert loaded(tmp_path, with_credentials(entry)).identities["default"].managed_identity == expected


@pytest.mark.parametrize(
    "source",
    [
        "KeyVault",
        "StoreWithThumbprint",
        "StoreWithDistinguishedName",
        "Base64Encoded",
        "Certificate",
        "Vault",
        None,
    ],
)
def test_an_unsupported_source_type_is_named_with_what_to_do(tmp_path: Path, source: str | None) -> None:
    found = refusal(tmp_path, with_credentials({"SourceType": source}))
    assert names_in(found) == ["AzureAd:ClientCredentials:0"]
    assert "not supported; " in found


def test_a_credential_that_is_no_object_is_named(tmp_path: Path) -> None:
    assert names_in(refusal(tmp_path, with_credentials("secret"))) == ["AzureAd:ClientCredentials:0"]


def test_a_flat_secret_under_azuread_is_a_credential(tmp_path: Path) -> None:
    assert loaded(tmp_path, with_credentials(ClientSecret="s")).identities["default"].client_secret


def test_more_than_one_usable_credential_is_refused(tmp_path: Path) -> None:
    first = {"SourceType": "ClientSecret", "ClientSecret": "s"}
    second = {"SourceType": "Path", "CertificateDiskPath": "c.pfx"}
    found = refusal(tmp_path, with_credentials(first, second))
    assert found.startswith("AzureAd:ClientCredentials:0, AzureAd:ClientCredentials:1: exclude each other")


@pytest.mark.parametrize(
    "unused",
    [
        {"SourceType": "KeyVault", "KeyVaultUrl": "<VaultUri>"},
        {"SourceType": "Path", "CertificateDiskPath": ""},
        {"SourceType": "KeyVault", "Skip": True},
    ],
)
def test_a_credential_not_filled_in_or_skipped_counts_as_absent(tmp_path: Path, unused: dict[str, Any]) -> None:
    used = {"SourceType": "ClientSecret", "ClientSecret": "s"}
    assert loaded(tmp_path, with_credentials(unused, used)).identities["default"].client_secret


def test_the_certificate_object_of_the_later_sample_counts_as_a_credential(tmp_path: Path) -> None:
    found = refusal(
        tmp_path, flat(ClientSecret=None, CertificateName=None, Certificate={"SourceType": "KeyVault"})
    )
    assert names_in(found) == ["Certificate"]
