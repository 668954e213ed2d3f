"""shield.users: the commands about users, alone and in a cluster of two."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from shield.control.commands import Actor
from shield.errors import InputError
from shield.location.settings import LocationSettings
from shield.users import Users, wanted
from tests.cluster.real import closing, prepare, start, together
from tests.location.test_directory import at

WHO = Actor("root", 0, 1)


def users(node: str = "a") -> Users:
    return Users(LocationSettings(track=True), node, wall=time.time, clock=time.monotonic)


async def whereis(made: Users, **arguments: Any) -> Any:
    return await made.commands["whereis"](arguments, WHO)


def test_alone_a_node_knows_its_own_users() -> None:
    """Nobody else can be asked."""
    made = users()
    made.observe(at(60), time.monotonic())
    found = asyncio.run(whereis(made, user="100"))
    assert [place["user"] for place in found["places"]] == ["100@host.example"]
    assert [place["node"] for place in made.commands["users"]({}, WHO)] == ["a"]
    with pytest.raises(InputError, match="in no cluster"):
        asyncio.run(whereis(made, user="100", ask=True))
    made.tick(time.monotonic())


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("alice", b"alice"),
        ("alice@Example.COM", b"alice@example.com"),
        ("sip:al%20ice@Example.com;transport=tcp", b"al ice@example.com"),
        ("al%3Aice@h", b"al:ice@h"),
        ("é@h", "é@h".encode()),
        (" <sip:x@h> ", b"x@h"),
    ],
)
def test_what_people_type(text: str, octets: bytes) -> None:
    """A user, a user with domain, a URI."""
    assert wanted(text) == octets


@pytest.mark.parametrize("text", ["", "  ", "sip:example.com"])
def test_what_names_nobody_is_refused(text: str) -> None:
    """With a hint."""
    with pytest.raises(InputError):
        wanted(text)


def test_others_answer_for_their_users(tmp_path: Path) -> None:
    """Asked live, and known here a moment later; a node that was put out takes its users along."""
    asyncio.run(_others(tmp_path))


async def _others(folder: Path) -> None:
    prepare(folder, "n1", "n2")
    one = await start(folder, "n1")
    two = await start(folder, "n2", one)
    async with await closing(one, two):
        first, second = users(one.name), users(two.name)
        first.join(one, time.monotonic())
        second.join(two, time.monotonic())
        await together(one, two)
        second.observe(at(60), time.monotonic())
        asked = await whereis(first, user="100", ask=True, timeout=5.0)
        assert [place["node"] for place in asked["places"]] == [two.name]
        assert (asked["failures"], asked["missing"]) == ({}, [])
        async with asyncio.timeout(10):
            while not (await whereis(first, user="100"))["places"]:
                await asyncio.sleep(0.05)
        first.forget(two.name, time.monotonic())
        assert (await whereis(first, user="100"))["places"] == []
        first.part()
        second.part()
