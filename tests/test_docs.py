"""What the documentation shows is accepted as it stands."""

import re
from pathlib import Path

import pytest

from app.cli import main
from app.config import load
from app.dialects.native import ERROR_CODES, PARAMETERS, STYLES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", ["README.md", "docs/configuration.md"])
def test_the_first_toml_file_of_a_page_loads(page: str, tmp_path: Path) -> None:
    config = tmp_path / "broker.toml"
    config.write_text(blocks(ROOT / page, "toml")[0])
    settings = load({"config": config})
    assert set(settings.identities) == {"default", "reports"}
    assert {"graph", "vault"} <= set(settings.tokens)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_linked_is_there(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_the_native_page_has_every_parameter_form_and_error() -> None:
    text = (ROOT / "docs" / "native.md").read_text()
    for word in (*PARAMETERS, *STYLES, *ERROR_CODES.values(), "not_found", "method_not_allowed"):
        assert f"`{word}`" in text


def test_the_configuration_page_has_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    for model in (load.__globals__[name] for name in ("Settings", "IdentitySettings", "TokenSettings")):
        for name in model.model_fields:
            if name not in {"config", "environment_proxy", "ignored_environment", "warnings"}:
                assert f"`{name}`" in text
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    for flag in re.findall(r"--[a-z-]+", capsys.readouterr().out):
        assert flag in text + "--help"
