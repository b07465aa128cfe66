"""The rules of the house that no linter knows."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
APP = sorted((ROOT / "app").rglob("*.py"))
SOURCES = [*APP, *sorted((ROOT / "tests").rglob("*.py"))]
MAX_FUNCTION, MAX_FILE = 40, 300


def functions(text: str) -> Iterator[tuple[str, int]]:
    """Give each function's name and its length in lines."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or 0) - node.lineno + 1


def unexplained(text: str) -> list[str]:
    """Return the lines that silence a tool without saying why."""
    quiet = re.compile(r"# (noqa|type: ignore|pragma|fmt: )")
    reason = re.compile(r"# (noqa: [A-Z0-9, ]+ - \w+|type: ignore\[[a-z-]+\]  # \w+|pragma: .* - \w+)")
    return [line for line in text.splitlines() if quiet.search(line) and not reason.search(line)]


@pytest.mark.parametrize("path", APP, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_and_files_are_short_and_modules_say_what_they_are_for(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MAX_FILE
    assert [name for name, length in functions(text) if length > MAX_FUNCTION] == []
    assert ast.get_docstring(ast.parse(text))


def test_the_check_of_functions_finds_a_long_one() -> None:
    text = "def long():\n" + "    pass\n" * MAX_FUNCTION
    assert [name for name, length in functions(text) if length > MAX_FUNCTION] == ["long"]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_silenced_has_its_reason(path: Path) -> None:
    assert unexplained(path.read_text()) == []


def test_the_check_of_reasons_finds_a_missing_one() -> None:
    bare = "x = 1  # " + "noqa: S101"
    assert unexplained(bare) == [bare]
    assert unexplained(f"{bare} - because") == []


def test_every_ignored_rule_and_dependency_has_its_reason() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    project = tomllib.loads(text)
    listed = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["dev"]]
    listed += project["tool"]["ruff"]["lint"]["ignore"]
    for item in listed:
        line = next(line for line in text.splitlines() if f'"{item}"' in line)
        assert re.search(r"#\s*\w+", line), line


@pytest.mark.parametrize("name", ["requirements-build.lock", "requirements.lock", "requirements-dev.lock"])
def test_a_lock_has_hashes_and_names_no_index(name: str) -> None:
    text = (ROOT / name).read_text()
    pinned = re.findall(r"^([a-z0-9-]+)==", text, re.MULTILINE)
    assert pinned
    assert len(re.findall(r"^[a-z0-9-]+==[^\n]*\\\n    --hash=", text, re.MULTILINE)) == len(pinned)
    assert not re.search(r"://|--index|--find-links|--extra-index", text)
