"""shield.location.directory: every node knows where a user is, and forgets it in time."""

from __future__ import annotations

from typing import Any

import pytest

from shield.cluster.capability import Incoming
from shield.cluster.messages import Kind as MessageKind
from shield.cluster.replica import Replica
from shield.errors import ConfigError, RemoteError
from shield.location.directory import CAPABILITY, UserDirectory, location_limits
from shield.location.settings import LocationSettings
from shield.sip.event import SipEvent
from tests.cluster.fakenet import WALL, FakeNet
from tests.location.test_registration import event

SETTINGS = LocationSettings(track=True, grace=20.0)


class Users:
    """The directories of a cluster in memory."""

    def __init__(self, *names: str, settings: LocationSettings = SETTINGS) -> None:
        self.net = FakeNet(*names)
        self.settings = settings
        self.directories: dict[str, UserDirectory] = {}
        for name in names:
            self.join(name)
        self.net.settle()

    def join(self, name: str) -> None:
        """Give a node its directory, an empty one."""
        node = self.net[name]
        replica = Replica(
            CAPABILITY,
            name,
            name.encode() * 8,
            wall=lambda: WALL + self.net.now,
            limits=location_limits(self.settings),
        )
        self.directories[name] = UserDirectory(self.settings, replica, name)
        replica.connect(node.core.add(replica), self.net.now)

    def see(self, name: str, one: SipEvent) -> None:
        self.directories[name].observe(one, self.net.now)

    def where(self, name: str, user: str = "100") -> list[str]:
        """Nodes at which a node believes the user to be."""
        return [place.node for place in self.directories[name].whereis(user.encode(), self.net.now)]

    def whereabouts(self, user: str = "100") -> set[tuple[str, ...]]:
        """What all nodes say."""
        return {tuple(self.where(name, user)) for name in self.directories if not self.net[name].stopped}


def at(seconds: float, user: str = "100") -> SipEvent:
    """A registration that was granted for so long."""
    return event(f"Contact: <sip:{user}@192.0.2.9>;expires={seconds:.0f}", user=user)


def gone(user: str = "100") -> SipEvent:
    return event(asked=("Contact: *", "Expires: 0"), user=user)


def test_all_nodes_know_where_a_user_is_until_it_ends() -> None:
    """Within a second; the remaining lifetime is the same everywhere."""
    users = Users("a", "b", "c")
    users.see("b", at(30))
    users.net.run(1.0)
    assert users.whereabouts() == {("b",)}
    (place,) = users.directories["a"].whereis(b"100@host.example", users.net.now)
    assert place.registration.left == pytest.approx(29.0, abs=0.2)
    assert place.registration.server == "198.51.100.1:5060"
    users.net.run(30.0)
    assert users.whereabouts() == {()}


def test_a_refresh_lengthens_and_an_unregister_ends_it_everywhere() -> None:
    """By what the registrar answers."""
    users = Users("a", "b")
    users.see("b", at(10))
    users.net.run(5.0)
    users.see("b", at(60))
    users.net.run(20.0)
    assert users.whereabouts() == {("b",)}
    users.see("b", gone())
    users.net.run(1.0)
    assert users.whereabouts() == {()}
    assert users.directories["b"].stats.unregistered == 1


def test_a_move_is_decided_by_the_newest_registration() -> None:
    """And what the old place says later, expiry or unregister, does not end the new one."""
    users = Users("a", "b", "c")
    users.see("a", at(15))
    users.net.run(1.0)
    users.see("b", at(600))
    users.net.run(1.0)
    assert users.whereabouts() == {("b",)}
    users.see("a", gone())
    users.net.run(20.0)
    assert users.whereabouts() == {("b",)}


def test_users_of_a_dead_node_are_hidden_after_the_grace_time_and_come_back_with_it() -> None:
    """Until then they may still be there."""
    users = Users("a", "b", "c")
    users.see("c", at(600))
    users.net.run(1.0)
    users.net["c"].stop()
    users.net.run(15.0)
    assert users.whereabouts() == {("c",)}
    (place,) = users.directories["a"].whereis(b"100", users.net.now)
    assert place.gone is not None
    assert place.as_json()["node_gone"] > 0
    users.net.run(15.0)
    assert users.whereabouts() == {()}
    users.net["c"].start()
    users.join("c")
    users.net.run(15.0)
    assert users.whereabouts() == {("c",)}, "its own records came back to it, and it is there again"


def test_halves_of_a_partition_agree_when_it_heals() -> None:
    """The later registration of two counts, on every node."""
    users = Users("a", "b", "c", "d")
    users.net.sever(("a", "b"), ("c", "d"))
    users.see("a", at(600))
    users.net.run(1.0)
    users.see("c", at(600))
    users.net.run(8.0)
    assert users.where("b") == ["a"]
    assert users.where("d") == ["c"]
    users.net.heal()
    users.net.run(20.0)
    assert users.whereabouts() == {("c",)}


def test_a_name_is_found_in_all_domains_the_newest_first() -> None:
    """``alice`` without a domain; a user part may hold an at sign."""
    users = Users("a", "b")
    first = event("Contact: <sip:100@192.0.2.9>", user="100")
    users.see("a", first)
    second = event("Contact: <sip:100@192.0.2.9>", user="100")
    assert second.request is not None
    second.request.to = b"<sip:100@other.example>"
    second.time += 5
    users.see("b", second)
    users.net.run(1.0)
    found = users.directories["a"].whereis(b"100", users.net.now)
    assert [place.registration.aor for place in found] == [b"100@other.example", b"100@host.example"]
    assert users.where("a", "100@other.example") == ["b"]
    assert users.where("a", "nobody") == []


@pytest.mark.parametrize("user", ["a:b", "a%20b", "%C3%A9", "a%40b", "%FF"])
def test_any_octets_in_users_survive(user: str) -> None:
    """Colons, blanks, 8-bit text and what is no UTF-8."""
    users = Users("a", "b")
    users.see("a", at(60, user))
    users.net.run(1.0)
    (place,) = list(users.directories["b"].places(users.net.now))
    assert users.directories["b"].place(place.registration.aor, users.net.now) is not None
    assert isinstance(place.as_json()["user"], str)


def test_a_node_has_room_for_so_many_users_and_counts_the_rest() -> None:
    """A server gone mad, or a captured node, cannot fill the memory of the others."""
    users = Users("a", "b", settings=LocationSettings(max_users=10))
    for number in range(15):
        users.see("a", at(60, str(number)))
    users.net.run(1.0)
    assert users.directories["a"].stats.full == 5
    assert len(list(users.directories["b"].places(users.net.now))) == 10


def test_a_node_answers_for_its_own_users_only() -> None:
    """``--ask`` is answered by who knows at first hand."""
    users = Users("a", "b")
    users.see("b", at(60))
    users.net.run(1.0)
    question = Incoming("x", MessageKind.REQUEST, 1, ("whereis", b"100"))
    a, b = (users.directories[name] for name in "ab")
    assert a._answer(question, users.net.now) == ()
    (place,) = a.read_answer("b", b._answer(question, users.net.now))
    assert (place.node, place.registration.aor) == ("b", b"100@host.example")


@pytest.mark.parametrize("body", [None, (), ("whereis",), ("whereis", "text"), ("other", b"x")])
def test_questions_that_make_no_sense_fail(body: Any) -> None:
    """The asker hears why."""
    users = Users("a")
    with pytest.raises(RemoteError):
        users.directories["a"]._answer(Incoming("x", MessageKind.REQUEST, 1, body), 0.0)


@pytest.mark.parametrize("body", [7, (7,), ((b"a", 1.0),), ((b"a", "1", b""),), ((b"a", 1.0, b"\xc1"),)])
def test_answers_that_make_no_sense_are_an_error_of_their_sender(body: Any) -> None:
    """Nothing of them is taken."""
    with pytest.raises(RemoteError):
        Users("a").directories["a"].read_answer("b", body)


def test_where_others_reach_the_server_can_be_configured() -> None:
    """Behind NAT the address that was asked is of no use to others."""
    users = Users("a", "b", settings=LocationSettings(advertise="sip1.example.com"))
    users.see("a", at(60))
    users.net.run(1.0)
    (place,) = users.directories["b"].whereis(b"100", users.net.now)
    assert place.registration.server == "sip1.example.com"


def test_a_node_that_was_put_out_takes_its_users_along() -> None:
    """What a revoked node said is no longer believed."""
    users = Users("a", "b")
    users.see("b", at(60))
    users.net.run(1.0)
    users.directories["a"].replica.forget("b", users.net.now)
    assert users.where("a") == []


@pytest.mark.parametrize(
    "wrong", [{"grace": -1.0}, {"max_users": 0}, {"advertise": "a b"}, {"advertise": "x" * 256}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    """The key is named."""
    with pytest.raises(ConfigError, match=r"location\." + next(iter(wrong))):
        LocationSettings(**wrong)


def test_who_comes_and_who_goes_is_told_once() -> None:
    """Not with each refresh; unregistered, ended, or come from another node."""
    users = Users("a", "b")
    told: list[tuple[str, bytes, bool]] = []
    for name, directory in users.directories.items():
        directory.on_move = lambda aor, _server, online, name=name: told.append((name, aor, online))  # type: ignore[misc]
    users.see("a", at(60))
    users.see("a", at(60))
    users.net.run(1.0)
    users.see("b", at(10))
    users.net.run(15.0)
    users.see("a", at(60))
    users.see("a", gone())
    aor = b"100@host.example"
    assert told == [
        ("a", aor, True), ("b", aor, True), ("b", aor, False), ("a", aor, True), ("a", aor, False),
    ]  # fmt: skip
