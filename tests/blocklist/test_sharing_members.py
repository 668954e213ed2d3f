"""Sharing when nodes come and go: none of them is banned by another, and one put out can come back."""

from __future__ import annotations

from tests.blocklist.sharing_lab import Lab, LabNode, Member, Record

PLACE = "192.0.2.7"
"""Where node b is."""


def meet_at(node: LabNode, name: str, *hosts: str) -> None:
    """Tell a node that a member is there."""
    member = Member(name, Record(tuple((host, 7170) for host in hosts)))
    node.sharing.member_changed(member, node.lab.now)  # type: ignore[arg-type]


def why(node: LabNode, *values: str) -> list[set[str]]:
    return [node.why(value) for value in values]


def test_no_node_is_banned_by_another() -> None:
    """A mad node would cut all others off from each other; its ban of a neighbour of theirs counts."""
    lab = Lab("mad", "a", "b")
    meet_at(lab["a"], "b", PLACE, "a-name.example.net", "2001:db8::7")
    for value in (PLACE, "192.0.2.0/24", "2001:db8::7", "2001:db8::/64", "192.0.2.8"):
        lab["mad"].ban(value)
    lab.deliver()
    assert lab["a"].banned() == {"192.0.2.8"}
    assert why(lab["a"], PLACE, "192.0.2.0/24", "2001:db8::/64") == [{"member"}] * 3
    # Its own operator's word counts, as everywhere.
    lab["a"].ban(PLACE)
    assert PLACE in lab["a"].banned()


def test_a_ban_ends_when_a_node_turns_up_there() -> None:
    """Whatever came first, the ban or the node; an own ban stays, for somebody here decided it."""
    lab = Lab("mad", "a")
    for value in (PLACE, "192.0.2.0/24", "192.0.2.8"):
        lab["mad"].ban(value)
    lab.deliver()
    lab["a"].ban("192.0.2.9")
    meet_at(lab["a"], "b", PLACE, "192.0.2.9")
    assert lab["a"].banned() == {"192.0.2.8", "192.0.2.9"}
    assert why(lab["a"], PLACE, "192.0.2.0/24") == [{"member"}] * 2
    assert lab["mad"].banned() == {PLACE, "192.0.2.0/24", "192.0.2.8"}, "it is no news for others"


def test_the_place_of_a_node_that_was_put_out_can_be_banned() -> None:
    """Also when it was known from before the start: a stolen host is an attacker like any other."""
    lab = Lab("a", "c")
    for name in ("", "b"):
        lab["a"].sharing.admission.protect(name, [PLACE], lab.now)
    lab["a"].sharing.forget("b", lab.now)
    lab["c"].ban(PLACE)
    lab.deliver()
    assert lab["a"].banned() == {PLACE}


def test_what_a_node_has_left_can_be_banned() -> None:
    """Who held a ban back for a node's sake applies it when the node has moved, or was put out."""
    lab = Lab("a", "c")
    for leave in (
        lambda: meet_at(lab["a"], "b", "192.0.2.250"),
        lambda: lab["a"].sharing.forget("b", lab.now),
    ):
        meet_at(lab["a"], "b", PLACE)
        lab["c"].ban(PLACE)
        lab.deliver()
        assert why(lab["a"], PLACE) == [{"member"}]
        leave()
        assert lab["a"].banned() == {PLACE}
        lab["a"].unban(PLACE)
        lab.deliver()


def test_a_node_that_was_put_out_can_come_back() -> None:
    """With its new certificate it is heard again, and says again what it had decided itself."""
    lab = Lab("a", "b")
    lab["b"].ban("192.0.2.66")
    lab.deliver()
    # Both hear of the revocation, b when it comes back.
    lab["a"].sharing.forget("b", lab.now)
    lab["b"].sharing.forget("b", lab.now)
    assert (lab["a"].banned(), lab["b"].banned()) == (set(), {"192.0.2.66"})
    lab["b"].ban("192.0.2.67")
    lab.deliver()
    assert lab["a"].banned() == set()
    lab.meet()
    lab["b"].ban("192.0.2.68")
    lab.deliver()
    assert lab["a"].banned() == {"192.0.2.68"}
    assert len(lab["b"].sharing.records) == 3, "what it said is still there to be compared"
