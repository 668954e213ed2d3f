"""Sharing between nodes in memory: what one bans all block, and what one may not do to the others."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from shield.blocklist.allowlist import AllowlistSettings
from shield.blocklist.aside import Why
from shield.blocklist.decision import LIMIT, Change, ChangeKind, Decision
from shield.blocklist.journal_rows import alert_document
from shield.blocklist.journal_shared import SharedRow
from shield.blocklist.shared_held import drop, release
from shield.blocklist.shared_record import allow_key, ban_key, ban_value, vote_key
from shield.blocklist.sharing_report import sharing_json, sharing_warnings
from shield.blocklist.sharing_settings import SharingSettings
from shield.cluster.capability import Incoming
from shield.cluster.entry import Limits
from shield.cluster.messages import Kind
from shield.detect.alert import Proof
from shield.net import Port, pack
from shield.wire import pack_value, unpack_value
from tests.blocklist.sharing_lab import WALL, Lab, LabNode, alert, net

ATTACKER = "192.0.2.66"


def test_a_ban_on_one_node_is_a_ban_on_all() -> None:
    """With its origin, scenario, reason, time and end."""
    lab = Lab("a", "b", "c")
    lab["a"].ban(ATTACKER, 600)
    lab.now += 0.2
    lab.deliver()
    assert lab.agree() == {ATTACKER: 700.0}
    found = lab["c"].get(ATTACKER)
    assert (found.origin, found.scenario, found.reason) == ("a", "sip-scan", "a scanner")
    assert (found.time, found.duration, found.id) == (WALL + 100, 600, "a-1")


def test_a_ban_of_another_node_is_a_limit_where_the_address_is_trusted() -> None:
    """The phones of an office go on where they are known; the others ban, and an unban ends both."""
    lab = Lab("a", "b", "c", "d")
    lab["b"].good[pack(ATTACKER)] = Why.TRUSTED
    lab["c"].good[pack(ATTACKER)] = Why.RINGING
    lab["a"].ban(ATTACKER)
    lab.deliver()
    assert {name: node.get(ATTACKER).type for name, node in lab.nodes.items()} == {
        "a": "ban", "b": "limit", "c": "ban", "d": "ban",
    }  # fmt: skip
    found = lab["b"].get(ATTACKER)
    assert (found.origin, found.proof, found.until) == ("a", Proof.PROVEN, lab["a"].get(ATTACKER).until)
    assert found.reason.endswith("good users are there too")
    lab["d"].unban(ATTACKER)
    lab.deliver()
    assert lab.agree() == {}


def test_trust_softens_neither_what_an_operator_bans_nor_what_the_node_found_itself() -> None:
    """Who went on until his credit was used up stays banned when another node says so too."""
    lab = Lab("a", "b")
    lab["b"].good[pack(ATTACKER)] = Why.TRUSTED
    lab["a"].ban(ATTACKER, scenario="manual", origin="cli")
    lab.deliver()
    assert lab["b"].get(ATTACKER).type == "ban"
    lab["a"].unban(ATTACKER)
    lab.deliver()
    lab["b"].ban(ATTACKER)
    lab.deliver()
    lab["a"].ban(ATTACKER, 900.0)
    lab.deliver()
    assert [node.get(ATTACKER).type for node in lab.nodes.values()] == ["ban", "ban"]


def test_a_limit_on_one_node_is_a_limit_on_all() -> None:
    """With its ports; a ban that follows takes its place everywhere, and so does an unban."""
    lab = Lab("a", "b", "c")
    made = lab["a"].decision(ATTACKER, 600.0)._replace(type=LIMIT, ports=(Port.parse("udp/40001"),))
    lab["a"].local(lab["a"].bans.add(made, lab.now))
    lab.deliver()
    for node in lab.nodes.values():
        found = node.get(ATTACKER)
        assert (found.type, found.ports) == ("limit", made.ports)
        assert (node.bans.counts()["limited"], len(node.bans)) == (1, 0)
    lab["a"].ban(ATTACKER, 300)
    lab.deliver()
    assert [node.get(ATTACKER).type for node in lab.nodes.values()] == ["ban"] * 3
    assert [node.bans.counts()["limited"] for node in lab.nodes.values()] == [0] * 3
    lab["b"].unban(ATTACKER)
    lab.deliver()
    assert lab.agree() == {}


def test_an_unban_on_one_node_is_an_unban_on_all() -> None:
    """Also where it was not detected; and an old copy does not bring it back."""
    lab = Lab("a", "b", "c")
    lab["a"].ban(ATTACKER)
    old = list(lab.waiting)
    lab.deliver()
    lab["c"].unban(ATTACKER)
    lab.deliver()
    assert lab.agree() == {}
    lab.waiting.extend(old)
    lab.deliver()
    assert lab.agree() == {}
    assert lab["a"].changes[-1].reason == "unban by c"


def test_expiry_and_eviction_do_not_travel() -> None:
    """Each node knows the time itself; a full one says nothing about the others' bans."""
    lab = Lab("a", "b")
    lab.add("small", SharingSettings(), blocklist={"max_decisions": 1})
    lab["a"].ban("192.0.2.1", 60)
    lab["a"].ban("192.0.2.2", 600)
    lab.deliver()
    assert lab["small"].banned() == {"192.0.2.2"}
    lab["small"].expire()
    lab.now += 61
    lab["b"].expire()
    assert not lab.waiting
    assert lab["b"].banned() == {"192.0.2.2"}


def test_alerts_travel_with_their_decision() -> None:
    """So every node explains the ban; trimmed to four samples."""
    lab = Lab("a", "b")
    found = alert(ATTACKER, evidence=5)
    made = lab["a"].bans.add(lab["a"].decision(ATTACKER, 600), lab.now)
    lab["a"].local(made, first=found)
    lab.deliver()
    (document,) = lab["b"].documents
    assert (document["value"], document["origin"], document["scenario"]) == (ATTACKER, "a", "sip-scan")
    assert document["details"] == {"user_agent": "friendly-scanner"}
    assert len(document["evidence"]) == 4
    assert net(ATTACKER) in lab["b"].bans.guard


def test_a_node_that_lacks_the_alerts_asks_the_origin() -> None:
    """The answer is read field by field, kept, and of another address refused."""
    lab = Lab("a", "b")
    lab["a"].own = [alert_document(alert(ATTACKER), WALL), alert_document(alert("192.0.2.9"), WALL)]
    lab.receive("a", Incoming("b", Kind.REQUEST, 7, ("explain", ATTACKER)))
    lab.deliver()
    (body,) = lab["b"].replies
    (document,) = lab["b"].sharing.alerts.explained("a", net(ATTACKER), body)
    assert (document["origin"], document["value"]) == ("a", ATTACKER)
    assert lab["b"].documents == [document]
    assert lab["b"].sharing.alerts.explained("a", net("192.0.2.9"), body) == []
    for question in (("explain",), ("explain", "x"), ("what", 1), 5):
        lab.receive("a", Incoming("b", Kind.REQUEST, 7, question))
    assert lab.errors == ["question"] * 4


def test_the_own_allowlist_is_asked_before_any_other_node() -> None:
    """A refused ban is applied as soon as the entry goes away; the others do not care."""
    lab = Lab("a", "c")
    b = lab.add("b", SharingSettings(), allowed=(ATTACKER,))
    lab["a"].ban(ATTACKER)
    lab.deliver()
    assert (b.banned(), b.why(ATTACKER), lab["c"].banned()) == (set(), {"allowlisted"}, {ATTACKER})
    b.allowlist.use(AllowlistSettings())
    b.enforce()
    assert (b.banned(), b.why(ATTACKER)) == ({ATTACKER}, set())
    lab.deliver()
    lab.agree()


def test_a_configured_entry_ends_bans_of_others_here_only() -> None:
    """What this node decided itself it takes back everywhere."""
    lab = Lab("a", "b")
    lab["a"].ban("192.0.2.1")
    lab["b"].ban("192.0.2.2")
    lab.deliver()
    lab["b"].allowlist.use(AllowlistSettings(entries=("192.0.2.0/24",)))
    lab["b"].enforce()
    lab.deliver()
    assert lab["b"].banned() == set()
    assert lab["a"].banned() == {"192.0.2.1"}


def test_an_operators_allow_entry_holds_on_all_nodes() -> None:
    """It ends bans for good, keeps new ones away, ends by itself, and goes away everywhere."""
    lab = Lab("a", "b", "c")
    lab["a"].ban(ATTACKER)
    lab.deliver()
    lab["b"].allow("192.0.2.0/24")
    lab.deliver()
    assert lab.agree() == {}
    entry = lab["c"].allowlist.get("192.0.2.0/24")
    assert entry is not None
    assert (entry.origin, entry.reason, entry.until) == ("b", "a friend", None)
    lab["c"].ban("192.0.2.7")
    lab["c"].disallow("192.0.2.0/24")
    lab.deliver()
    assert [len(node.allowlist) for node in lab.nodes.values()] == [2, 2, 2]  # loopback
    assert lab.agree() == {}
    lab["a"].allow("carrier.example", 50)
    lab.deliver()
    kept = lab["b"].allowlist.get("carrier.example")
    assert kept is not None
    assert (kept.kind, kept.until) == ("name", 150.0)


def test_configured_entries_never_leave_their_node() -> None:
    """Nor can another node's operator take them away."""
    lab = Lab("b")
    a = lab.add("a", SharingSettings(), allowed=("192.0.2.0/24",))
    a.sharing.restore([], lab.now)
    lab.run(1)
    lab["b"].allow("192.0.2.0/24")
    lab["b"].disallow("192.0.2.0/24")
    lab.deliver()
    assert len(lab["b"].allowlist) == 2
    found = a.allowlist.get("192.0.2.0/24")
    assert found is not None
    assert found.origin == "config"


def test_allow_entries_of_others_can_be_switched_off_and_are_limited() -> None:
    """A captured node must not allow the Internet."""
    lab = Lab("mad")
    deaf = lab.add("deaf", SharingSettings(share_allow=False))
    b = lab.add("b", SharingSettings(max_allow=2))
    for value in ("0.0.0.0/0", "192.0.2.1", "192.0.2.2", "192.0.2.3"):
        lab["mad"].allow(value)
    lab.deliver()
    assert len(deaf.allowlist) == 2
    assert {e.value for e in b.allowlist.entries(lab.now) if e.origin == "mad"} == {
        "192.0.2.1",
        "192.0.2.2",
    }
    assert b.sharing.aside.counts() == {("mad", Why.PREFIX): 1, ("mad", Why.HELD): 1}
    assert release(b.sharing, "mad", lab.now) == 1
    assert b.allowlist.get("192.0.2.3") is not None


def test_a_mad_nodes_flood_is_bounded_and_shown() -> None:
    """Beyond the burst bans are held, with a warning, until an operator releases or drops them."""
    lab = Lab("mad")
    b = lab.add("b", SharingSettings(burst=50, rate=1, max_bans=80))
    lab["mad"].ban("198.51.100.1")
    lab.deliver()
    b.sharing.budget.settle(lab.now)
    for n in range(200):
        lab["mad"].ban(f"192.0.2.{n}")
    lab.deliver()
    assert len(b.banned()) == 51
    (warning,) = sharing_warnings(b.sharing)
    assert warning.startswith("sharing: 150 records of mad are beyond its budget and held")
    lab.now += 1000
    assert len(b.banned()) == 0  # ended meanwhile; what is held did not come back by itself
    b.expire()
    lab.now -= 900
    assert release(b.sharing, "mad", lab.now) == 150
    assert len(b.banned()) == 150
    assert sharing_warnings(b.sharing) == []


def test_a_flood_fills_neither_map_nor_blocklist() -> None:
    """A hundred thousand bans of a mad node: as many records as the map allows, as many bans as the
    budget allows, and a good node's ban in between is applied.
    """
    lab = Lab("good")
    b = lab.add("b", SharingSettings(max_bans=500), limits=Limits(per_origin=2000, total=4000))
    proven = ban_value(lab["good"].decision(ATTACKER, 600))
    stamp = int((WALL + lab.now) * 1000) << 16
    for start in range(0, 100_000, 500):
        records = tuple(
            (b"b\x20" + (0x0A000000 + n).to_bytes(4, "big"), stamp + n, 600_000, proven, n)
            for n in range(start, start + 500)
        )
        lab.receive("b", Incoming("mad", Kind.MESSAGE, 0, ("put", records, None)))
        if start == 50_000:
            lab["good"].ban(ATTACKER)
            lab.deliver()
    assert ATTACKER in b.banned()
    assert len(b.banned()) == 501
    assert b.sharing.aside.count(Why.HELD, "mad") == 1500
    assert b.sharing.records.counters["over_limit"] == 98_000
    assert len(sharing_warnings(b.sharing)) == 1


def test_what_is_held_can_be_dropped_everywhere() -> None:
    """The operator's word ends it on all nodes; what was applied stays."""
    lab = Lab("mad", "c")
    b = lab.add("b", SharingSettings(max_bans=3))
    for n in range(5):
        lab["mad"].ban(f"192.0.2.{n}")
    lab.deliver()
    assert (len(b.banned()), len(lab["c"].banned())) == (3, 5)
    assert drop(b.sharing, "mad", lab.now) == 2
    lab.deliver()
    assert len(lab.agree()) == 3
    assert len(b.sharing.aside) == 0


def test_too_large_networks_and_own_servers_are_refused() -> None:
    """However it is spelled: half the Internet, a network around our server, the server itself."""
    lab = Lab()
    mad = lab.add("mad", SharingSettings(), blocklist={"min_prefix_v4": 0, "min_prefix_v6": 0})
    b = lab.add("b", SharingSettings(), servers=("203.0.113.5",))
    for value in ("0.0.0.0/1", "198.50.0.0/15", "2001:d00::/24", "203.0.113.0/24", "203.0.113.5"):
        mad.ban(value)
    mad.ban("198.51.100.0/24")
    lab.deliver()
    assert b.banned() == {"198.51.100.0/24"}
    assert [b.why(v) for v in ("0.0.0.0/1", "2001:d00::/24")] == [{"prefix"}, {"prefix"}]
    assert [b.why(v) for v in ("203.0.113.0/24", "203.0.113.5")] == [{"own_server"}, {"own_server"}]


def test_lifetimes_are_capped() -> None:
    """A ban for ever by another node lasts as long as this node allows."""
    lab = Lab("mad")
    b = lab.add("b", SharingSettings(max_lifetime=3600))
    lab["mad"].ban(ATTACKER, 9e6)
    lab.deliver()
    assert b.get(ATTACKER).until == lab.now + 3600


def test_nobody_speaks_in_the_name_of_another() -> None:
    """What a node sends is its own word; our own name needs our seal."""
    lab = Lab("a", "b")
    lab["a"].ban(ATTACKER)
    _, message = lab.waiting.popleft()
    body = unpack_value(message.body)
    lab.receive("b", Incoming("b", Kind.MESSAGE, 0, body))
    assert lab["b"].sharing.records.counters["forged_origin"] == 1
    assert lab["b"].banned() == set()


def test_garbage_is_refused_by_reason() -> None:
    """Bodies, records, keys and values of any shape: nothing raises but RemoteError."""
    lab = Lab("a", "b")
    b = lab["b"]
    for body in (
        ("put",),
        ("put", 1),
        ("put", (1,) * 5000, None),
        ("put", (), 5, 6),
        None,
        7,
        (),
        ("put", (3, None), ()),
    ):
        lab.receive("b", Incoming("a", Kind.MESSAGE, 0, body))
    assert set(lab.errors) == {"garbled_sync", "chunk_too_large"}
    stamp = int((WALL + lab.now) * 1000) << 16
    keys = (
        b"b",
        b"b\x21abcd",
        b"b\x08abcd",
        b"b\x20abc",
        b"v",
        b"v\x20\x04abcd\xff",
        b"a\xff",
        b"a",
        b"z9",
    )
    records = [(key, stamp + n, 60_000, b"\x90", n) for n, key in enumerate(keys)]
    records += [(b"b\x20abc" + bytes([n]), stamp + 50 + n, 60_000, v, n) for n, v in enumerate(VALUES)]
    lab.receive("b", Incoming("a", Kind.MESSAGE, 0, ("put", tuple(records), ((b"x",), 4, (b"b", b"c")))))
    assert b.banned() == set()
    assert b.sharing.aside.count(Why.UNREADABLE) == len(records) - 1
    assert b.sharing.stats.unknown == 1
    assert b.sharing.stats.refused_alerts == 2


VALUES = (
    b"", b"\xc1", b"x" * 2000, pack_value(()), pack_value([1] * 7),
    pack_value(("s", 1, float("nan"), 60.0, "i", 0, "r")),
    pack_value(("s", 1, 0.0, -1, "i", 0, "r")),
    pack_value(("s" * 65, 1, 0.0, 60, "i", 0, "r")),
    pack_value(("s", 1, 0.0, 60, "i" * 161, 0, "r")),
    pack_value(("s", 1, 0.0, 60, "i", True, "r")),
    pack_value(("s", 1, 0.0, 60, "i", 0, b"r")),
)  # fmt: skip


def test_what_calls_itself_unproven_is_no_proven_ban() -> None:
    """A record among the proven ones that says so is set aside."""
    lab = Lab("a", "b")
    weak = lab["a"].decision(ATTACKER, 60, proof=Proof.UNPROVEN)
    lab["a"].sharing.records.put(ban_key(weak.network), ban_value(weak), 60, lab.now, WALL)
    record = lab["a"].sharing.records.record(ban_key(weak.network), lab.now)
    lab.receive("b", Incoming("a", Kind.MESSAGE, 0, ("put", (record,), None)))
    assert lab["b"].why(ATTACKER) == {"unproven"}


def test_two_nodes_that_ban_one_network_at_once_agree() -> None:
    """On one decision with one end, whoever heard what first, also when the winner's is shorter."""
    for first, second in ((60, 6000), (6000, 60)):
        lab = Lab("a", "b", "c", "d")
        lab["a"].ban(ATTACKER, first)
        lab["b"].ban(ATTACKER, second)
        queue = sorted(lab.waiting, key=lambda item: (item[0] == "c", item[1].sender == "a"))
        lab.waiting = deque(queue)
        lab.deliver()
        lab.agree()
        assert {node.get(ATTACKER).id for node in lab.nodes.values()} == {"b-2"}


def test_a_quorum_of_two_is_not_one_captured_node() -> None:
    """Who detects bans at once; the others when a second node says so; all agree on one decision."""
    lab = Lab("a", "b", "c", settings=SharingSettings(quorum=2))
    lab["a"].ban(ATTACKER, 600)
    lab.deliver()
    assert [node.banned() for node in lab.nodes.values()] == [{ATTACKER}, set(), set()]
    assert lab["b"].why(ATTACKER) == {"quorum"}
    lab["a"].ban(ATTACKER, 900)  # the same node again is no second one
    lab.deliver()
    assert lab["c"].banned() == set()
    lab["c"].ban(ATTACKER, 300)
    lab.deliver()
    assert lab.agree() == {ATTACKER: 400.0}
    assert lab["b"].why(ATTACKER) == set()
    lab["b"].unban(ATTACKER)
    lab.deliver()
    assert lab.agree() == {}


def test_a_quorum_survives_a_restart_and_a_changed_allowlist() -> None:
    """Votes are in the journal; an entry that goes away lets the votes be counted, not just one."""
    lab = Lab("a", "b", settings=SharingSettings(quorum=2))
    c = lab.add("c", SharingSettings(quorum=2), allowed=(ATTACKER,))
    lab["a"].ban(ATTACKER)
    lab["a"].ban("192.0.2.1")
    lab["b"].ban(ATTACKER)
    lab.deliver()
    assert (c.banned(), c.why(ATTACKER), c.why("192.0.2.1")) == (set(), {"allowlisted"}, {"quorum"})
    c.allowlist.use(AllowlistSettings())
    c.enforce()
    assert c.banned() == {ATTACKER}
    c.more["allowed"] = ()
    restart(c)
    assert c.banned() == {ATTACKER}
    lab["b"].ban("192.0.2.1")
    lab.deliver()
    assert c.banned() == {ATTACKER, "192.0.2.1"}


def test_what_finds_no_room_in_the_map_is_told() -> None:
    """The ban holds here; the operator hears that the others do not know it."""
    lab = Lab("b")
    a = lab.add("a", SharingSettings(), limits=Limits(per_origin=2))
    for n in range(3):
        a.ban(f"192.0.2.{n}")
    assert len(a.banned()) == 3
    assert sharing_warnings(a.sharing) == [
        "sharing: 1 decisions of this node were not shared, there are too many"
    ]


def test_votes_count_while_they_live_and_of_their_own_node_only() -> None:
    """An ended vote is none, and nobody votes for another."""
    lab = Lab("a", "b", "c", settings=SharingSettings(quorum=2))
    lab["a"].ban(ATTACKER, 60)
    lab.deliver()
    lab.now += 61
    lab["a"].expire()
    lab["b"].ban(ATTACKER, 600)
    lab.deliver()
    assert lab["c"].banned() == set()
    vote = lab["b"].decision(ATTACKER, 60)
    records = lab["b"].sharing.records
    records.put(vote_key(vote.network, "a"), ban_value(vote), 60, lab.now, WALL + lab.now)
    record = records.record(vote_key(vote.network, "a"), lab.now)
    lab.receive("c", Incoming("b", Kind.MESSAGE, 0, ("put", (record,), None)))
    assert lab["c"].banned() == set()


def test_a_removed_node_is_forgotten_with_its_bans() -> None:
    """And its allowlist entries; those of others, and what was decided here too, stay."""
    lab = Lab("a", "b", "c")
    for value in ("192.0.2.1", "192.0.2.2"):
        lab["a"].ban(value, 60)
    lab["a"].allow("198.51.100.7")
    lab["b"].ban("192.0.2.3")
    lab.deliver()
    lab["c"].ban("192.0.2.2", 600)
    for name in ("b", "c"):
        lab[name].sharing.forget("a", lab.now)
    lab.nodes.pop("a")
    lab.waiting = deque(item for item in lab.waiting if item[0] != "a")
    lab.deliver()
    assert lab.agree().keys() == {"192.0.2.2", "192.0.2.3"}
    assert lab["b"].allowlist.get("198.51.100.7") is None
    assert len(lab["b"].sharing.records) == 2


def test_an_unban_elsewhere_drops_the_held_alert() -> None:
    """Else the policy would ban again a moment later what an operator has just freed."""
    lab = Lab("a", "b")
    b = lab["b"]
    fingerprint = replace(alert(ATTACKER), proof=Proof.UNPROVEN, fingerprint=True, repeated=False)
    lab["a"].ban(ATTACKER)
    lab.deliver()
    assert b.policy.decide(fingerprint, lab.now, credit=0.0).decision is None
    assert lab["a"].policy.decide(fingerprint, lab.now, credit=0.0).decision is None
    lab["a"].unban(ATTACKER)
    lab.deliver()
    for node in (lab["a"], b):
        (ruling,) = node.policy.tick(WALL + 1000, lab.now, lambda _s, _t: False)
        assert (ruling.decision, ruling.why) == (None, "the ban was taken back while it waited")


def test_saved_work_is_counted_by_node() -> None:
    """Packets of sources that another node found are counted for that node."""
    lab = Lab("a", "b")
    lab["a"].ban(ATTACKER)
    lab["a"].ban("198.51.100.0/24")
    lab.deliver()
    for _ in range(3):
        lab["b"].bans.guard.hit(pack(ATTACKER), WALL)
    lab["b"].bans.guard.hit(pack("198.51.100.8"), WALL)
    shown = sharing_json(lab["b"].sharing)
    assert (shown["saved_detections"], shown["origins"]["a"]["saved_detections"]) == (4, 4)
    assert (shown["bans"], shown["origins"]["a"]["networks"]) == (2, 1)


def restart(node: LabNode, *, decisions: bool = True) -> list[SharedRow]:
    """Kill a node and start it with what its journal would hold; returns that."""
    now, wall = node.lab.now, WALL + node.lab.now
    while node.sharing.store.waiting or node.sharing.store.urgent:
        rows, gone = node.sharing.store.take(1000, now, wall)
        node.disk.update({one.row[0]: one for one in rows})
        for key in gone:
            node.disk.pop(key, None)
    rows = [one for one in node.disk.values() if one.row[3] > wall]
    kept = [d for d in node.bans.decisions(now) if d.origin in (node.name, "cli")]
    start(node, rows, kept if decisions else [])
    return rows


def start(node: LabNode, rows: list[SharedRow], decisions: list[Decision]) -> None:
    node.changes = []
    node.build()
    node.changes += [Change(ChangeKind.ADDED, d) for d in decisions]
    node.bans.restore(decisions, node.lab.now)
    node.sharing.restore(rows, node.lab.now)


def test_a_restarted_node_enforces_without_the_others() -> None:
    """Bans of others, tombstones and what was held come back from the journal."""
    lab = Lab("a")
    b = lab.add("b", SharingSettings(max_bans=2))
    for n in (1, 2, 3):
        lab["a"].ban(f"192.0.2.{n}")
    b.ban("198.51.100.1")
    lab.deliver()
    b.unban("192.0.2.1")
    assert b.why("192.0.2.3") == {"held"}
    lab.waiting.clear()
    restart(b)
    assert b.banned() == {"192.0.2.2", "198.51.100.1"}
    assert b.why("192.0.2.3") == {"held"}
    assert b.followed().keys() == b.banned()
    lab["a"].sharing.send([ban_key(net("192.0.2.1"))], lab.now)
    lab.deliver()
    assert "192.0.2.1" not in b.banned()


def test_own_records_are_known_again_with_another_secret() -> None:
    """A node that gets its identity later must not take its own journal for forged."""
    lab = Lab("a", "b")
    a = lab["a"]
    a.ban("192.0.2.1")
    a.ban("192.0.2.2")
    a.unban("192.0.2.2")
    now = lab.now
    rows, _ = a.sharing.store.take(100, now, WALL + now)
    rows = [one._replace(row=(*one.row[:5], one.row[5] ^ 1)) for one in rows]
    start(a, rows, [])
    assert a.banned() == {"192.0.2.1"}
    assert a.sharing.records.counters["forged_origin"] == 0


def test_an_old_journal_brings_nothing_back() -> None:
    """A tombstone that is newer than a saved decision ends it; one of others that was saved too."""
    lab = Lab("a", "b")
    lab["a"].ban(ATTACKER)
    lab.deliver()
    saved = lab["a"].get(ATTACKER)
    lab["a"].unban(ATTACKER)
    rows = restart(lab["a"], decisions=False)
    start(lab["a"], rows, [saved])
    assert lab["a"].banned() == set()
    assert lab["a"].changes[-1].kind is ChangeKind.REMOVED


def test_decisions_older_than_the_cluster_are_told_once() -> None:
    """A node that joins with bans of its own shares them; allowlist entries too."""
    lab = Lab("a", "b")
    a = lab["a"]
    made = [a.decision("192.0.2.1", 600), a.decision("192.0.2.2", 600, origin="cli")]
    start(a, [], made)
    assert a.sharing.store.urgent == 2
    sent = a.sharing.stats.sent
    start(a, [SharedRow((k, "a", e.stamp, WALL + e.until, e.value, e.seal), held=False)
              for k, e in a.sharing.records.entries(lab.now)], made)  # fmt: skip
    assert (sent, a.sharing.stats.sent) == (2, 0)


def test_what_lasts_longer_than_a_record_is_renewed() -> None:
    """Bans for a year and endless allowlist entries do not end on the others after a month."""
    lab = Lab("a", "b", settings=SharingSettings(max_lifetime=9e7))
    lab["a"].ban(ATTACKER, 365 * 86400)
    lab["a"].allow("198.51.100.7")
    lab.deliver()
    for _ in range(4):
        lab.now += 16 * 86400
        for node in lab.nodes.values():
            node.expire()
            node.sharing.tick(lab.now)
        lab.deliver()
        assert lab["b"].banned() == {ATTACKER}
    assert lab["b"].allowlist.get("198.51.100.7") is not None
    assert lab["b"].sharing.records.live(allow_key("198.51.100.7"), lab.now) is not None


def test_a_large_batch_goes_in_messages_of_limited_size() -> None:
    """An import of thousands is no single frame."""
    lab = Lab("a", "b")
    changes = []
    for n in range(1200):
        decision = lab["a"].decision(f"10.0.{n // 250}.{n % 250}", 600, origin="import")
        changes += lab["a"].bans.add(decision, lab.now)
    lab["a"].local(changes)
    assert len(lab.waiting) == 3
    lab.deliver()
    assert len(lab.agree()) == 1200
