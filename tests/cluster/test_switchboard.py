"""Capabilities that are switched off, and what nodes tell each other of them."""

from __future__ import annotations

from typing import Any

import pytest

from shield.cluster.capability import Incoming, SendResult, SyncState, SyncWord
from shield.cluster.messages import Data, Kind
from shield.cluster.requests import Answers
from shield.cluster.settings import ClusterSettings
from shield.cluster.switchboard import AGAIN, Switchboard
from shield.errors import InputError, RemoteError
from tests.cluster.fakenet import FakeNet, Recorder


class Held:
    """What keeps data: its state is what the test says."""

    def __init__(self) -> None:
        self.now = SyncState(SyncWord.PENDING)

    def sync_state(self, now: float) -> SyncState:
        return self.now


class Map(Recorder):
    """A capability that keeps data."""

    name = "map"

    def __init__(self) -> None:
        super().__init__()
        self.sync = Held()


class Site:
    """Nodes with a switchboard, a capability ``test`` and one ``map`` that keeps data."""

    def __init__(self, *names: str, **settings: Any) -> None:
        self.net = FakeNet(*names, **settings)
        self.boards = {name: Switchboard(self.net[name].core) for name in names}
        self.maps = {name: Map() for name in names}
        for name, kept in self.maps.items():
            kept.outlet = self.net[name].core.add(kept)
        self.net.settle()
        self.net.run(1)

    def row(self, at: str, of: str, name: str) -> dict[str, Any]:
        rows = self.boards[at].rows(self.net.now, of)
        return next(row for row in rows if row["name"] == name)

    def switch(self, node: str, name: str, *, enabled: bool) -> None:
        assert self.boards[node].switch(name, enabled=enabled, now=self.net.now)
        self.net.run(0.5)

    def say(self, node: str, body: Any) -> SendResult:
        message = Data("test", Kind.MESSAGE, 0, body)
        result = self.net[node].core.post.broadcast(message, self.net.now)
        self.net.run(0.5)
        return result


def test_a_disabled_capability_neither_sends_nor_takes() -> None:
    """The others see it, send it nothing, and go on among themselves; enabled again all is as before."""
    site = Site("a", "b", "c")
    site.switch("b", "test", enabled=False)
    assert site.row("a", "b", "test")["enabled"] is False
    assert site.say("a", "without b") is SendResult.SENT
    assert site.say("b", "from b") is SendResult.LOCAL_DISABLED
    recorders = {name: site.net[name].recorder for name in "abc"}
    assert (recorders["b"].bodies, recorders["c"].bodies) == ([], ["without b"])
    outlet = recorders["a"].outlet
    assert outlet is not None
    assert outlet.members() == ("c",)
    assert outlet.send("b", "x", site.net.now) is SendResult.UNREACHABLE
    assert site.net["a"].core.post.reachable() == ("b", "c")
    told = [e for e in site.net["a"].core.events.latest() if e.kind == "capability"]
    assert [(event.node, event.text) for event in told] == [("b", "test disabled")]
    site.switch("b", "test", enabled=True)
    assert site.say("a", "again") is SendResult.SENT
    assert recorders["b"].bodies == ["again"]


def test_what_comes_all_the_same_is_dropped_and_counted() -> None:
    """From a node that has not heard: a request fails with the reason."""
    site = Site("a", "b")
    site.switch("b", "test", enabled=False)
    post = site.net["a"].core.post
    post.refusers.clear()
    got: list[Answers] = []
    sent = post.ask(("b",), "test", "?", timeout=5, now=site.net.now, done=got.append)
    assert sent is SendResult.SENT
    site.net.run(0.5)
    assert got[0].failures == {"b": "test is disabled here"}
    assert site.net["b"].core.post.errors["test: disabled"] == 1
    assert site.net["b"].recorder.bodies == []


def test_reports_in_pings_stop_too() -> None:
    """In both directions."""
    site = Site("a", "b", ping_interval=0.5)
    site.switch("b", "test", enabled=False)
    for name in "ab":
        site.net[name].recorder.reports.clear()
    site.net.run(3)
    assert site.net["a"].recorder.reports == site.net["b"].recorder.reports == {}


def test_a_capability_hears_that_nobody_is_in_reach_for_it() -> None:
    """As though the members had come or gone."""
    site = Site("a", "b")
    site.net["a"].recorder.states.clear()
    site.net["b"].recorder.states.clear()
    site.switch("b", "test", enabled=False)
    assert [name for name, _ in site.net["b"].recorder.states] == ["a"]
    assert [name for name, _ in site.net["a"].recorder.states] == ["b"]


def test_states_of_synchronisation_are_seen_on_all_nodes() -> None:
    """Word, percents and source, and since when; within some seconds."""
    site = Site("a", "b")
    assert site.row("a", "b", "map")["state"] == "pending"
    assert site.row("a", "b", "test")["percent"] is None
    site.maps["b"].sync.now = SyncState(SyncWord.IN_PROGRESS, 42, "a")
    site.net.run(3)
    row = site.row("a", "b", "map")
    assert (row["state"], row["percent"], row["source"]) == ("in progress", 42, "a")
    assert row["since"] < 3
    site.net.run(5)
    assert site.row("a", "b", "map")["since"] > 5
    assert str(SyncState(SyncWord.IN_PROGRESS, 42)) == "in progress 42 %"
    assert site.row("b", "b", "map")["node"] == "b"


def test_a_lost_message_is_made_good_and_who_left_is_forgotten() -> None:
    """States are told again after a while; of a node out of reach nothing is shown."""
    site = Site("a", "b")
    lost = site.net["a"].core.post.capabilities.pop("capabilities")
    site.switch("b", "test", enabled=False)
    site.net["a"].core.post.capabilities["capabilities"] = lost
    assert site.row("a", "b", "test")["enabled"] is True
    site.net.run(AGAIN + 1)
    assert site.row("a", "b", "test")["enabled"] is False
    site.net["b"].stop()
    site.net.run(5)
    assert {row["node"] for row in site.boards["a"].rows(site.net.now)} == {"a"}
    assert site.net["a"].core.post.refusers == {}


def test_only_some_from_the_start() -> None:
    """By configuration; those that the cluster needs are there in any case."""
    site = Site("a", "b", capabilities=("map",))
    off = {row["name"] for row in site.boards["a"].rows(site.net.now, "b") if not row["enabled"]}
    assert off == {"test"}
    assert ClusterSettings().capabilities == ()


def test_what_cannot_be_switched() -> None:
    """Unknown names and those that the cluster needs; twice the same changes nothing."""
    site = Site("a")
    with pytest.raises(InputError, match="no capability 'x'; there are map, test"):
        site.boards["a"].switch("x", enabled=False, now=0.0)
    with pytest.raises(InputError, match="cannot be disabled"):
        site.boards["a"].switch("capabilities", enabled=False, now=0.0)
    assert site.boards["a"].switch("test", enabled=True, now=0.0) is False


@pytest.mark.parametrize(
    "body",
    [
        "states",
        ("states", 5),
        ("states", ((1, True, "", 0, ""),)),
        ("states", (("x", True, "odd", 0, ""),)),
        ("states", (("x", True, "", 101, ""),)),
        ("states", (("x", True, "", 0, ""),) * 65),
    ],
)
def test_what_makes_no_sense_is_refused(body: Any) -> None:
    """By its shape; what is known stays."""
    site = Site("a", "b")
    with pytest.raises(RemoteError, match="shape"):
        site.boards["a"].receive(Incoming("b", Kind.MESSAGE, 0, body), site.net.now)
    assert site.row("a", "b", "map")["enabled"] is True


def test_traffic_is_counted_by_capability() -> None:
    """Messages, octets in both directions, errors."""
    site = Site("a", "b")
    before = site.net["b"].core.post.stats["test"].bytes_received
    site.say("a", "x" * 1000)
    sent, got = (site.net[name].core.post.stats["test"] for name in "ab")
    assert got.bytes_received - before == sent.bytes_sent
    assert 1000 < sent.bytes_sent < 1030

    def fails(incoming: Incoming, now: float) -> None:
        raise RemoteError("nonsense")

    site.net["b"].recorder.receive = fails  # type: ignore[method-assign]
    site.say("a", "y")
    assert got.errors == 1
