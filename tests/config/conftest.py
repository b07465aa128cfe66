"""The two simplest configurations: the environment alone, and a file."""

from pathlib import Path

import pytest
from configurations import FILE, MINIMAL


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Configure one identity by the environment alone."""
    for name, value in MINIMAL.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "broker.toml"
    path.write_text(FILE)
    return path
