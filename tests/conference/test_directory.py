"""shield.conference.directory: all nodes agree on one host, through faults, and it ends in time."""

from __future__ import annotations

from typing import Any

import pytest

from shield.cluster.replica import Replica
from shield.conference.claim import Claim, Word, pack_claim, read_claim
from shield.conference.directory import (
    CAPABILITY,
    CLAIM_TIME,
    MAX_CLAIMS,
    ConferenceDirectory,
    conference_limits,
)
from shield.conference.settings import ConferenceSettings
from shield.errors import ConfigError, RemoteError
from shield.net import pack
from shield.sip.calls import Call
from tests.cluster.fakenet import WALL, FakeNet
from tests.sip.test_dialogs import Phone

SETTINGS = ConferenceSettings(numbers=("3xxx",))
NUMBER = b"3001"


class Rooms:
    """The directories of a cluster in memory, and calls to them."""

    def __init__(self, *names: str) -> None:
        self.net = FakeNet(*names)
        self.directories: dict[str, ConferenceDirectory] = {}
        self.events: list[tuple[str, str]] = []
        for name in names:
            self.join(name)
        self.net.settle()

    def join(self, name: str) -> None:
        """Give a node its directory, an empty one."""
        replica = Replica(
            CAPABILITY, name, name.encode() * 8, wall=lambda: WALL + self.net.now,
            limits=conference_limits(),
        )  # fmt: skip
        made = self.directories[name] = ConferenceDirectory(SETTINGS, replica, name)
        made.on_event = lambda kind, _text: self.events.append((name, kind))
        replica.connect(self.net[name].core.add(replica), self.net.now)

    def run(self, seconds: float) -> None:
        """Let time pass, for the directories too."""
        end = self.net.now + seconds
        while self.net.now < end - 1e-6:
            self.net.run(min(0.5, end - self.net.now))
            for name, made in self.directories.items():
                if not self.net[name].stopped:
                    made.tick(self.net.now)

    def answer(self, name: str, number: bytes = NUMBER, call: bytes = b"c1") -> Call:
        """A call is answered at a node."""
        made = Call(call, b"tag", WALL + self.net.now)
        made.named(b"1001", number)
        made.server = pack("192.0.2.1")
        made.answered = WALL + self.net.now
        self.directories[name].changed(made, self.net.now)
        return made

    def hang_up(self, name: str, call: Call) -> None:
        call.ended = WALL + self.net.now
        self.directories[name].changed(call, self.net.now)

    def host(self, name: str, number: bytes = NUMBER) -> str | None:
        """The host, as a node knows it."""
        found = self.directories[name].find(number, self.net.now)
        return None if found is None else found.node

    def hosts(self) -> set[str | None]:
        """What all living nodes say."""
        return {self.host(name) for name in self.directories if not self.net[name].stopped}


def test_the_first_node_hosts_it_until_its_last_call_is_over() -> None:
    """The others know at once; a call that one of them passes on makes no second host."""
    rooms = Rooms("a", "b", "c")
    first = rooms.answer("b")
    rooms.net.run(0.2)
    assert rooms.hosts() == {"b"}
    rooms.answer("a", call=b"c2")
    second = rooms.answer("b", call=b"c2")
    rooms.run(3 * CLAIM_TIME)
    assert rooms.hosts() == {"b"}, "renewed for as long as calls are on"
    (found,) = rooms.directories["c"].conferences(rooms.net.now)
    assert (found.claim.calls, found.claim.server) == (2, "192.0.2.1:5060")
    assert found.as_json()["since"] == round(first.answered, 3)
    assert rooms.directories["a"].stats.passed == 1
    rooms.hang_up("b", first)
    rooms.run(1.0)
    assert rooms.hosts() == {"b"}
    rooms.hang_up("b", second)
    rooms.run(1.0)
    assert rooms.hosts() == {None}
    rooms.answer("c", call=b"c3")
    rooms.run(1.0)
    assert rooms.hosts() == {"c"}


def test_two_that_begin_in_the_same_moment_agree_and_the_other_keeps_its_calls_apart() -> None:
    """It hears of it, sends later calls to the host, and claims when the host ends before its calls."""
    rooms = Rooms("a", "b", "c")
    first = rooms.answer("b")
    rooms.answer("a", call=b"c2")
    rooms.run(2.0)
    assert rooms.hosts() == {"a"}, "of claims of one moment that of the first name"
    assert ("b", "warning") in rooms.events
    (apart,) = rooms.directories["b"].apart(rooms.net.now)
    assert (apart.node, apart.apart) == ("a", 1)
    rooms.hang_up("b", first)
    assert rooms.directories["b"].apart(rooms.net.now) == []
    rooms.run(1.0)
    assert rooms.hosts() == {"a"}


def test_when_the_host_ends_a_node_with_calls_apart_takes_over() -> None:
    """Nothing else could tell later callers where somebody still talks."""
    rooms = Rooms("a", "b")
    rooms.answer("b")
    call = rooms.answer("a", call=b"c2")
    rooms.run(2.0)
    rooms.hang_up("a", call)
    rooms.run(2.0)
    assert rooms.hosts() == {"b"}


def test_the_conferences_of_a_dead_node_are_free_at_once() -> None:
    """As soon as it cannot be reached; the record ends by itself after a minute."""
    rooms = Rooms("a", "b", "c")
    rooms.answer("a")
    rooms.run(1.0)
    rooms.net["a"].stop()
    rooms.net.until(lambda: rooms.hosts() == {None}, 20)
    rooms.answer("c", call=b"c2")
    rooms.run(1.0)
    assert rooms.hosts() == {"c"}
    rooms.net["a"].start()
    rooms.join("a")
    rooms.run(15.0)
    assert rooms.hosts() == {"c"}
    rooms.net["c"].stop()
    rooms.run(2 * CLAIM_TIME)
    assert not rooms.directories["b"].replica.records.live(NUMBER, rooms.net.now)


def test_after_a_partition_the_conference_that_began_first_is_the_one() -> None:
    """However often the other was renewed."""
    rooms = Rooms("a", "b", "c", "d")
    rooms.answer("d")
    rooms.net.sever(("a", "b"), ("c", "d"))
    rooms.run(15.0)
    assert rooms.host("a") is None
    rooms.answer("a", call=b"c2")
    rooms.run(45.0)
    assert (rooms.host("b"), rooms.host("c")) == ("a", "d")
    rooms.net.heal()
    rooms.run(30.0)
    assert rooms.hosts() == {"d"}
    assert [one.apart for one in rooms.directories["a"].apart(rooms.net.now)] == [1]


def test_released_it_is_free_whoever_has_calls() -> None:
    """By any node; calls that are on claim nothing, the next answered one does."""
    rooms = Rooms("a", "b", "c")
    old = rooms.answer("a")
    rooms.run(1.0)
    assert rooms.directories["b"].release(NUMBER, rooms.net.now) is not None
    rooms.run(60.0)
    assert rooms.hosts() == {None}
    rooms.answer("c", call=b"c2")
    rooms.run(1.0)
    assert rooms.hosts() == {"c"}
    rooms.hang_up("a", old)
    rooms.run(1.0)
    assert rooms.hosts() == {"c"}
    assert rooms.directories["b"].release(b"3002", rooms.net.now) is None


def test_only_answered_calls_to_such_a_number_count() -> None:
    """Ringing ones, failed ones, and a 200 that nobody asked for claim nothing."""
    rooms = Rooms("a")
    directory = rooms.directories["a"]
    phone = Phone()
    phone.calls.followers = (lambda call: directory.changed(call, rooms.net.now),)
    asked = phone.invite()  # 4930123
    phone.answer(200, asked)
    assert rooms.host("a", b"4930123") is None
    directory.settings = ConferenceSettings(numbers=("493xxxx",))
    for number, status in enumerate((180, 486)):
        phone.answer(status, phone.invite(call=f"x{number}"))
    assert rooms.host("a", b"4930123") is None
    phone.answer(200, phone.invite(call="c9"))
    assert rooms.host("a", b"4930123") == "a"
    phone.calls.tick(phone.time + 100_000)
    assert rooms.host("a", b"4930123") is None, "its BYE was lost"


def test_a_node_hosts_so_many_and_counts_the_rest() -> None:
    """A flood of answered calls is bounded; ends do not fill the replica."""
    rooms = Rooms("a")
    directory = rooms.directories["a"]
    directory.settings = ConferenceSettings(numbers=("/n[0-9]+/",))
    calls = [rooms.answer("a", b"n%d" % n, b"c%d" % n) for n in range(MAX_CLAIMS + 5)]
    assert directory.stats.full == 5
    assert directory.as_json(rooms.net.now)["on"] == MAX_CLAIMS
    for call in calls:
        rooms.hang_up("a", call)
    rooms.run(3 * CLAIM_TIME)
    assert len(directory.replica.records) == 0


@pytest.mark.parametrize(
    "value",
    [b"", b"\xc1", pack_claim(Claim(Word.HELD))[:-1], pack_claim(Claim(Word.HELD, "a b")),
     pack_claim(Claim(Word.HELD, "h", "sctp")), pack_claim(Claim(Word.HELD, "h" * 300))],
)  # fmt: skip
def test_records_that_make_no_sense_are_counted_and_are_no_claim(value: bytes) -> None:
    """Of a node that is mad or newer."""
    with pytest.raises(RemoteError):
        read_claim(value)
    rooms = Rooms("a")
    rooms.directories["a"].replica.put(NUMBER, value, 60.0, rooms.net.now)
    assert rooms.host("a") is None
    assert rooms.directories["a"].stats.unreadable == 1


@pytest.mark.parametrize(
    ("pattern", "number", "fits"),
    [
        ("3xxx", "3001", True), ("3xxx", "30011", False), ("3xxx", "3a01", False),
        ("+49xx", "+4912", True), ("/conf-[a-z]+/", "conf-team", True),
        ("/conf-[a-z]+/", "conf-team1", False), ("/.*/", "9" * 65, False), ("*9", "*9", True),
    ],
)  # fmt: skip
def test_numbers(pattern: str, number: str, fits: bool) -> None:
    """The whole number must fit."""
    assert ConferenceSettings(numbers=(pattern,)).matches(number.encode()) is fits


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"numbers": ("/(/",)}, "no regular expression"), ({"numbers": ("3 0",)}, "like 3xxx"),
        ({"numbers": ("",)}, "like 3xxx"), ({"numbers": ("3" * 129,)}, "longer than"),
        ({"numbers": ("3",) * 65}, "at most 64"), ({"advertise": "a b"}, "host:port"),
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any], words: str) -> None:
    """The key and what is wrong."""
    with pytest.raises(ConfigError, match=r"conference\.\w+: .*" + words):
        ConferenceSettings(**wrong)
