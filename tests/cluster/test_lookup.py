"""Lookup: names are asked for in the background, addresses need nobody."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

from shield.cluster.lookup import MAX_LOOKUPS, Lookup

REAL = socket.getaddrinfo


class Dns:
    """Answers names only when ``answer`` is set; knows one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.answer = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", self.getaddrinfo)

    def getaddrinfo(self, host: str, port: int, *, flags: int = 0, **more: Any) -> Any:
        if not flags & socket.AI_NUMERICHOST:
            self.asked.append(host)
            self.answer.wait(10)
            if host != "pbx.example":
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host = "192.0.2.1"
        return REAL(host, port, flags=flags | socket.AI_NUMERICHOST, **more)


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Dns:
    return Dns(monkeypatch)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_addresses_need_no_dns(dns: Dns) -> None:
    """However many names wait for an answer."""

    async def main() -> None:
        lookup = Lookup()
        tasks = [asyncio.ensure_future(lookup.places(f"h{n}.example", 1)) for n in range(MAX_LOOKUPS)]
        await asyncio.sleep(0)
        assert (await lookup.places("127.0.0.1", 7170))[0][4] == ("127.0.0.1", 7170)
        assert (await lookup.places("::1", 7170))[0][0] == socket.AF_INET6
        with pytest.raises(OSError, match="too many"):
            await lookup.places("one-more.example", 1)
        dns.answer.set()
        failures = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(failure) for failure in failures} == {socket.gaierror}

    run(main())


def test_a_name_that_is_asked_for_again_and_again_waits_once(dns: Dns) -> None:
    """Who gives up leaves the question open for the next try, which gets the answer."""

    async def main() -> None:
        lookup = Lookup()
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await lookup.places("pbx.example", 7170)
        assert dns.asked == ["pbx.example"]
        dns.answer.set()
        assert (await lookup.places("pbx.example", 7170))[0][4] == ("192.0.2.1", 7170)
        await lookup.places("pbx.example", 7170)
        assert len(dns.asked) == 2, "an answer is not kept: names move"

    run(main())


def test_a_silent_server_does_not_hold_up_the_end(dns: Dns) -> None:
    """The loop ends while the question is open; its late answer harms nobody."""

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await Lookup().places("pbx.example", 7170)

    run(main())
    assert not dns.answer.is_set()
    dns.answer.set()


def test_what_is_no_name_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A member may tell anything."""
    for host in ("a..b", "a\0b"):
        with pytest.raises((ValueError, OSError)):
            asyncio.run(Lookup().places(host, 1))
