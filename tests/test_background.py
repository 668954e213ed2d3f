"""Threads that nobody waits for, DNS, and the words to systemd."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import sys
import threading
from asyncio import sslproto
from pathlib import Path

import pytest

from shield.background import GARBAGE, TLS_BUFFER, calm_collector, in_thread, look_up, notify, run_loop
from shield.errors import SystemFailure
from shield.net import pack


def test_the_collector_is_calmed() -> None:
    """It looks less often, and what is there already is none of its business; it is not switched off."""
    before = gc.get_threshold()
    try:
        calm_collector()
        assert gc.get_threshold() == GARBAGE
        assert gc.get_freeze_count() > 0
        assert gc.isenabled()
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)


def test_asyncio_keeps_small_buffers_for_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where uvloop is not installed, each TLS connection of the node has a buffer of our size."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    monkeypatch.setattr(sslproto.SSLProtocol, "max_size", 1 << 18)

    async def main() -> None:
        sizes.append(sslproto.SSLProtocol.max_size)

    sizes: list[int] = []
    run_loop(main())
    assert sizes == [TLS_BUFFER]


def test_a_thread_gives_its_result() -> None:
    """The work runs in another thread and its result arrives."""
    other = asyncio.run(in_thread(threading.get_ident))
    assert other != threading.get_ident()


def test_an_error_in_a_thread_comes_back() -> None:
    """What a thread raises is raised where its result is awaited."""

    def work() -> None:
        raise SystemFailure("no")

    with pytest.raises(SystemFailure, match="no"):
        asyncio.run(in_thread(work))


def test_a_thread_that_hangs_holds_nobody_up() -> None:
    """The loop ends while the thread still waits, and its late result disturbs nobody."""
    release = threading.Event()

    async def main() -> None:
        async with asyncio.timeout(0.05):
            await in_thread(release.wait)

    with pytest.raises(TimeoutError):
        asyncio.run(main())
    release.set()


def test_look_up() -> None:
    """The machine's own name gives packed addresses; a name that cannot exist is an OSError."""
    assert pack("127.0.0.1") in look_up("localhost")
    with pytest.raises(OSError, match=r".+"):
        look_up("nothing.invalid")


def test_notify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text goes to the socket of the environment, by path or abstract; without one nowhere."""
    abstract = f"@shield-test-{os.getpid()}"
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify("nobody listens")
    for name, address in ((f"{tmp_path}/s", f"{tmp_path}/s"), (abstract, "\0" + abstract[1:])):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(address)
            manager.settimeout(2)
            monkeypatch.setenv("NOTIFY_SOCKET", name)
            notify("READY=1")
            assert manager.recv(100) == b"READY=1"
    notify("the manager is gone")
