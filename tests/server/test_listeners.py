"""Sockets: loopback and Unix only, with the right mode from the first instant."""

import contextlib
import os
import socket
import stat
from pathlib import Path

import pytest

from app.server.listeners import bind, url_of


@pytest.mark.parametrize(
    ("address", "url"),
    [("127.0.0.1:0", "http://127.0.0.1:"), ("localhost:0", "http://127.0.0.1:"), ("[::1]:0", "http://[::1]:")],
)
def test_loopback_with_a_port_the_system_chooses(address: str, url: str) -> None:
    with bind(address) as listener:
        assert url_of(listener).startswith(url)
        assert not url_of(listener).endswith(":0")


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("0.0.0.0:0", "loopback"),
        ("[::]:0", "loopback"),
        ("10.0.0.1:0", "loopback"),
        ("example.com:0", "loopback"),
        ("[localhost]:0", "loopback"),
        ("[127.0.0.1]:0", "loopback"),
        ("nonsense", "must be"),
        ("127.0.0.1", "must be"),
        ("127.0.0.1:x", "must be"),
        ("127.0.0.1:99999", "must be"),
        ("::1:80", "must be"),
        ("", "must be"),
        ("unix:relative.sock", "absolute"),
    ],
)
def test_any_other_address_is_refused(address: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        bind(address)


def test_a_port_in_use_is_an_error() -> None:
    with bind("127.0.0.1:0") as first:
        first.listen()
        with pytest.raises(OSError, match="in use"):
            bind(url_of(first).removeprefix("http://"))


def test_a_unix_socket_is_ours_and_our_groups_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with bind(f"unix:{tmp_path}/broker.sock") as listener:
            assert stat.S_IMODE((tmp_path / "broker.sock").stat().st_mode) == 0o660
            assert url_of(listener) == f"unix:{tmp_path}/broker.sock"
        assert os.umask(0) == 0
    finally:
        os.umask(before)


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "broker.sock"
    bind(f"unix:{path}").close()
    assert path.is_socket()
    bind(f"unix:{path}").close()


def test_a_socket_in_use_is_not_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "broker.sock"
    with bind(f"unix:{path}") as first:
        first.listen()
        with pytest.raises(OSError, match="in use"):
            bind(f"unix:{path}")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


@pytest.mark.parametrize("kind", ["file", "symlink"])
def test_what_is_no_socket_is_not_removed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "broker.sock"
    if kind == "file":
        path.write_text("precious")
    else:
        (tmp_path / "target").write_text("precious")
        path.symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="not a socket"):
        bind(f"unix:{path}")
    assert path.read_text() == "precious"


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"none/broker\.sock: No such file"):
        bind(f"unix:{tmp_path}/none/broker.sock")


def test_a_path_too_long_for_a_socket_is_said(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        bind(f"unix:{tmp_path}/{'long' * 50}")


def test_a_broker_that_has_bound_but_does_not_accept_yet_is_not_stale(tmp_path: Path) -> None:
    with bind(f"unix:{tmp_path}/broker.sock"), pytest.raises(OSError, match="in use"):
        bind(f"unix:{tmp_path}/broker.sock")


def test_a_broker_too_busy_to_accept_is_not_stale(tmp_path: Path) -> None:
    path = tmp_path / "broker.sock"
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(bind(f"unix:{path}"))
        listener.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.settimeout(0)
            waiting.connect_ex(str(path))
        with pytest.raises(OSError, match="in use"):
            bind(f"unix:{path}")
        assert path.is_socket()
