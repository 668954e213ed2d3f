"""Probation: when the packets of a banned source are read again, and when no more."""

from __future__ import annotations

from shield.blocklist import probation as module
from shield.blocklist.allowlist import Allowlist, AllowlistSettings
from shield.blocklist.blocklist import Blocklist, BlocklistSettings
from shield.blocklist.decision import ChangeKind, Decision
from shield.detect.alert import Proof
from shield.net import Network, pack

NOW = 1000.0
HOST = pack("192.0.2.1")


def decision(until: float, proof: Proof = Proof.UNPROVEN, value: str = "192.0.2.1") -> Decision:
    duration = 300.0 if proof is Proof.UNPROVEN else until - NOW
    return Decision(
        Network.parse(value), "scan", "here", proof, 0.0, until, duration, f"here-{until}", ""
    )


def make(**settings: int) -> Blocklist:
    return Blocklist(BlocklistSettings(**settings), Allowlist(AllowlistSettings(builtin_loopback=False)))


def read(bans: Blocklist, now: float) -> bool:
    """Whether packets of the host are read; a ban it is in any case."""
    bans.expire(now)
    assert bans.match(HOST, now) is not None
    return not bans.guard.covers(HOST)


def test_the_last_minute_of_five_is_read() -> None:
    """Then the ban ends, and there is nothing left behind."""
    bans = make()
    bans.add(decision(NOW + 300), NOW)
    assert [read(bans, NOW + t) for t in (0, 100, 239, 240, 299)] == [False, False, False, True, True]
    assert Network.host(HOST) in bans.guard
    assert len(bans) == 1
    assert [change.kind for change in bans.expire(NOW + 300)] == [ChangeKind.EXPIRED]
    assert (len(bans), bans.guard.reread, bans.guard.hosts) == (0, set(), set())


def test_a_renewed_ban_is_read_to_its_old_end_and_then_before_the_new_one() -> None:
    """So the first forged packet hides nothing; a minute of every four is read."""
    bans = make()
    bans.add(decision(NOW + 300), NOW)
    assert read(bans, NOW + 241)
    (change,) = bans.add(decision(NOW + 541), NOW + 241)
    assert change.kind is ChangeKind.EXTENDED
    seen = [read(bans, NOW + t) for t in (242, 299, 301, 480, 482, 540)]
    assert seen == [True, True, False, False, True, True]


def test_other_rules_about_the_same_scan_add_no_second_each() -> None:
    """A ban is renewed by a fifth of its length at least."""
    bans = make()
    bans.add(decision(NOW + 300), NOW)
    assert bans.add(decision(NOW + 301), NOW + 1) == []
    assert bans.add(decision(NOW + 359), NOW + 59) == []
    assert bans.add(decision(NOW + 361), NOW + 61) != []


def test_a_proven_ban_is_not_read() -> None:
    """Found while the source was read, or from the start; nor is a banned network."""
    bans = make()
    bans.add(decision(NOW + 300), NOW)
    assert read(bans, NOW + 250)
    bans.add(decision(NOW + 9000, Proof.PROVEN), NOW + 250)
    assert not any(read(bans, NOW + t) for t in (250, 299, 301, 8999))
    bans.add(decision(NOW + 300, value="198.51.100.0/24"), NOW)
    bans.expire(NOW + 250)
    assert bans.guard.covers(pack("198.51.100.7"))


def test_a_read_host_in_a_banned_network_is_skipped() -> None:
    """The network's ban is another one."""
    bans = make()
    bans.add(decision(NOW + 300), NOW)
    bans.add(decision(NOW + 9000, Proof.PROVEN, "192.0.2.0/24"), NOW)
    bans.expire(NOW + 250)
    assert bans.guard.covers(HOST)


def test_what_ends_otherwise_leaves_nothing_behind() -> None:
    """Unbans, evictions and a new ban of the same address: each has one turn."""
    bans = make(max_unproven=2)
    for _ in range(5):
        bans.add(decision(NOW + 300), NOW)
        bans.remove(Network.host(HOST), NOW)
    bans.add(decision(NOW + 300), NOW + 100)
    for n in range(2, 6):
        bans.add(decision(NOW + 300 + n, value=f"192.0.2.{n}"), NOW + 100)
    bans.expire(NOW + 250)
    assert bans.guard.reread == {pack("192.0.2.4"), pack("192.0.2.5")}
    bans.add(decision(NOW + 900), NOW + 250)
    bans.remove(Network.host(HOST), NOW + 250)
    assert HOST not in bans.guard.hosts | bans.guard.reread


def test_stale_turns_are_bounded() -> None:
    """Forged sources push each other out of the table without end."""
    bans = make(max_unproven=10)
    for n in range(20_000):
        bans.add(decision(NOW + 300 + n, value=f"10.0.{n // 250}.{n % 250}"), NOW)
    assert len(bans._probation._order) <= 2 * 11 + module.STALE_SLACK + 1
    assert len(bans._probation._next) == 10
