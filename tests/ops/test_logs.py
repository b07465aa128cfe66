"""One line per event, whatever is in it."""

import json
import logging
import sys

import pytest

from app.ops.logs import JsonFormatter, TextFormatter, configure


def record(message: str, **facts: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "levelno": logging.INFO, "levelname": "INFO", "created": 1.5})
    vars(made).update(facts)
    return made


def test_text() -> None:
    line = TextFormatter().format(record("no token", scope="a/.default", aadsts=None, detail='two "words"\n'))
    assert line == '1970-01-01T00:00:01.500Z INFO no token scope=a/.default detail="two \\"words\\"\\n"'


def test_json() -> None:
    line = JsonFormatter().format(record("no token", scope="a/.default", aadsts=None, failures=2))
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:01.500Z",
        "level": "info",
        "message": "no token",
        "scope": "a/.default",
        "failures": 2,
    }


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_a_line_break_does_not_make_a_second_line(formatter: logging.Formatter) -> None:
    assert "\n" not in formatter.format(record("one\ntwo", fact="three\r\nfour"))


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_an_exception_is_its_kind_and_place_only(formatter: logging.Formatter) -> None:
    line = ""
    try:
        int("canary")
    except ValueError:
        line = formatter.format(record("failed", exc_info=sys.exc_info()))
    assert "canary" not in line
    assert "ValueError in test_an_exception_is_its_kind_and_place_only" in line


def test_libraries_are_not_heard_below_an_error() -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure("debug", "json")
        for name in ("msal", "urllib3.connectionpool", "uvicorn.access"):
            assert not logging.getLogger(name).isEnabledFor(logging.WARNING)
        assert logging.getLogger("app.core.broker").isEnabledFor(logging.DEBUG)
    finally:
        for name in ("msal", "urllib3", "uvicorn", "asyncio"):
            logging.getLogger(name).setLevel(logging.NOTSET)
        root.handlers[:] = handlers
        root.setLevel(level)
