"""The node's part in a cluster: two nodes' inner parts, joined over real TLS on loopback."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shield.blocklist.shared_record import ban_key
from shield.blocklist.sharing_settings import SharingSettings
from shield.cluster.authority import create
from shield.cluster.cluster import Cluster
from shield.cluster.identity import Identity
from shield.cluster.identity_files import Directory
from shield.cluster.settings import ClusterSettings
from shield.cluster_orders import ClusterOrders
from shield.clustering import Clustering, make_sharing, own_seal
from shield.control.commands import COMMANDS
from shield.errors import InputError
from shield.net import Network
from tests.cluster.identities import member
from tests.cluster.real import QUICK, until
from tests.node_parts import ATTACKER, ROOT, Bench


class Part:
    """One node without capture, on the real clock. ``name`` has an identity in ``folder``."""

    def __init__(self, folder: Path, name: str, settings: ClusterSettings) -> None:
        seal = own_seal(settings, name)
        (folder / f"{name}-files").mkdir()

        def sharing(bench: Bench) -> Any:
            return make_sharing(SharingSettings(), seal._replace(name=name), bench.pipeline, time.time)

        self.bench = Bench(folder / f"{name}-files", sharing=sharing)
        hub = self.bench.hub
        assert hub.sharing is not None
        self.clustering = Clustering(
            settings, hub, hub.sharing, "shield test", frozenset, time.monotonic
        )
        self.orders = ClusterOrders(self.clustering, time.monotonic)
        self.dispatcher = self.bench.dispatcher
        self.dispatcher._commands.update(self.orders.commands)
        self.dispatcher._now = time.monotonic
        self.dispatcher.orders._now = time.monotonic

    async def ask(self, command: str, **arguments: Any) -> Any:
        return await self.dispatcher.handle(command, arguments, ROOT)

    def banned(self) -> set[str]:
        return {str(d.network) for d in self.bench.pipeline.blocklist.decisions(time.monotonic())}


@asynccontextmanager
async def pair(folder: Path, **changes: Any) -> AsyncIterator[tuple[Part, Part]]:
    """Nodes a (with the authority) and b that know each other."""
    authority, first = create("voice", "a", time.time())
    Directory(folder / "a").create(first, authority)
    Directory(folder / "b").create(member(authority, "b", time.time()))
    a = Part(folder, "a", replace(QUICK, directory=str(folder / "a"), **changes))
    await a.ask("cluster.start")
    port = a.clustering.joined().carrier.port
    seeds = (f"127.0.0.1:{port}",)
    b = Part(folder, "b", replace(QUICK, directory=str(folder / "b"), seeds=seeds, **changes))
    await b.clustering.start_if_member()
    try:
        await until(lambda: a.clustering.joined().members() == ("b",))
        await until(lambda: b.clustering.joined().members() == ("a",))
        yield a, b
    finally:
        for part in (b, a):
            await part.clustering.close()
            part.bench.journal.close()


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_a_ban_travels_and_is_explained_where_it_was_not_made(tmp_path: Path) -> None:
    """An operator's ban on one node blocks on the other, with origin; an unban there ends it on both."""

    async def main() -> None:
        async with pair(tmp_path) as (a, b):
            await a.ask("ban", values=[ATTACKER], reason="called the police")
            await until(lambda: ATTACKER in b.banned())
            shown = await b.ask("show", value=ATTACKER)
            assert shown["state"] == "banned"
            assert shown["decisions"][0]["origin"] == "a"
            assert shown["decisions"][0]["reason"] == "called the police"
            await b.ask("unban", values=[ATTACKER])
            await until(lambda: ATTACKER not in a.banned())

    run(main)


def test_what_was_missed_is_made_good(tmp_path: Path) -> None:
    """Bans made while the nodes do not hear each other are on both soon after they do."""

    async def main() -> None:
        async with pair(tmp_path) as (a, b):
            cluster = b.clustering.joined()
            cluster.core.enable(enabled=False, now=time.monotonic())
            await until(lambda: a.clustering.joined().members() == ())
            await a.ask("ban", values=["192.0.2.1", "192.0.2.2"])
            await b.ask("ban", values=["192.0.2.3"])
            cluster.core.enable(enabled=True, now=time.monotonic())
            both = {"192.0.2.1", "192.0.2.2", "192.0.2.3"}
            await until(lambda: a.banned() == b.banned() == both, 10)
            await until(lambda: (rows(b)["a"]["equal"], rows(a)["b"]["equal"]) == (True, True), 10)

    run(main)


def rows(part: Part) -> dict[str, dict[str, Any]]:
    found = part.orders.commands["cluster.members"]({}, ROOT)
    return {row["name"]: row for row in found}


def test_the_views_tell_who_is_there_and_what_travels(tmp_path: Path) -> None:
    """Status, members, topology, capabilities and events of a cluster of two."""

    async def main() -> None:
        async with pair(tmp_path) as (a, b):
            await a.ask("ban", values=[ATTACKER])
            await until(lambda: ATTACKER in b.banned())
            status = await b.ask("cluster.status")
            assert (status["joined"], status["cluster"], status["node"]) == (True, "voice", "b")
            assert status["members"] == {"alive": 1, "suspect": 0, "dead": 0, "left": 0}
            assert (status["authority"], status["reachable"]) == (False, 1)
            assert status["sharing"]["origins"]["a"]["bans"] == 1
            assert rows(b)["b"]["self"] is True
            assert rows(b)["a"]["bans"] == 1
            assert (rows(b)["a"]["state"], rows(b)["a"]["route"]) == ("alive", "direct")
            assert rows(b)["a"]["authority"] is True
            # Neighbours are told a moment after they have met.
            link = {"a": "a", "b": "b", "cost": 10, "both": True}
            view = a.orders.commands["cluster.topology"]
            await until(lambda: view({}, ROOT)["links"] == [link])
            topology = await a.ask("cluster.topology")
            assert topology["routes"][0]["next_hop"] == "b"
            assert topology["connections"][0]["peer"] == "b"
            names = {row["name"]: row for row in await a.ask("cluster.capabilities")}
            assert set(names) == {"blocklist", "cluster", "script", "tags", "capabilities"}
            assert names["blocklist"]["sent"] >= 1
            events = await a.ask("cluster.events", limit=50)
            assert {"member", "link"} <= {event["kind"] for event in events}

    run(main)


def test_a_capability_is_switched_off_by_command(tmp_path: Path) -> None:
    """Bans made meanwhile come when it is enabled again; both nodes show what is off where."""

    async def main() -> None:
        async with pair(tmp_path) as (a, b):

            def state(part: Part) -> dict[str, Any]:
                try:
                    rows = part.orders.commands["cluster.capability.list"]({"node": "b"}, ROOT)
                except InputError:
                    return {}  # b has not told yet
                return next((row for row in rows if row["name"] == "blocklist"), {})

            await b.ask("cluster.capability.disable", capability="blocklist")
            await until(lambda: state(a).get("enabled") is False)
            assert state(b)["state"] in ("synced", "not synced", "pending")
            await a.ask("ban", values=[ATTACKER])
            await b.ask("ban", values=["192.0.2.9"])
            asked = await a.ask("cluster.ask", text="x", timeout=1)
            assert asked["failures"] == {"b": "nobody listens on this node"}, "others work"
            assert ATTACKER not in b.banned()
            assert [row for row in await b.ask("cluster.capabilities") if not row["enabled"]]
            await b.ask("cluster.capability.enable", capability="blocklist")
            await until(lambda: a.banned() == b.banned() == {ATTACKER, "192.0.2.9"}, 10)
            await until(lambda: {state(a).get("state"), state(b).get("state")} == {"synced"}, 10)
            with pytest.raises(InputError, match="no member"):
                await a.ask("cluster.capability.list", node="nobody")

    run(main)


def test_a_tag_is_claimed_by_command_and_moves(tmp_path: Path) -> None:
    """The order of an operator, with the reason, as both nodes show it; it is in the state file."""

    async def main() -> None:
        async with pair(tmp_path, tags=("cdr",)) as (a, b):
            watch = await b.ask("watch", kinds=["cluster"])
            said = await a.ask("cluster.tag.set", tag="cdr", state="active")
            assert said == {"tag": "cdr", "state": "active", "node": "a", "reason": "set by operator"}
            tags = a.clustering.joined().tags
            assert tags.active("cdr")
            await b.ask("cluster.tag.set", tag="cdr", state="active", reason="moved")
            await until(lambda: not tags.active("cdr"))
            (row,) = await a.ask("cluster.tag.list")
            assert (row["state"], row["node"], row["reachable"]) == ("backup", "b", True)
            assert row["reason"].endswith(": moved")
            assert [one["node"] for one in await a.ask("cluster.tag.history", tag="cdr")] == ["a", "b"]
            assert (await a.ask("cluster.status"))["tags"][0]["node"] == "b"
            event = await watch.__anext__()
            assert (event["kind"], event["node"]) == ("tag", "cdr")
            with pytest.raises(InputError, match="b is"):
                await a.ask("cluster.tag.set", tag="cdr", state="backup")
            assert "cdr" in (tmp_path / "a" / "tags.json").read_text()

    run(main)


def test_texts_are_broadcast_asked_and_answered(tmp_path: Path) -> None:
    """The seed's conversation: one node listens and replies, the other broadcasts and asks."""

    async def main() -> None:
        async with pair(tmp_path) as (a, b):
            answer = await a.ask("cluster.ask", text="WHEREIS:alice:a", timeout=1.0)
            assert answer["failures"] == {"b": "nobody listens on this node"}
            listening = await b.ask("cluster.listen")
            assert (await a.ask("cluster.broadcast", text="HACKER:x:192.0.2.1"))["code"] == 1
            assert (await anext(listening)) == {
                "kind": "message", "id": 0, "node": "a", "text": "HACKER:x:192.0.2.1",
            }  # fmt: skip
            asking = asyncio.ensure_future(a.ask("cluster.ask", text="WHEREIS:alice:a", timeout=5.0))
            request = await anext(listening)
            assert (request["kind"], request["text"]) == ("request", "WHEREIS:alice:a")
            await b.ask("cluster.reply", id=request["id"], text="HEREIS:alice:b")
            assert (await asking)["replies"] == {"b": "HEREIS:alice:b"}
            with pytest.raises(InputError, match="no request"):
                await b.ask("cluster.reply", id=request["id"], text="again")
            with pytest.raises(InputError, match="characters"):
                await a.ask("cluster.broadcast", text="x" * 20_000)
            assert (await a.ask("cluster.ask", text="x", node="nobody"))["code"] == -2

    run(main)


def test_orders_to_the_cluster(tmp_path: Path) -> None:
    """Disable and enable, invite, revoke, remove, leave: each does what it says, or says why not."""

    async def main() -> None:
        async with pair(tmp_path) as (a, b):
            assert (await b.ask("cluster.disable")) == {"enabled": False}
            assert (await b.ask("cluster.broadcast", text="x"))["code"] == -1
            await until(lambda: a.clustering.joined().members() == ())
            await b.ask("cluster.enable")
            await until(lambda: a.clustering.joined().members() == ("b",))
            invited = await a.ask("cluster.invite", node="c", valid=60.0, advertise="192.0.2.9")
            assert invited["token"].startswith("shield1.")
            with pytest.raises(InputError, match="ask on a"):
                await b.ask("cluster.invite")
            with pytest.raises(InputError, match="can be reached"):
                await a.ask("cluster.remove", node="b")
            with pytest.raises(InputError, match="no member"):
                await a.ask("cluster.remove", node="x")
            with pytest.raises(InputError, match="no node"):
                await a.ask("cluster.revoke", node="x")
            with pytest.raises(InputError, match="itself"):
                await a.ask("cluster.revoke", node="a")
            await b.ask("cluster.leave")
            await until(lambda: rows(a)["b"]["state"] == "left")
            with pytest.raises(InputError, match="in no cluster"):
                await b.ask("cluster.members")
            assert (await a.ask("cluster.remove", node="b")) == {"node": "b"}
            assert (await b.ask("cluster.start"))["node"] == "b"
            await until(lambda: a.clustering.joined().members() == ("b",))
            with pytest.raises(InputError, match="already"):
                await b.ask("cluster.start")

    run(main)


def test_a_revoked_nodes_word_counts_no_more(tmp_path: Path) -> None:
    """Its bans end with it."""

    async def main() -> None:
        async with pair(tmp_path) as (a, b):
            await b.ask("ban", values=[ATTACKER])
            await a.ask("ban", values=["192.0.2.77"])
            await until(lambda: ATTACKER in a.banned())
            assert (await a.ask("cluster.revoke", node="b"))["node"] == "b"
            await until(lambda: a.banned() == {"192.0.2.77"})
            await until(lambda: b.clustering.joined().members() == ())

    run(main)


def test_who_has_joined_again_is_not_put_out_by_a_restart(tmp_path: Path) -> None:
    """The old revocation stays in the files; what the new member says counts, also when it is dead."""

    async def main() -> None:
        async with pair(tmp_path) as (a, b):
            cluster = a.clustering.joined()
            await a.ask("cluster.revoke", node="b")
            await b.clustering.close(leave=False)
            fresh = b_identity(tmp_path).renewed(renewed(cluster, tmp_path))
            Directory(tmp_path / "b").save_certificate(fresh)
            await b.ask("cluster.start")
            await until(lambda: cluster.members() == ("b",))
            await b.ask("ban", values=[ATTACKER])
            await until(lambda: ATTACKER in a.banned())
            await b.clustering.close(leave=False)
            await a.ask("cluster.leave")
            await a.ask("cluster.start")
            assert [r.name for r in a.clustering.joined().core.revocations] == ["b"]
            assert a.banned() == {ATTACKER}

    run(main)


def b_identity(folder: Path) -> Identity:
    return Directory(folder / "b").load().identity


def renewed(cluster: Cluster, folder: Path) -> bytes:
    """A new certificate for b, as a join token would have got it."""
    assert cluster.authority is not None
    return cluster.authority.issue("b", b_identity(folder).own.public, time.time())


def test_what_is_held_can_be_released_or_dropped(tmp_path: Path) -> None:
    """Without anything held, nothing happens."""

    async def main() -> None:
        async with pair(tmp_path) as (a, _b):
            assert (await a.ask("cluster.release", node="b"))["records"] == 0
            assert (await a.ask("cluster.drop", node="b"))["records"] == 0

    run(main)


def test_alone_everything_works_and_says_what_to_do(tmp_path: Path) -> None:
    """A node without identity is in no cluster; every order says so."""

    async def main() -> None:
        part = Part(tmp_path, "a", replace(QUICK, directory=str(tmp_path / "none")))
        await part.clustering.start_if_member()
        assert (await part.ask("cluster.status"))["joined"] is False
        assert part.clustering.warnings() == []
        with pytest.raises(InputError, match="shield cluster init, or join"):
            await part.ask("cluster.broadcast", text="x")
        await part.ask("ban", values=[ATTACKER])
        assert len(part.clustering.sharing.records) == 0, "nobody is there to be told"
        # Then it gets an identity, of the same name, or another.
        authority, first = create("voice", "a", time.time())
        Directory(tmp_path / "none").create(first, authority)
        assert (await part.ask("cluster.start")) == {"cluster": "voice", "node": "a"}
        record = part.clustering.sharing.records
        assert record.sealed_with(first.secret(b"blocklist"))
        await until(lambda: len(record) == 1)  # what it had banned before
        await part.clustering.close()
        part.clustering.sharing.node = "another"
        assert "restart" in await part.ask("cluster.start")
        part.bench.journal.close()

    run(main)


def test_taking_part_again_writes_nothing_anew(tmp_path: Path) -> None:
    """Only another secret makes it: a new stamp on an old word would beat what the others know since."""

    async def main() -> None:
        authority, first = create("voice", "a", time.time())
        Directory(tmp_path / "a").create(first, authority)
        part = Part(tmp_path, "a", replace(QUICK, directory=str(tmp_path / "a")))
        await part.ask("ban", values=[ATTACKER])
        stamps = []
        for _ in range(3):
            await part.clustering.start()
            entry = part.clustering.sharing.records.get(ban_key(Network.parse(ATTACKER)))
            assert entry is not None
            stamps.append(entry.stamp)
            await part.clustering.close()
        assert stamps[1:] == stamps[:1] * 2
        part.bench.journal.close()

    run(main)


def test_every_cluster_command_is_in_the_table(tmp_path: Path) -> None:
    """What the orders run and what the control socket lets through are the same."""
    part = Part(tmp_path, "a", replace(QUICK, directory=str(tmp_path / "none")))
    elsewhere = {"cluster.run", "cluster.audit", "cluster.list"}  # remote.py, sides.py
    known = {name for name in COMMANDS if name.startswith("cluster.")}
    assert set(part.orders.commands) == known - elsewhere
    assert isinstance(Cluster, type)
    part.bench.journal.close()


def test_two_orders_to_start_make_one_member(tmp_path: Path) -> None:
    """The second is refused: two members of one name would fight, and one of them nobody could end."""

    async def main() -> None:
        async with pair(tmp_path) as (a, b):
            await b.ask("cluster.leave")
            first, second = await asyncio.gather(
                b.ask("cluster.start"), b.ask("cluster.start"), return_exceptions=True
            )
            assert first == {"cluster": "voice", "node": "b"}
            assert isinstance(second, InputError)
            await until(lambda: a.clustering.joined().members() == ("b",))
            await b.ask("ban", values=[ATTACKER])
            await until(lambda: ATTACKER in a.banned())

    run(main)
