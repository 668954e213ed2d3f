"""The contract of carriers: each of them, on each event loop, with real sockets and servers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shield.cluster.capability import SendResult
from shield.cluster.cluster import Cluster
from shield.cluster.identity_files import Directory
from shield.cluster.join import join
from shield.cluster.messages import MAX_BODY
from tests.cluster.contract import SharedMap, Site, site
from tests.cluster.real import until

__all__ = ["site"]

Got = list[tuple[str, Any, str]]


def listening(*clusters: Cluster) -> Got:
    """What their channel ``test`` gets: to whom, what, from whom. Requests are sent back."""
    got: Got = []
    for cluster in clusters:
        channel = cluster.channel("test")
        channel.message(lambda body, sender, to=cluster.name: got.append((to, body, sender)))
        channel.request(lambda body, _sender, to=cluster.name: (to, body))
    return got


def test_members_find_each_other_and_talk(site: Site) -> None:
    """Broadcast, send and ask work between all; who is unknown is out of reach."""

    async def main(site: Site) -> None:
        a, b, c = await site.start_all("a", "b", "c")
        got = listening(a, b, c)
        assert a.broadcast("test", ("x", b"\x00"), include_self=True) is SendResult.SENT
        assert b.send("c", "test", 7) is SendResult.SENT
        await until(lambda: len(got) == 4)
        everybody = {(to, ("x", b"\x00"), "a") for to in "abc"}
        assert set(got) == {*everybody, ("c", 7, "b")}
        result, answers = await a.ask("test", 1, include_self=True)
        assert result is SendResult.SENT
        assert answers.replies == {"a": ("a", 1), "b": ("b", 1), "c": ("c", 1)}
        assert (await b.ask("test", 2, node="a"))[1].replies == {"a": ("a", 2)}
        assert (await a.ask("nothing", 1))[1].failures == dict.fromkeys("bc", "no such capability")
        assert (await a.ask("test", 2, node="nobody"))[0] is SendResult.UNREACHABLE
        assert a.send("nobody", "test", 1) is SendResult.UNREACHABLE

    site.run(main, "a", "b", "c")


def test_messages_arrive_in_order_and_once(site: Site) -> None:
    """What one member says to another, and to all, keeps its order; nothing comes twice."""

    async def main(site: Site) -> None:
        a, b, c = await site.start_all("a", "b", "c")
        got = listening(b, c)
        for number in range(1000):
            assert a.broadcast("test", ("all", number)) is SendResult.SENT
            assert a.send("b", "test", ("one", number)) is SendResult.SENT
        await until(lambda: len(got) == 3000)
        for to, kind in (("b", "all"), ("b", "one"), ("c", "all")):
            numbers = [body[1] for name, body, _ in got if (name, body[0]) == (to, kind)]
            assert numbers == list(range(1000)), (to, kind)
        await asyncio.sleep(0)
        assert len(got) == 3000

    site.run(main, "a", "b", "c")


def test_a_large_message_arrives_and_a_larger_one_is_refused(site: Site) -> None:
    """As large as a value may be, to one and to all; beyond it the sender is told."""

    async def main(site: Site) -> None:
        a, b, c = await site.start_all("a", "b", "c")
        got = listening(b, c)
        body = bytes(range(256)) * ((MAX_BODY - 100) // 256)
        assert a.send("b", "test", body) is SendResult.SENT
        assert a.broadcast("test", body) is SendResult.SENT
        await until(lambda: len(got) == 3)
        assert all(received == body for _, received, _ in got)
        assert a.broadcast("test", b"x" * (MAX_BODY + 1)) is SendResult.FAILED
        assert a.send("b", "test", object()) is SendResult.FAILED

    site.run(main, "a", "b", "c")


def test_a_member_that_is_killed_is_dead_and_comes_back(site: Site) -> None:
    """Others see it dead, do not wait for its answer, and talk with it after its restart."""

    async def main(site: Site) -> None:
        a, b, _ = await site.start_all("a", "b", "c")
        listening(a, b)
        silent = asyncio.ensure_future(a.ask("test", 1, node="c", timeout=60.0))
        await site.stop("c")
        await until(lambda: site.state("c", "a") == site.state("c", "b") == "dead")
        assert a.members() == ("b",)
        result, answers = await silent
        assert result is SendResult.SENT
        assert answers.missing or answers.failures
        assert a.send("c", "test", 1) is SendResult.UNREACHABLE
        c = await site.start("c")
        await site.together()
        got = listening(c)
        a.broadcast("test", "again")
        c.broadcast("test", "here")
        await until(lambda: ("c", "again", "a") in got)
        assert site.state("c", "a") == "alive"

    site.run(main, "a", "b", "c")


def test_a_member_that_leaves_has_left(site: Site) -> None:
    """It is not called dead, may be removed everywhere, and may come back."""

    async def main(site: Site) -> None:
        a, b, _ = await site.start_all("a", "b", "c")
        await site.stop("c", leave=True)
        await until(lambda: site.state("c", "a") == site.state("c", "b") == "left")
        assert a.members() == ("b",)
        await until(lambda: a.steward.remove("c", 0.0))
        await until(lambda: site.state("c", "b") == "unknown")
        await site.start("c")
        await site.together()
        assert a.send("b", "test", 1) is SendResult.SENT
        assert b.name == "b"

    site.run(main, "a", "b", "c")


def test_a_disabled_member_takes_no_part(site: Site) -> None:
    """It sends and takes nothing, for others it is out of reach, until it is enabled."""

    async def main(site: Site) -> None:
        a, b, c = await site.start_all("a", "b", "c")
        got = listening(a, b, c)
        c.core.enable(enabled=False, now=0.0)
        await until(lambda: a.members() == ("b",) and b.members() == ("a",))
        assert c.broadcast("test", 1) is SendResult.LOCAL_DISABLED
        assert a.send("c", "test", 2) is SendResult.UNREACHABLE
        assert a.broadcast("test", 3) is SendResult.SENT
        assert (await a.ask("test", 4))[1].replies == {"b": ("b", 4)}
        c.core.enable(enabled=True, now=0.0)
        await site.together()
        a.send("c", "test", 5)
        await until(lambda: ("c", 5, "a") in got)
        assert ("c", 3, "a") not in got

    site.run(main, "a", "b", "c")


def test_a_revoked_member_is_out_and_stays_out(site: Site) -> None:
    """On every node, also on one that was away, and after a restart."""

    async def main(site: Site) -> None:
        a, b, bad, _ = await site.start_all("a", "b", "bad", "away")
        await site.stop("away")
        got = listening(a, b)
        listening(bad)
        a.revoke("bad")
        await until(lambda: a.members() == ("b",) and b.members() == ("a",))
        assert bad.broadcast("test", "ban them all") is not None
        bad.send("a", "test", "ban them all")
        await site.stop("b")
        away, b = await site.start("away"), await site.start("b")
        await until(lambda: set(a.members()) == {"away", "b"})
        await until(lambda: set(b.members()) == {"away", "a"})
        await until(lambda: set(away.members()) == {"a", "b"})
        await until(lambda: "bad" in away.core.revocations.times)
        late = listening(away, b)
        bad.broadcast("test", "ban them all")
        a.broadcast("test", "after")
        await until(lambda: len(late) == 2)
        assert {body for _, body, _ in (*got, *late)} == {"after"}

    site.run(main, "a", "b", "bad", "away")


def test_maps_are_equal_again_after_all_were_apart(site: Site) -> None:
    """What each wrote alone all have; what somebody wrote who is gone since as well."""

    async def main(site: Site) -> None:
        clusters = await site.start_all("a", "b", "c", "d")
        maps = {cluster.name: SharedMap(cluster) for cluster in clusters}
        maps["d"].put("from d")
        await until(lambda: all(len(one.table) == 1 for one in maps.values()))
        await site.cut()
        await site.stop("d")
        for name in "abc":
            for number in range(50):
                maps[name].put(f"{name} {number}", name.encode())
        del maps["d"]
        assert {len(one.table) for one in maps.values()} == {51}
        await site.heal()
        await until(lambda: all(len(one.table) == 151 for one in maps.values()), 20)
        assert len({one.digest() for one in maps.values()}) == 1
        maps["a"].put("pushed at once")
        await until(lambda: all(len(one.table) == 152 for one in maps.values()))

    site.run(main, "a", "b", "c", "d")


def test_a_node_that_forgot_everything_is_told(site: Site) -> None:
    """Also its own records, which it knows again, while their writers are there and gone."""

    async def main(site: Site) -> None:
        a, b = await site.start_all("a", "b")
        maps = [SharedMap(a), SharedMap(b)]
        maps[0].put("from a")
        maps[1].put("from b")
        await until(lambda: all(len(one.table) == 2 for one in maps))
        await site.stop("b")
        b = await site.start("b")
        fresh = SharedMap(b)
        await site.together()
        await until(lambda: len(fresh.table) == 2, 20)
        assert fresh.digest() == maps[0].digest()

    site.run(main, "a", "b")


def test_a_token_makes_a_member(site: Site) -> None:
    """A new host joins by TCP at the node with the authority, whatever carries messages later."""

    async def main(site: Site) -> None:
        a = await site.start("a")
        token = a.invite(advertise=f"127.0.0.1:{a.carrier.port}")
        await asyncio.to_thread(join, token, Directory(site.folder / "new"), "new")
        await site.start("new")
        await site.together()

    site.run(main, "a")


def test_a_certificate_renews_itself(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node whose certificate nears its end gets a new one from the authority; others see it."""

    async def main(site: Site) -> None:
        a = await site.start("a")
        old = Directory(site.folder / "b").load().identity.certificate
        b = await site.start("b")
        await site.together()
        monkeypatch.setattr("shield.cluster.steward.needs_renewal", lambda own, _wall: own.der == old)
        await until(lambda: b.core.identity.certificate != old)
        members = a.core.membership.members
        await until(lambda: members["b"].record.certificate == b.core.identity.certificate)
        assert Directory(site.folder / "b").load().identity.certificate != old
        got = listening(a)
        b.send("a", "test", "signed with the same key")
        await until(lambda: len(got) == 1)

    site.run(main, "a", "b")


def test_people_see_the_carrier(site: Site) -> None:
    """Its name, its connections, and what is known of a member; nothing is wrong."""

    async def main(site: Site) -> None:
        a, _ = await site.start_all("a", "b")
        status = a.carrier.status(0.0)
        assert status["carrier"] == site.carrier
        assert status["unreachable"] == {} == a.carrier.problems()
        assert len(a.carrier.connections(0.0)) == 1
        assert abs(a.carrier.connection("b", 0.0)["clock_offset"]) < 10
        assert a.carrier.connection("nobody", 0.0) == {}

    site.run(main, "a", "b")
