"""Configuration files: TOML, and the two formats of Microsoft's samples, told apart by what is in them.

All of them become the mapping that a TOML file gives. The parsers' own messages are not passed on: they may
quote the file, and the file may hold a secret.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from app.config import appsettings_json, parameters_json
from app.config.problems import Problems

# What .NET accepts in JSON and Python does not. Strings match first, so that `//` in a URL stays. A regular
# expression and not a library, since it is two lines and the packages for it parse much more than .NET does.
_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(r'"(?:\\.|[^"\\])*"|,(?=\s*[}\]])', re.DOTALL)
_TOML_PLACE = re.compile(r"\(at (line \d+, column \d+|end of document)\)")


class _RepeatedKeyError(ValueError):
    """Two keys of one object differ in case at most: .NET refuses the file, Python would take the last."""


def read(path: Path, problems: Problems) -> dict[str, Any] | None:
    """Return what the file says as a TOML file would, or None with the reason added."""
    text = _text(path, problems)
    if text is None:
        return None
    # No TOML document starts with any of these.
    if text.lstrip().startswith(("{", "//", "/*")):
        return _read_json(text, path, problems)
    return _read_toml(text, path, problems)


def _text(path: Path, problems: Problems) -> str | None:
    try:
        return path.read_bytes().decode("utf-8-sig")  # Visual Studio starts its files with a byte order mark
    except OSError as error:
        problems.add(f"{path}: cannot be read: {error.strerror}", "config")
    except UnicodeDecodeError as error:
        problems.add(f"{path}: is not UTF-8 at byte {error.start}; save it as UTF-8", "config")
    return None


def _read_toml(text: str, path: Path, problems: Problems) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        place = _TOML_PLACE.search(str(error))
        where = f" at {place[1]}" if place else ""
    problems.add(f"{path}: is not valid TOML{where}", "config")
    return None


def _read_json(text: str, path: Path, problems: Problems) -> dict[str, Any] | None:
    try:
        root = json.loads(_plain(text), object_pairs_hook=_object)
    except _RepeatedKeyError as error:
        problems.add(f"{path}: {error}", "config")
        return None
    except json.JSONDecodeError as error:
        problems.add(f"{path}: is not valid JSON at line {error.lineno}, column {error.colno}", "config")
        return None
    except (ValueError, RecursionError):
        problems.add(f"{path}: is not valid JSON", "config")
        return None
    return _from_microsoft(root, path, problems)


def _plain(text: str) -> str:
    """Blank out comments and trailing commas, leaving every line and column where it was."""

    def blank(found: re.Match[str]) -> str:
        return found[0] if found[0].startswith('"') else re.sub(r"[^\n]", " ", found[0])

    return _TRAILING_COMMA.sub(blank, _COMMENT.sub(blank, text))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    seen: set[str] = set()
    for key, _ in pairs:
        if key.lower() in seen:
            raise _RepeatedKeyError(f"the key {key} is given twice")
        seen.add(key.lower())
    return dict(pairs)


def _from_microsoft(root: dict[str, Any], path: Path, problems: Problems) -> dict[str, Any] | None:
    python = sum(key in parameters_json.KEYS for key in root)
    dotnet = sum(appsettings_json.is_key(key) for key in root)
    if python > dotnet:
        return parameters_json.read(root, problems)
    if dotnet:
        return appsettings_json.read(root, path.parent, problems)
    problems.add(
        f"{path}: has the keys of neither parameters.json (authority, client_id, scope, secret) nor"
        " appsettings.json (AzureAd, or Instance, Tenant, ClientId); other settings are written in TOML",
        "config",
    )
    return None
