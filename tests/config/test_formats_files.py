"""Reading a configuration file: which format it is, and what is said where it is none."""

from pathlib import Path

import pytest

from app.config import ConfigurationError, load

TOML = """
[identities.default]
tenant = "contoso.com"
client_id = "c"
client_secret = "s"
[tokens.graph]
scope = "https://graph.microsoft.com/.default"
"""
JSON = """{
  "authority": "https://login.microsoftonline.com/contoso.com",
  "client_id": "c",
  "scope": ["https://graph.microsoft.com/.default"],
  "secret": "s"
}"""


def refusal(path: Path) -> str:
    with pytest.raises(ConfigurationError) as refused:
        load({"config": path})
    return str(refused.value)


@pytest.mark.parametrize("content", [TOML, JSON, f"\ufeff{TOML}", f"\ufeff{JSON}", f"// comment\n{JSON}"])
@pytest.mark.parametrize("name", ["broker.conf", "settings.json", "settings.toml"])
def test_the_format_is_told_by_content_and_a_byte_order_mark_is_no_matter(
    tmp_path: Path, name: str, content: str
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert load({"config": path}).identities["default"].tenant == "contoso.com"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a = 1\nb = = 2\n", "is not valid TOML at line 2, column 5"),
        (b"a = '", "is not valid TOML at "),
        (b"[a", "is not valid TOML at end of document"),
        (b'{\n  "client_id": "c",\n  "secret": s\n}', "is not valid JSON at line 3, column 13"),
        (b'{ /* a\n   b */ "client_id": "c", "secret": s }', "is not valid JSON at line 2, column 37"),
        (b'{"client_id": "c", "client_id": "d"}', "the key client_id is given twice"),
        (b'{"ClientId": "c", "clientid": "d"}', "the key clientid is given twice"),
        (b'{"a": ' + b"[" * 100_000, "is not valid JSON"),
        (b'{"a": 1}', "has the keys of neither parameters.json"),
        ("a = 'caf\u00e9'".encode("latin-1"), "is not UTF-8 at byte 8"),
        (TOML.encode("utf-16"), "is not UTF-8 at byte 0; save it as UTF-8"),
    ],
)
def test_a_file_that_is_neither_is_named_with_the_place(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "broker.conf"
    path.write_bytes(content)
    found = refusal(path)
    assert found.startswith(f"--config: {path}: ")
    assert message in found
    assert "\n" not in found


@pytest.mark.parametrize(("name", "reason"), [("absent", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_named_with_the_reason(tmp_path: Path, name: str, reason: str) -> None:
    assert reason in refusal(tmp_path / name)


def test_a_file_that_cannot_be_read_does_not_hide_other_problems(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROKER_LOG_LEVEL", "loud")
    monkeypatch.setenv("BROKER_CONFIG", str(tmp_path / "absent"))
    with pytest.raises(ConfigurationError) as refused:
        load()
    assert [line.partition(":")[0] for line in refused.value.problems] == ["BROKER_CONFIG", "BROKER_LOG_LEVEL"]
