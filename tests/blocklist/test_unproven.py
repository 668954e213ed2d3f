"""Unproven bans between nodes: who takes them, who does not, and how they end."""

from __future__ import annotations

from shield.blocklist.aside import Why
from shield.blocklist.decision import EARNED
from shield.blocklist.shared_record import unproven_key, unproven_value
from shield.blocklist.sharing_report import sharing_json, sharing_warnings
from shield.blocklist.sharing_settings import SharingSettings
from shield.detect.alert import Proof
from shield.net import pack
from tests.blocklist.sharing_lab import WALL, Lab, net
from tests.blocklist.test_sharing import restart
from tests.blocklist.test_sharing_members import meet_at

SCANNER = "192.0.2.1"


def nodes(lab: Lab, value: str = SCANNER) -> set[str]:
    """Who bans a value."""
    return {name for name, node in lab.nodes.items() if value in node.banned()}


def test_one_node_finds_the_scanner_and_all_block_it() -> None:
    """As unproven, with the end and the alert of who found it; it ends everywhere by itself."""
    lab = Lab("a", "b", "c")
    lab["a"].suspect(SCANNER, 300)
    lab.deliver()
    assert nodes(lab) == {"a", "b", "c"}
    found = lab["b"].get(SCANNER)
    assert (found.proof, found.origin, found.until) == (Proof.UNPROVEN, "a", lab.now + 300)
    assert lab["b"].documents[0]["value"] == SCANNER
    assert sharing_json(lab["b"].sharing)["origins"]["a"]["unproven"] == 1
    lab.run(301)
    assert nodes(lab) == set()
    assert lab.agree() == {}


def test_networks_stay_where_they_were_decided() -> None:
    """Who lives in a network each node knows itself; a record of one is refused."""
    lab = Lab("a", "b")
    lab["a"].suspect("192.0.2.0/24")
    assert not lab.waiting
    weak = lab["a"].decision("192.0.2.0/24", 300, proof=Proof.UNPROVEN)
    key = unproven_key(weak.network)
    lab["a"].sharing.records.put(key, unproven_value(weak, 9), 300, lab.now, WALL)
    lab["a"].sharing.send([key], lab.now)
    lab.deliver()
    assert nodes(lab, "192.0.2.0/24") == {"a"}
    assert lab["b"].why("192.0.2.0/24") == {"prefix"}


def test_an_address_with_good_traffic_is_not_banned_where_it_is_known() -> None:
    """A carrier's, a customer's: refused by the nodes that know it, taken by the others."""
    lab = Lab("a", "b", "c", "d")
    lab["b"].good[pack(SCANNER)] = Why.TRUSTED
    lab["c"].good[pack(SCANNER)] = Why.RINGING
    lab["a"].suspect(SCANNER)
    lab.deliver()
    assert nodes(lab) == {"a", "d"}
    assert (lab["b"].why(SCANNER), lab["c"].why(SCANNER)) == ({"trusted"}, {"ringing"})
    # The call was not answered: then nothing speaks against the ban any more.
    lab.run(1)
    assert nodes(lab) == {"a", "d"}
    lab["c"].good.clear()
    lab.run(1)
    assert nodes(lab) == {"a", "c", "d"}
    assert lab["c"].why(SCANNER) == set()


def test_who_earns_trust_is_free_here_and_the_others_judge_for_themselves() -> None:
    """Lifting is no unban, and a restart does not forget that it was lifted."""
    lab = Lab("a", "b", "c")
    lab["a"].suspect(SCANNER)
    lab.deliver()
    b = lab["b"]
    b.good[pack(SCANNER)] = Why.TRUSTED
    b.local(b.bans.lift(net(SCANNER), lab.now, EARNED))
    lab.run(1)
    assert nodes(lab) == {"a", "c"}
    assert b.why(SCANNER) == {"trusted"}
    b.good.clear()
    restart(b)
    lab.run(5)
    assert (nodes(lab), b.why(SCANNER)) == ({"a", "c"}, {"refused_before"})


def test_an_unban_anywhere_takes_it_back_everywhere() -> None:
    """Also on a node that had refused it; and what is still on its way does not bring it back."""
    lab = Lab("a", "b", "c")
    lab["b"].good[pack(SCANNER)] = Why.TRUSTED
    lab["a"].suspect(SCANNER)
    lab.deliver()
    lab["b"].unban(SCANNER)
    lab.deliver()
    assert nodes(lab) == set()
    lab["b"].good.clear()
    lab.run(20)
    assert nodes(lab) == set()


def test_no_protected_address_is_banned() -> None:
    """Allowlisted ones, our servers, nodes of the cluster."""
    lab = Lab("a")
    lab.add("b", SharingSettings(), servers=("192.0.2.20",), allowed=("192.0.2.30",))
    meet_at(lab["b"], "c", "192.0.2.40")
    for value in ("192.0.2.20", "192.0.2.30", "192.0.2.40"):
        lab["a"].suspect(value)
    lab.deliver()
    assert lab["b"].banned() == set()
    reasons = [lab["b"].why(f"192.0.2.{n}") for n in (20, 30, 40)]
    assert reasons == [{"own_server"}, {"allowlisted"}, {"member"}]


def test_an_entry_of_the_allowlist_that_goes_away_lets_it_in() -> None:
    """As with proven bans; a member that turns up at the address ends it."""
    lab = Lab("a", "b")
    lab["b"].allowlist.add(SCANNER, lab.now)
    lab["a"].suspect(SCANNER)
    lab.deliver()
    assert nodes(lab) == {"a"}
    lab["b"].allowlist.remove(SCANNER)
    lab["b"].sharing.allowlist_changed(lab.now)
    assert nodes(lab) == {"a", "b"}
    meet_at(lab["b"], "c", SCANNER)
    assert (nodes(lab), lab["b"].why(SCANNER)) == ({"a"}, {"member"})


def test_a_proven_ban_is_neither_shortened_nor_lengthened_nor_removed() -> None:
    """In whatever order both come; when the proven one ends first the other counts."""
    for first in ("proven", "unproven"):
        lab = Lab("a", "b", "c")
        for kind in (first, "unproven" if first == "proven" else "proven"):
            # At the same moment: neither has heard of the other's.
            if kind == "proven":
                lab["a"].ban(SCANNER, 100)
            else:
                lab["b"].suspect(SCANNER, 300)
        lab.deliver()
        assert {lab[name].get(SCANNER).until for name in "abc"} == {200.0}
        assert {lab[name].get(SCANNER).proof for name in "abc"} == {Proof.PROVEN}
        lab.run(101)
        assert {lab[name].get(SCANNER).origin for name in "abc"} == {"b"}
        assert {lab[name].get(SCANNER).until for name in "abc"} == {400.0}
        lab.agree()


def test_an_unban_of_the_proven_ban_alone_leaves_the_other() -> None:
    """Who had not heard of the unproven one did not take it back."""
    lab = Lab("a", "b", "c")
    lab["a"].ban(SCANNER)
    lab["b"].suspect(SCANNER)
    lab.waiting.clear()
    lab["a"].unban(SCANNER)
    lab.run(20)
    assert nodes(lab) == {"a", "b", "c"}
    assert lab["a"].get(SCANNER).proof is Proof.UNPROVEN


def test_it_is_never_longer_than_an_own_one() -> None:
    """Whatever its origin says."""
    lab = Lab("mad", "b")
    lab["mad"].suspect(SCANNER, 86400)
    lab.deliver()
    assert lab["b"].get(SCANNER).until == lab.now + lab["b"].policy.settings.unproven_ban_time


def test_a_lying_node_has_a_budget_and_crowds_out_no_proven_ban() -> None:
    """Beyond it nothing is taken and nobody asked; its proven bans have a budget of their own."""
    lab = Lab("mad", "b", settings=SharingSettings(unproven_burst=10, unproven_rate=1))
    lab.meet()
    lab.run(10)  # both maps are equal: there is nothing left to catch up
    for n in range(50):
        lab["mad"].suspect(f"10.0.0.{n}")
    lab["mad"].ban("10.0.1.1")
    lab.deliver()
    assert len(lab["b"].banned()) == 11
    assert lab["b"].why("10.0.0.49") == {"too_many"}
    assert sharing_warnings(lab["b"].sharing) == []


def test_a_node_tells_no_more_than_others_take() -> None:
    """So a flood of forged sources at one node does not fill the map of all; ended ones make room."""
    lab = Lab("a", "b", settings=SharingSettings(max_unproven=5))
    for n in range(9):
        lab["a"].suspect(f"10.0.0.{n}", 100)
    lab.deliver()
    assert (len(lab["a"].banned()), len(lab["b"].banned())) == (9, 5)
    assert len(lab["b"].sharing.records) == 5
    assert sharing_json(lab["a"].sharing)["unproven_untold"] == 4
    lab.run(101)
    lab["a"].suspect("10.0.0.77")
    lab.deliver()
    assert lab["b"].banned() == {"10.0.0.77"}


def test_with_a_quorum_unproven_bans_stay_where_they_are() -> None:
    """A forger is no second witness, however many nodes he reaches."""
    lab = Lab("a", "b", "c", settings=SharingSettings(quorum=2))
    lab["a"].suspect(SCANNER)
    lab["b"].suspect(SCANNER, 301)
    lab.deliver()
    assert nodes(lab) == {"a", "b"}
    assert lab["c"].why(SCANNER) == {"quorum"}


def test_a_flood_over_all_nodes_is_noticed_where_it_is_heard() -> None:
    """A few forged sources at each node: none of them sees a flood, all hear of one, and say so."""
    lab = Lab("a", "b", "c", "d")
    for n in range(12):
        lab["abc"[n % 3]].suspect(f"10.0.0.{n}", messages=1)
        lab.deliver()
    lab["a"].suspect(SCANNER, messages=40)
    lab.deliver()
    assert lab["d"].banned() == {SCANNER}, "who sends much is no stray packet"
    assert {len(lab[name].banned()) for name in "abc"} == {5}, "what a node saw itself it judged itself"
    assert lab["d"].why("10.0.0.3") == {"flood"}
    (warning,) = sharing_warnings(lab["d"].sharing)
    assert "flood of forged sources" in warning
    assert sharing_json(lab["d"].sharing)["forged_floods"] == {"now": ["sip-scan"], "seen": 1}
    lab.run(75)
    assert sharing_warnings(lab["d"].sharing) == []
    lab["a"].suspect("10.0.1.1", messages=1)
    lab.deliver()
    assert "10.0.1.1" in lab["d"].banned()


def test_what_a_joiner_hears_at_once_is_no_flood() -> None:
    """Records count at the time of their decisions; and the clock of no other node matters."""
    lab = Lab("a")
    for n in range(20):
        lab["a"].suspect(f"10.0.0.{n}", messages=1)
        lab.run(5)
    lab.add("b", SharingSettings())
    lab.meet()
    lab.run(10)
    assert lab["b"].banned() == lab["a"].banned()
    assert len(lab["b"].banned()) == 20


def test_a_restart_keeps_live_ones_and_brings_no_ended_one_back() -> None:
    """Own and foreign; the map's record says when."""
    lab = Lab("a", "b")
    lab["a"].suspect(SCANNER, 20)
    lab["b"].suspect("192.0.2.2", 100)
    lab.deliver()
    lab.run(1)
    restart(lab["b"])
    assert lab["b"].banned() == {SCANNER, "192.0.2.2"}
    lab.cut = {"a"}
    lab.run(25)
    restart(lab["b"])
    assert lab["b"].banned() == {"192.0.2.2"}


def test_a_node_that_was_put_out_takes_its_unproven_bans_along() -> None:
    """Those that another node has decided since stay."""
    lab = Lab("a", "b", "c")
    lab["a"].suspect(SCANNER)
    lab["a"].suspect("192.0.2.2")
    lab.deliver()
    lab.now += 250
    lab["b"].suspect("192.0.2.2", 300)
    lab.deliver()
    assert lab["c"].get("192.0.2.2").origin == "b", "renewed by whoever sees the scan"
    lab["c"].sharing.forget("a", lab.now)
    assert lab["c"].banned() == {"192.0.2.2"}


def test_keys_that_are_none_are_set_aside() -> None:
    """As with proven bans."""
    lab = Lab("a", "b")
    for key in (b"u", b"u \xc0", unproven_key(net("192.0.2.8"))):
        lab["a"].sharing.records.put(key, b"\xc1", 300, lab.now, WALL)
        lab["a"].sharing.send([key], lab.now)
    lab.deliver()
    assert lab["b"].sharing.aside.count(Why.UNREADABLE) == 3
    assert lab["b"].banned() == set()
