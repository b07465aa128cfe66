"""What is wrong with a configuration, gathered until all of it is known.

One at a time, six mistakes would take six starts to find. A message names options and says what to do; it
never shows a value, because the value of the wrong option may be the secret that belongs in the right one.
"""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

_Model = TypeVar("_Model", bound=BaseModel)

# What pydantic says of these is right but about Python.
_MESSAGES = {
    "missing": "is required",
    "string_type": "must be text",
    "path_type": "must be a path, in quotes",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
}
_UNKNOWN = "no such option in this version"


class Problems:
    """The problems found so far.

    Options go by their path in a TOML file (`identities.default.tenant`). `names` says how the author of a
    configuration spelled one, where that differs (`AZURE_TENANT_ID`); `settled` holds the options that have
    been complained of already, so that a misspelt option is not reported as missing, too.
    """

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.names: dict[str, str] = {}
        self.settled: set[str] = set()

    def add(self, message: str, *options: str, item: int | None = None) -> None:
        """Add a problem of `options`; `item` is the index in a list that it is about."""
        spelled = ", ".join(dict.fromkeys(self.names.get(option, option) for option in options))
        where = "" if item is None else f" (item {item + 1})"
        self.messages.append(f"{spelled}{where}: {message}" if spelled else message)
        self.settled.update(options)

    def require(self, message: str, option: str, *instead: str) -> None:
        """Add that `option` is missing, unless something has been said of it or of what would do `instead`."""
        if not {option, *instead} & self.settled:
            self.add(message, option)

    def unknown(self, written: str, known: Mapping[str, str], *, key: str = "") -> None:
        """Add that nothing is called `written`, with the nearest of `known` (spelling to option).

        `key` is the part of `written` to compare where it is longer than that.
        """
        nearest = get_close_matches(key or written, known, 1)
        if nearest:
            self.misspelt(written, nearest[0], known[nearest[0]])
        else:
            self.messages.append(f"{written}: {_UNKNOWN}")

    def misspelt(self, written: str, spelled: str, option: str) -> None:
        """Add that nothing is called `written`, which is nearly how `option` is `spelled`."""
        self.messages.append(f"{written}: {_UNKNOWN}; did you mean {spelled}?")
        self.settle(option)

    def rename(self, names: Iterable[tuple[str, str]]) -> None:
        """Note how options are spelled where they were found; the last word stands."""
        self.names.update(names)

    def settle(self, *options: str) -> None:
        """Note that nothing more need be said of these options."""
        self.settled.update(options)


def validated(
    model: type[_Model], table: Any, where: str, problems: Problems, directory: Path | None = None
) -> _Model | None:
    """Return `table` as a `model` and add its problems; paths in it are relative to `directory`.

    Options that are no good are left out, so that they do not hide what else is wrong; None where nothing can
    be made of the rest.
    """
    try:
        return model.model_validate(table, context=directory)
    except ValidationError as invalid:
        report(invalid, where, model.model_fields, problems)
        bad = {error["loc"][0] for error in invalid.errors(include_input=False) if error["loc"]}
    try:
        rest = {name: value for name, value in table.items() if name not in bad}
        return model.model_validate(rest, context=directory)
    except ValidationError:
        return None


def report(invalid: ValidationError, where: str, known: Iterable[str], problems: Problems) -> None:
    """Add what pydantic found, without the values it found it in."""
    errors = invalid.errors(include_url=False, include_context=False, include_input=False)
    # Unknown keys first: the option that one of them was meant to be is not also called missing.
    for error in sorted(errors, key=lambda error: error["type"] != "extra_forbidden"):
        option = ".".join(filter(None, [where, *(part for part in error["loc"] if isinstance(part, str))]))
        item = next((part for part in error["loc"] if isinstance(part, int)), None)
        if error["type"] == "extra_forbidden":
            options = {name: f"{where}.{name}" if where else name for name in known}
            problems.unknown(option, options, key=str(error["loc"][-1]))
        elif error["type"] != "missing" or option not in problems.settled:
            message = _MESSAGES.get(
                error["type"], error["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
            )
            problems.add(message, option, item=item)
