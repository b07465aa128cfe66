"""Runs the command line as a user does: in a process of its own, with only the environment it is given."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

BROKER = Path(sys.executable).with_name("token-broker")
# What a process needs to run at all, and what lets coverage follow it.
_INHERITED = ("PATH", "HOME", "TMPDIR", "COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")


def run(*arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    command = [str(BROKER), *map(str, arguments)]
    return subprocess.run(  # noqa: S603 - our own command
        command, env=_environment(env), capture_output=True, text=True, timeout=60, check=False
    )


def started(*arguments: str | Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a command, its output in pipes."""
    return subprocess.Popen(  # noqa: S603 - our own command
        [str(BROKER), *map(str, arguments)],
        env=_environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(
    *arguments: str | Path, until: str, env: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a command; gives the process and what it printed up to the line that has `until` in it."""
    process = subprocess.Popen(  # noqa: S603 - our own command
        [str(BROKER), *map(str, arguments)],
        env=_environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        printed = ""
        for line in process.stdout:
            printed += line
            if until in line:
                break
        else:
            raise AssertionError(f"it ended before saying {until!r}: {printed}")
        yield process, printed
    finally:
        process.terminate()
        process.stdout.read()
        process.stdout.close()
        process.wait(30)


def _environment(env: Mapping[str, str] | None) -> dict[str, str]:
    return {name: os.environ[name] for name in _INHERITED if name in os.environ} | dict(env or {})
