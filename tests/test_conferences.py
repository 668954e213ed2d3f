"""shield.conferences: the commands, and what proxies are answered, alone and in a cluster of two."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from shield.conference.settings import ConferenceSettings
from shield.conferences import Conferences
from shield.control.commands import Actor
from shield.errors import InputError
from shield.net import pack
from shield.redirect.responder import HERE, Target
from shield.sip.calls import Call
from shield.sip.dialogs import Dialogs
from tests.cluster.real import closing, prepare, start, together, until

WHO = Actor("root", 0, 1)


def conferences(node: str = "a", advertise: str = "") -> Conferences:
    return Conferences(
        ConferenceSettings(numbers=("3xxx",)), node, Dialogs(), advertise=advertise,
        wall=time.time, clock=time.monotonic,
    )  # fmt: skip


def answered(made: Conferences) -> None:
    """A call to 3001 is answered here."""
    call = Call(b"c1", b"tag", time.time())
    call.named(b"1001", b"3001")
    call.server, call.answered = pack("2001:db8::1"), time.time()
    made.directory.changed(call, time.monotonic())


def test_alone_a_node_hosts_its_own() -> None:
    """Found here by proxies, released by the operator; other numbers are none of its business."""
    made = conferences()
    assert made.find(b"3001@h", 0.0) is HERE
    assert made.find(b"1001@h", 0.0) is None
    answered(made)
    (row,) = made.commands["conference.list"]({}, WHO)
    assert (row["number"], row["node"], row["server"], row["calls"]) == (
        "3001", "a", "[2001:db8::1]:5060", 1,
    )  # fmt: skip
    assert made.commands["conference.show"]({"number": "3001"}, WHO) == row
    assert made.commands["conference.release"]({"number": "3001"}, WHO) == {"released": row}
    for command in ("conference.show", "conference.release"):
        with pytest.raises(InputError, match="no conference '3001' is on"):
            made.commands[command]({"number": "3001"}, WHO)
    made.tick(time.monotonic())
    assert (made.as_json()["on"], made.as_json()["released"], made.warnings()) == (0, 1, [])


def test_others_are_told_and_answer_their_proxies(tmp_path: Path) -> None:
    """With where the host's server is reached; a node that was put out takes its claims along."""
    asyncio.run(_others(tmp_path))


async def _others(folder: Path) -> None:
    prepare(folder, "n1", "n2")
    one = await start(folder, "n1")
    two = await start(folder, "n2", one)
    async with await closing(one, two):
        first, second = conferences(one.name), conferences(two.name, "sip2.example.com")
        first.join(one, time.monotonic())
        second.join(two, time.monotonic())
        await together(one, two)
        answered(second)
        target = Target("sip2.example.com", "udp")
        await until(lambda: first.find(b"3001@h", time.monotonic()) == target)
        assert second.find(b"3001@h", time.monotonic()) is HERE
        assert any(event.kind == "conference" for event in two.core.events.latest())
        first.forget(two.name, time.monotonic())
        assert first.find(b"3001@h", time.monotonic()) is HERE
        first.part()
        second.part()
