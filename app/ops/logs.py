"""One line per event on standard output, as text or JSON. No line ever holds a token or a secret."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from app.core.errors import place_of

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


def configure(level: str, style: str) -> None:
    """Send the log to standard output at `level`, as `text` or `json`."""
    out = logging.StreamHandler(sys.stdout)
    out.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    logging.basicConfig(level=level.upper(), handlers=[out], force=True)
    for name in ("msal", "urllib3", "uvicorn", "asyncio"):
        # Below this they tell of requests, headers and retries, in words that are not ours; the broker logs
        # every failure itself.
        logging.getLogger(name).setLevel(logging.ERROR)


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z INFO message name=value ...`."""

    def format(self, record: logging.LogRecord) -> str:
        facts = "".join(f" {name}={_quoted(value)}" for name, value in _facts(record).items())
        return f"{utc(record.created, 'milliseconds')} {record.levelname} {_one_line(record.getMessage())}{facts}"


class JsonFormatter(logging.Formatter):
    """One JSON object per line: `time`, `level`, `message`, and the facts of the event."""

    def format(self, record: logging.LogRecord) -> str:
        moment = utc(record.created, "milliseconds")
        line = {"time": moment, "level": record.levelname.lower(), "message": record.getMessage()}
        return json.dumps({**line, **_facts(record)}, default=str)


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    facts = {name: fact for name, fact in vars(record).items() if name not in _STANDARD and fact is not None}
    if record.exc_info and record.exc_info[1]:
        facts["exception"] = place_of(record.exc_info[1])
    return facts


def utc(seconds: float, timespec: str) -> str:
    """Return a moment since the epoch as ISO 8601, to `timespec` as in datetime.isoformat."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec=timespec).replace("+00:00", "Z")


def _quoted(value: object) -> str:
    text = str(value)
    return (
        json.dumps(text)
        if not text or any(character in ' "=' or not character.isprintable() for character in text)
        else text
    )


def _one_line(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)
