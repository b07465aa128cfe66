"""What is wrong with a credential is found out when it is loaded, and said without its contents."""

from pathlib import Path

import keys
import pytest
from cryptography import x509

from app.core.errors import CredentialError
from app.entra.credentials import (
    MAX_FILE_BYTES,
    ClientCertificate,
    ClientSecret,
    ManagedIdentity,
    SignedAssertion,
    load_assertion,
    load_certificate,
    load_password,
    load_secret,
)

JWT = "eyJhbGciOiJub25lIn0.eyJhIjoxfQ.c2ln"


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "credential"


@pytest.mark.parametrize("content", ["s3cret", "s3cret\n", "s3cret\r\n", "\ufeffs3cret"])
def test_a_secret_is_the_one_line_of_its_file(file: Path, content: str) -> None:
    assert load_secret(write(file, content)) == ClientSecret("s3cret")


def test_spaces_are_part_of_a_secret(file: Path) -> None:
    assert load_secret(write(file, " s e:c%r+t \n")).value == " s e:c%r+t "


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b"one\ntwo", "more than one line"),
        (b"\xff\xfe", "UTF-8"),
        (b"a" * (MAX_FILE_BYTES + 1), "larger"),
    ],
)
def test_a_file_that_is_no_secret_is_refused(file: Path, content: bytes, reason: str) -> None:
    with pytest.raises(CredentialError, match=reason) as raised:
        load_secret(write(file, content))
    assert str(file) in str(raised.value)
    assert "two" not in str(raised.value)


def test_of_a_missing_file_the_directory_is_told(file: Path) -> None:
    with pytest.raises(CredentialError, match="does not exist") as raised:
        load_secret(file)
    assert str(file.parent) in str(raised.value)


@pytest.mark.parametrize("name", ["canary~s3cret", "cana/ry~s3cret", "canary" * 100, "canary\0"])
def test_a_secret_in_the_place_of_a_file_name_is_not_told(tmp_path: Path, name: str) -> None:
    with pytest.raises(CredentialError, match="does not exist") as raised:
        load_secret(tmp_path / name)
    assert "cana" not in str(raised.value)


def test_a_directory_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="directory"):
        load_password(tmp_path)


def certificate_and_key(**files: bytes) -> bytes:
    return b"".join(files.values())


def test_one_pem_with_key_and_certificate(file: Path) -> None:
    loaded = load_certificate(write(file, keys.key_pem() + keys.certificate_pem()))
    assert loaded.key.private_numbers() == keys.rsa_key().private_numbers()
    assert loaded.chain == keys.certificate_pem().decode()
    assert loaded.thumbprint is None
    assert loaded.not_after == keys.certificate().not_valid_after_utc


def test_the_leaf_comes_first_whatever_the_order_in_the_file(file: Path) -> None:
    loaded = load_certificate(write(file, keys.certificate_pem("other") + keys.certificate_pem() + keys.key_pem()))
    assert loaded.chain is not None
    chain = x509.load_pem_x509_certificates(loaded.chain.encode())
    assert chain == [keys.certificate(), keys.certificate("other")]


def test_two_files(tmp_path: Path) -> None:
    loaded = load_certificate(
        write(tmp_path / "c", keys.certificate_pem()),
        write(tmp_path / "k", keys.key_pem(password=keys.PASSWORD)),
        password=keys.PASSWORD,
    )
    assert loaded.chain


def test_a_pfx_with_its_chain(file: Path) -> None:
    loaded = load_certificate(write(file, keys.pfx(cas=("other",))), password=keys.PASSWORD)
    assert loaded.chain is not None
    assert loaded.chain.count("BEGIN") == 2


def test_a_pfx_without_a_password(file: Path) -> None:
    assert load_certificate(write(file, keys.pfx(password=None))).chain


def test_a_key_alone_with_a_thumbprint(file: Path) -> None:
    loaded = load_certificate(None, write(file, keys.key_pem()), thumbprint=keys.thumbprint())
    assert (loaded.chain, loaded.thumbprint, loaded.not_after) == (None, keys.thumbprint(), None)


def test_a_thumbprint_beside_its_certificate(file: Path) -> None:
    loaded = load_certificate(
        None, write(file, keys.key_pem() + keys.certificate_pem()), thumbprint=keys.thumbprint()
    )
    assert loaded.thumbprint == keys.thumbprint()
    assert loaded.chain


def test_an_expired_certificate_is_loaded_for_the_authority_to_judge(file: Path) -> None:
    expired = keys.certificate_pem(keys.EXPIRED)
    loaded = load_certificate(write(file, keys.key_pem(keys.EXPIRED) + expired))
    assert loaded.not_after is not None


@pytest.mark.parametrize(
    ("content", "options", "reason"),
    [
        (keys.certificate_pem("other") + keys.key_pem(), {}, "does not belong"),
        (keys.key_pem() + keys.certificate_pem(), {"thumbprint": "AB" * 20}, "thumbprint is not"),
        (keys.key_pem(), {}, "no certificate"),
        (keys.certificate_pem(), {}, "no private key"),
        (keys.key_pem(password=keys.PASSWORD) + keys.certificate_pem(), {}, "is encrypted"),
        (keys.key_pem(password=keys.PASSWORD) + keys.certificate_pem(), {"password": "wrong"}, "no private key"),
        (keys.key_pem() + keys.certificate_pem(), {"password": "wrong"}, "is not encrypted"),
        (keys.pfx(), {}, "neither PEM nor a PFX"),
        (keys.pfx(), {"password": "wrong"}, "neither PEM nor a PFX"),
        (b"rubbish", {}, "neither PEM nor a PFX"),
        (keys.ec_key_pem() + keys.certificate_pem(), {}, "not an RSA key"),
        (keys.key_pem(keys.WEAK) + keys.certificate_pem(), {}, "1024 bits"),
        (
            keys.key_pem() + b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            {},
            "cannot be parsed",
        ),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", {}, "no private key"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    file: Path, content: bytes, options: dict[str, str], reason: str
) -> None:
    with pytest.raises(CredentialError, match=reason) as raised:
        load_certificate(
            write(file, content), password=options.get("password"), thumbprint=options.get("thumbprint")
        )
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
    assert "wrong" not in str(raised.value)


def test_a_key_alone_without_a_thumbprint_is_refused(file: Path) -> None:
    with pytest.raises(CredentialError, match="thumbprint"):
        load_certificate(None, write(file, keys.key_pem()))


def test_no_file_at_all_is_refused() -> None:
    with pytest.raises(CredentialError, match="neither"):
        load_certificate(None)


def test_an_assertion_is_read_anew_each_time(file: Path) -> None:
    assertion = load_assertion(write(file, JWT + "\n"))
    assert assertion.read() == JWT
    write(file, JWT + "x")
    assert assertion.read() == JWT + "x"
    file.unlink()
    with pytest.raises(CredentialError, match="does not exist"):
        assertion.read()


@pytest.mark.parametrize("content", ["not-a-jwt", "a.b", "a.b.c.d", "a. b.c", "ä.b.c"])
def test_an_assertion_file_with_something_else_is_refused(file: Path, content: str) -> None:
    with pytest.raises(CredentialError, match="does not hold a signed JWT"):
        load_assertion(write(file, content))


def test_no_credential_shows_itself(file: Path) -> None:
    loaded = load_certificate(write(file, keys.key_pem() + keys.certificate_pem()))
    shown = repr([ClientSecret("canary"), loaded, SignedAssertion(file), ManagedIdentity(None, "api://x")])
    assert "canary" not in shown
    assert "RSAPrivateKey" not in shown
    assert isinstance(loaded, ClientCertificate)
