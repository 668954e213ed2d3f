"""The blocklist against a plain model, and what followers of its changes believe."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from shield.blocklist.allowlist import Allowlist, AllowlistSettings
from shield.blocklist.blocklist import PORTION, Blocklist
from shield.blocklist.blocklist_settings import BlocklistSettings
from shield.blocklist.decision import LIMIT, Change, ChangeKind, Decision
from shield.blocklist.owners import Owners
from shield.blocklist.probation import PART
from shield.detect.alert import Proof
from shield.errors import InputError
from shield.net import Network, Port, pack

NOW = 1000.0
ids = count()


def net(text: str) -> Network:
    return Network.parse(text)


def ban(
    value: str | Network = "192.0.2.1",
    until: float = NOW + 600,
    proof: Proof = Proof.PROVEN,
    scenario: str = "sip-scan",
) -> Decision:
    network = net(value) if isinstance(value, str) else value
    return Decision(network, scenario, "node-a", proof, 0.0, until, until - NOW, f"node-a-{next(ids)}")


def weak(value: str | Network = "192.0.2.1", until: float = NOW + 600) -> Decision:
    return ban(value, until, Proof.UNPROVEN)


def limit(*ports: str, until: float = NOW + 600, value: str = "192.0.2.1") -> Decision:
    return ban(value, until)._replace(type=LIMIT, ports=tuple(map(Port.parse, ports)))


def empty(*allowed: str, **more: int) -> Blocklist:
    allowlist = Allowlist(AllowlistSettings(entries=allowed, builtin_loopback=False))
    return Blocklist(BlocklistSettings(**more), allowlist)


def kinds(changes: list[Change]) -> list[tuple[str, str]]:
    return [(change.kind.value, change.decision.value) for change in changes]


def test_a_new_ban_is_added_and_a_longer_one_extends_it() -> None:
    """A shorter one changes nothing and is counted."""
    bans = empty()
    assert kinds(bans.add(ban(), NOW)) == [("added", "192.0.2.1")]
    assert bans.add(ban(until=NOW + 60), NOW) == []
    (change,) = bans.add(ban(until=NOW + 900), NOW)
    assert (change.kind, change.decision.until) == (ChangeKind.EXTENDED, NOW + 900)
    assert (bans.stats.added, bans.stats.extended, bans.stats.unchanged) == (1, 1, 1)
    assert len(bans) == 1
    assert bans.guard.covers(pack("192.0.2.1"))


def test_a_proven_ban_takes_over_the_later_end_of_an_unproven_one() -> None:
    """Better knowledge never ends a ban earlier, and the unproven one is gone."""
    bans = empty()
    bans.add(weak(until=NOW + 900), NOW)
    (change,) = bans.add(ban(until=NOW + 600), NOW)
    assert change.kind is ChangeKind.EXTENDED
    assert (change.decision.until, change.decision.duration) == (NOW + 900, 900)
    assert [d.proof for d in bans.decisions(NOW)] == [Proof.PROVEN]
    assert bans.counts() == {
        "banned": 1,
        "limited": 0,
        "proven": 1,
        "proven_networks": 0,
        "unproven": 0,
        "unproven_networks": 0,
    }


def test_a_limited_address_is_not_banned() -> None:
    """It is found, counted by itself, and goes on being read."""
    bans = empty()
    assert kinds(bans.add(limit(), NOW)) == [("added", "192.0.2.1")]
    assert not bans.guard.covers(pack("192.0.2.1"))
    found = bans.match(pack("192.0.2.1"), NOW)
    assert found is not None
    assert (found.type, len(bans), bans.counts()["limited"]) == ("limit", 0, 1)
    assert kinds(bans.expire(NOW + 600)) == [("expired", "192.0.2.1")]
    assert bans.counts()["limited"] == 0


def test_limits_of_one_address_are_joined() -> None:
    """The later end and the ports of both; more than four ports are all of the address."""
    bans = empty()
    bans.add(limit("udp/1", "udp/2", until=NOW + 900), NOW)
    assert bans.add(limit("udp/2", until=NOW + 800), NOW) == []
    (change,) = bans.add(limit("udp/3", "tcp/1"), NOW)
    assert change.kind is ChangeKind.EXTENDED
    assert " ".join(map(str, change.decision.ports)) == "udp/1 udp/2 udp/3 tcp/1"
    assert (change.decision.until, change.decision.duration) == (NOW + 900, 900)
    (change,) = bans.add(limit("udp/5"), NOW)
    assert change.decision.ports == ()
    assert bans.add(limit("udp/6"), NOW) == []


def test_a_ban_takes_the_place_of_a_limit_and_not_the_other_way() -> None:
    """Also one that ends earlier; a limit of a banned address changes nothing."""
    bans = empty()
    bans.add(limit("udp/1", until=NOW + 900), NOW)
    (change,) = bans.add(ban(until=NOW + 60), NOW)
    assert (change.kind, change.decision.type, change.decision.until) == (
        ChangeKind.EXTENDED, "ban", NOW + 60,
    )  # fmt: skip
    assert bans.guard.covers(pack("192.0.2.1"))
    assert not bans.guard.ports
    assert bans.add(limit(until=NOW + 900), NOW) == []
    assert bans.stats.unchanged == 1
    assert kinds(bans.expire(NOW + 60)) == [("expired", "192.0.2.1")]


def test_any_ban_takes_the_place_of_a_limit() -> None:
    """Also an unproven one: the policy makes none of a source that is trusted."""
    bans = empty()
    bans.add(limit("udp/1"), NOW)
    (change,) = bans.add(weak(until=NOW + 60), NOW)
    assert (change.kind, change.decision.type, change.decision.until) == (
        ChangeKind.EXTENDED, "ban", NOW + 60,
    )  # fmt: skip
    assert bans.guard.covers(pack("192.0.2.1"))
    assert (bans.guard.ports, bans.counts()["limited"]) == (set(), 0)
    assert [d.proof for d in bans.decisions(NOW)] == [Proof.UNPROVEN]


def test_a_limit_ends_an_unproven_ban() -> None:
    """Who decided on proof knows better, whichever way."""
    bans = empty()
    bans.add(weak(), NOW)
    (change,) = bans.add(limit(), NOW)
    assert (change.kind, change.decision.type) == (ChangeKind.EXTENDED, "limit")
    assert not bans.guard.covers(pack("192.0.2.1"))
    assert [d.type for d in bans.decisions(NOW)] == ["limit"]


def test_only_a_single_address_is_limited_and_on_proof() -> None:
    """Anything else is a mistake."""
    bans = empty()
    for wrong in (limit(value="192.0.2.0/24"), limit()._replace(proof=Proof.UNPROVEN)):
        with pytest.raises(InputError, match="single address"):
            bans.add(wrong, NOW)
    assert bans.counts()["limited"] == 0


def test_the_allowlist_ends_limits_too() -> None:
    """As it does bans."""
    allowlist = Allowlist(AllowlistSettings())
    bans = Blocklist(BlocklistSettings(), allowlist)
    bans.add(limit(), NOW)
    allowlist.add("192.0.2.0/24", NOW)
    assert kinds(bans.enforce_allowlist(NOW)) == [("removed", "192.0.2.1")]


def test_beside_a_proven_ban_an_unproven_one_changes_nothing() -> None:
    """However long it is, added or assigned; when the proven one has ended it counts again."""
    bans = empty()
    bans.add(ban(until=NOW + 10), NOW)
    assert bans.add(weak(until=NOW + 20), NOW) == []
    assert bans.assign(weak(until=NOW + 20), NOW) == []
    assert [d.until for d in bans.decisions(NOW)] == [NOW + 10]
    assert kinds(bans.expire(NOW + 10)) == [("expired", "192.0.2.1")]
    assert kinds(bans.add(weak(until=NOW + 20), NOW + 10)) == [("added", "192.0.2.1")]


def test_an_unproven_ban_is_assigned_lifted_and_extended_by_its_own_kind() -> None:
    """Also to an earlier end; lifting leaves a proven one alone."""
    bans = empty()
    bans.add(weak(until=NOW + 20), NOW)
    assert bans.add(weak(until=NOW + 15), NOW) == []
    (change,) = bans.assign(weak(until=NOW + 15), NOW)
    assert (change.kind, change.decision.until) == (ChangeKind.EXTENDED, NOW + 15)
    assert bans.assign(change.decision.extended(NOW + 15.2, 15), NOW) == []
    (change,) = bans.lift(net("192.0.2.1"), NOW, "trusted")
    assert (change.kind, change.reason) == (ChangeKind.REMOVED, "trusted")
    bans.add(ban(), NOW)
    assert bans.lift(net("192.0.2.1"), NOW, "trusted") == []
    assert len(bans) == 1


def test_a_ban_after_an_ended_one_is_a_new_ban() -> None:
    """Also when nobody called expire() in between: escalation counts bans by ADDED."""
    bans = empty()
    bans.add(ban(until=NOW + 10), NOW)
    changes = bans.add(ban(until=NOW + 99), NOW + 10)
    assert kinds(changes) == [("expired", "192.0.2.1"), ("added", "192.0.2.1")]
    assert (bans.stats.added, bans.stats.expired, bans.stats.extended) == (2, 1, 0)
    assert bans.guard.covers(pack("192.0.2.1"))


def test_an_assigned_decision_holds_also_when_it_ends_earlier() -> None:
    """Longer or shorter than what is there, proven or not; the same one again changes nothing."""
    bans = empty()
    assert kinds(bans.assign(ban(until=NOW + 900), NOW)) == [("added", "192.0.2.1")]
    shorter = ban(until=NOW + 60)
    assert kinds(bans.assign(shorter, NOW)) == [("extended", "192.0.2.1")]
    assert bans.assign(shorter.extended(NOW + 60.2, 60), NOW) == []
    assert [d.until for d in bans.decisions(NOW)] == [NOW + 60]
    assert kinds(bans.expire(NOW + 60)) == [("expired", "192.0.2.1")]
    bans.add(weak(until=NOW + 300), NOW)
    (change,) = bans.assign(ban(until=NOW + 90), NOW)
    assert (change.kind, change.decision.until) == (ChangeKind.EXTENDED, NOW + 90)
    assert [d.proof for d in bans.decisions(NOW)] == [Proof.PROVEN]
    assert kinds(bans.expire(NOW + 90)) == [("expired", "192.0.2.1")]
    assert (bans.stats.added, bans.stats.extended, bans.stats.unchanged) == (2, 2, 1)


def test_assigning_asks_allowlist_size_and_time_like_any_other_ban() -> None:
    """What add refuses, assign refuses too."""
    bans = empty("192.0.2.0/24")
    assert bans.assign(ban("192.0.2.1"), NOW) == []
    assert bans.assign(ban("198.51.100.1", NOW), NOW) == []
    with pytest.raises(InputError, match="too large"):
        bans.assign(ban("0.0.0.0/0"), NOW)
    assert (bans.stats.refused_allowlisted, bans.stats.refused_ended) == (1, 1)
    assert (bans.stats.refused_prefix, len(bans)) == (1, 0)


def test_owners_follow_every_change() -> None:
    """Who decided is known while the ban lasts, whatever begins and ends it."""
    bans = empty()
    owners = bans.guard.owners = Owners(["node-b"])
    bans.assign(ban(until=NOW + 9), NOW)
    bans.assign(ban("198.51.100.0/24"), NOW)
    assert (owners.hosts["node-a"], owners.networks["node-a"]) == (1, 1)
    bans.expire(NOW + 9)
    bans.remove(net("198.51.100.0/24"), NOW)
    assert (owners.hosts["node-a"], owners.networks["node-a"]) == (0, 0)
    bans.assign(ban(), NOW)
    bans.add(ban(until=NOW + 999)._replace(origin="cli"), NOW)
    assert (owners.of(net("192.0.2.1")), owners.hosts["node-a"]) == (None, 0)


def test_an_unban_takes_a_ban_of_either_kind() -> None:
    """With its reason; what is not banned cannot be removed."""
    bans = empty()
    for decision in (ban(), weak()):
        bans.add(decision, NOW)
        (change,) = bans.remove(net("192.0.2.1"), NOW, "unban by hand")
        assert (change.kind, change.reason) == (ChangeKind.REMOVED, "unban by hand")
        assert change.decision == decision
        assert bans.remove(net("192.0.2.1"), NOW) == []


def test_match_prefers_proven_and_then_the_longest_prefix() -> None:
    """And finds nothing that has ended."""
    bans = empty()
    wide, narrow = ban("192.0.2.0/24"), ban("192.0.2.0/28")
    forged, ended = weak("192.0.2.1"), ban("192.0.2.2", NOW + 5)
    for decision in (wide, narrow, forged, ended):
        bans.add(decision, NOW)
    assert bans.match(pack("192.0.2.1"), NOW) == narrow
    assert bans.match(pack("192.0.2.200"), NOW) == wide
    assert bans.match(pack("192.0.2.2"), NOW) == ended
    assert bans.match(pack("192.0.2.2"), NOW + 5) == narrow
    assert bans.match(pack("192.0.2.1"), NOW + 600) is None
    assert bans.match(pack("198.51.100.1"), NOW) is None
    assert bans.get(net("192.0.2.1"), NOW) == forged
    assert bans.get(net("192.0.2.2"), NOW + 5) is None


@pytest.mark.parametrize("value", ["192.0.0.0/7", "0.0.0.0/0", "2000::/15"])
def test_a_slip_does_not_ban_half_the_internet(value: str) -> None:
    """Too large networks are refused with the setting's name, also from the journal."""
    bans = empty()
    network = Network.around(pack(value.split("/", maxsplit=1)[0]), int(value.split("/")[1]))
    with pytest.raises(InputError, match=r"blocklist\.min_prefix_v"):
        bans.add(ban(network), NOW)
    assert bans.restore([ban(network), ban()], NOW) == 1
    assert (bans.stats.refused_prefix, len(bans)) == (2, 1)


def test_what_the_allowlist_covers_is_refused_and_what_it_holds_inside_passes() -> None:
    """A banned network around an allowed address is banned without that address."""
    bans = empty("192.0.2.0/24", "198.51.100.7")
    assert bans.add(ban("192.0.2.1"), NOW) == []
    assert bans.add(ban("192.0.2.0/25"), NOW) == []
    assert kinds(bans.add(ban("198.51.100.0/24"), NOW)) == [("added", "198.51.100.0/24")]
    assert bans.match(pack("198.51.100.7"), NOW) is None
    assert bans.match(pack("198.51.100.8"), NOW) is not None
    assert bans.stats.refused_allowlisted == 2


def test_a_changed_allowlist_takes_bans_out() -> None:
    """Hosts and networks inside what became allowed, once, of both families; others stay."""
    allowlist = Allowlist(AllowlistSettings(builtin_loopback=False))
    bans = Blocklist(BlocklistSettings(), allowlist)
    for value in ("192.0.2.1", "192.0.2.128/25", "198.51.100.1", "2001:db8::1", "203.0.113.1"):
        bans.add(ban(value), NOW)
    for value in ("192.0.2.0/24", "198.51.100.1", "203.0.113.9"):
        allowlist.add(value, NOW)
    changes = bans.enforce_allowlist(NOW)
    assert {change.reason for change in changes} == {"allowlist"}
    assert sorted(kinds(changes)) == [
        ("removed", "192.0.2.1"),
        ("removed", "192.0.2.128/25"),
        ("removed", "198.51.100.1"),
    ]
    assert bans.enforce_allowlist(NOW) == []
    assert {d.value for d in bans.decisions(NOW)} == {"2001:db8::1", "203.0.113.1"}


def test_a_flood_of_unproven_bans_never_evicts_a_proven_one() -> None:
    """Nor networks hosts: each has its own limit, and every eviction is counted."""
    bans = empty(max_decisions=2, max_unproven=3, max_networks=1, max_unproven_networks=1)
    bans.add(ban("203.0.113.1", NOW + 5), NOW)
    bans.add(ban("203.0.113.0/28", NOW + 5), NOW)
    changes = [c for n in range(50) for c in bans.add(weak(f"192.0.2.{n}", NOW + 100 + n), NOW)]
    changes += bans.add(weak("198.51.100.0/24"), NOW)
    evicted = [change for change in changes if change.kind is ChangeKind.EVICTED]
    assert len(evicted) == bans.stats.evicted_unproven == 47
    assert {change.decision.proof for change in evicted} == {Proof.UNPROVEN}
    assert {change.reason for change in evicted} == {"full"}
    assert bans.stats.evicted_proven == 0
    assert bans.get(net("203.0.113.1"), NOW) is not None
    assert bans.counts()["unproven"] == 3


def test_a_full_cache_refuses_what_would_end_first() -> None:
    """A longer proven ban pushes out the shortest."""
    bans = empty(max_decisions=1)
    bans.add(ban("192.0.2.1", NOW + 50), NOW)
    assert bans.add(ban("192.0.2.2", NOW + 50), NOW) == []
    assert kinds(bans.add(ban("192.0.2.3", NOW + 60), NOW)) == [
        ("evicted", "192.0.2.1"),
        ("added", "192.0.2.3"),
    ]
    assert (bans.stats.refused_full, bans.stats.evicted_proven) == (1, 1)


def test_a_refused_proven_ban_leaves_the_unproven_one() -> None:
    """The proven table is full of longer bans: the source stays banned as it was."""
    bans = empty(max_decisions=1)
    bans.add(ban("192.0.2.9", NOW + 5000), NOW)
    bans.add(weak("192.0.2.1"), NOW)
    assert bans.add(ban("192.0.2.1", NOW + 700), NOW) == []
    assert bans.get(net("192.0.2.1"), NOW) is not None


def test_expiry_in_portions_and_the_time_of_the_next() -> None:
    """The node asks when to come back."""
    bans = empty()
    for n in range(10):
        bans.add(ban(f"192.0.2.{n}", NOW + 5), NOW)
        bans.add(weak(f"198.51.100.{n}", NOW + 5), NOW)
    bans.add(ban("203.0.113.0/24", NOW + 8), NOW)
    assert bans.next_expiry() == NOW + 5
    assert len(bans.expire(NOW + 5, limit=4)) == 4
    assert bans.next_expiry() == NOW + 5
    assert len(bans.expire(NOW + 5)) == 16
    assert bans.next_expiry() == NOW + 8


def test_a_list_that_ends_at_once_does_not_hold_up_the_packets() -> None:
    """Without a limit of the caller's own a portion is small."""
    bans = empty()
    for n in range(PORTION + 1):
        bans.add(ban(f"198.51.{n >> 8}.{n & 255}", NOW + 5), NOW)
    assert len(bans.expire(NOW + 5)) == PORTION
    assert bans.next_expiry() == NOW + 5
    assert len(bans.expire(NOW + 5)) == 1


def test_ended_decisions_are_refused_and_restored_ones_are_counted() -> None:
    """A restart is no new ban."""
    bans = empty()
    assert bans.add(ban(until=NOW), NOW) == []
    assert bans.restore([ban(), ban("192.0.2.2", NOW - 1), weak("192.0.2.3")], NOW) == 2
    assert bans.stats.as_json()["restored"] == 2
    assert (bans.stats.added, bans.stats.refused_ended) == (0, 2)
    assert bans.by_scenario(NOW) == {"sip-scan": 2}


NETWORKS = [
    *(Network.host(bytes([192, 0, 2, n])) for n in range(5)),
    *(
        net(text)
        for text in ("192.0.2.0/30", "192.0.2.0/31", "192.0.2.0/24", "2001:db8::/64", "2001:db8::1")
    ),
]
ADDRESSES = [*(bytes([192, 0, 2, n]) for n in range(6)), pack("2001:db8::1"), pack("2001:db8::2")]


def guard_errors(bans: Blocklist, now: float) -> set[bytes]:
    """Addresses that are read although their ban is proven, and such that are skipped and read."""
    guard = bans.guard
    found = ((address, bans.get(Network.host(address), now)) for address in guard.reread)
    proven = {a for a, decision in found if decision is not None and decision.proof is Proof.PROVEN}
    return proven | (guard.hosts & guard.reread)


class Follower(RuleBasedStateMachine):
    """Replays changes as the firewall does, beside small caches that evict all the time."""

    exact = False

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.allowlist = Allowlist(AllowlistSettings(builtin_loopback=False))
        self.believed: dict[Network, float] = {}
        self.model: dict[Network, float] = {}
        self.bans = empty()

    @initialize()
    def start(self) -> None:
        limits = {} if self.exact else {"max_decisions": 3, "max_unproven": 2, "max_networks": 2}
        self.bans = Blocklist(BlocklistSettings(**limits), self.allowlist)

    def follow(self, changes: list[Change], *, exact: bool | None = None) -> None:
        exact = self.exact if exact is None else exact
        for change in changes:
            network = change.decision.network
            assert (change.kind is ChangeKind.ADDED) == (network not in self.believed)
            if change.kind in {ChangeKind.ADDED, ChangeKind.EXTENDED}:
                # Equal when an unproven ban becomes proven; with room for all an end never moves back.
                earlier = self.believed.get(network, 0.0) if exact else self.now
                assert change.decision.until >= max(earlier, self.now)
                self.believed[network] = change.decision.until
            else:
                del self.believed[network]
            if change.kind is ChangeKind.EXPIRED:
                assert change.decision.until <= self.now

    def allowed(self, network: Network) -> bool:
        return any(entry.contains(network) for entry in self.allowlist.networks(self.now))

    @rule(network=st.sampled_from(NETWORKS), left=st.integers(0, 20), proof=st.sampled_from(Proof))
    def add(self, network: Network, left: int, proof: Proof) -> None:
        until = self.now + left
        proven_before = [d for d in self.bans.decisions(self.now) if d.proof is Proof.PROVEN]
        changes = self.bans.add(ban(network, until, proof), self.now)
        self.follow(changes)
        if proof is Proof.UNPROVEN:
            after = [d for d in self.bans.decisions(self.now) if d.proof is Proof.PROVEN]
            assert after == proven_before
        beside = proof is Proof.UNPROVEN and network in {d.network for d in proven_before}
        least = PART * ban(network, until, proof).duration
        if proof is Proof.UNPROVEN and until - self.model.get(network, until) <= least:
            beside = beside or network in self.model  # too little to be news
        if left and not self.allowed(network) and not beside:
            self.model[network] = max(until, self.model.get(network, 0))

    @rule(network=st.sampled_from(NETWORKS), left=st.integers(0, 20))
    def assign(self, network: Network, left: int) -> None:
        decision = ban(network, self.now + left)
        self.follow(self.bans.assign(decision, self.now), exact=False)
        if left and not self.allowed(network):
            self.model[network] = decision.until

    @rule(network=st.sampled_from(NETWORKS))
    def remove(self, network: Network) -> None:
        changes = self.bans.remove(network, self.now)
        assert len(changes) == (network in self.believed)
        self.follow(changes)
        self.model.pop(network, None)

    @rule(network=st.sampled_from(NETWORKS))
    def allow(self, network: Network) -> None:
        self.allowlist.add(str(network), self.now)
        self.follow(self.bans.enforce_allowlist(self.now))
        self.model = {n: u for n, u in self.model.items() if not network.contains(n)}

    @rule(network=st.sampled_from(NETWORKS))
    def disallow(self, network: Network) -> None:
        self.allowlist.remove(str(network))

    @rule(seconds=st.integers(0, 12), limit=st.integers(1, 4))
    def wait(self, seconds: int, limit: int) -> None:
        self.now += seconds
        while (soonest := self.bans.next_expiry()) is not None and soonest <= self.now:
            self.follow(self.bans.expire(self.now, limit))
        self.model = {n: u for n, u in self.model.items() if u > self.now}

    @rule(seconds=st.integers(0, 12))
    def wait_without_expiry(self, seconds: int) -> None:
        self.now += seconds
        self.model = {n: u for n, u in self.model.items() if u > self.now}

    @invariant()
    def followers_and_guard_agree(self) -> None:
        guard = self.bans.guard
        hosts = guard.hosts | guard.reread
        guarded = {Network.host(a) for a in hosts} | {network for network, _ in guard.networks}
        assert guarded == set(self.believed)
        assert len(self.bans) == len(guarded)
        assert not any(self.allowed(network) for network in guarded)

    @invariant()
    def what_is_live_is_banned_unless_allowed(self) -> None:
        ends: dict[Network, float] = {}
        for decision in self.bans.decisions(self.now):
            ends[decision.network] = max(decision.until, ends.get(decision.network, 0))
        assert all(until <= self.believed[network] for network, until in ends.items())
        for address in ADDRESSES:
            host = Network.host(address)
            banned = any(n.contains(host) for n in ends) and not self.allowed(host)
            found = self.bans.match(address, self.now)
            assert (found is not None) == banned
            assert self.bans.guard.bans(address) or not banned
        assert not guard_errors(self.bans, self.now)
        if self.exact:
            assert ends == self.model
            assert {n: u for n, u in self.believed.items() if u > self.now} == ends


class ExactFollower(Follower):
    """The same with room for all: then a plain dict says exactly what is banned until when."""

    exact = True


Follower.TestCase.settings = hypothesis_settings(max_examples=150, stateful_step_count=40, deadline=None)
ExactFollower.TestCase.settings = Follower.TestCase.settings
TestSmallCaches = Follower.TestCase
TestExactModel = ExactFollower.TestCase
