"""Core: members find each other, messages arrive, faults are noticed; all in memory."""

from __future__ import annotations

import pytest

from shield.cluster.capability import SendResult
from shield.cluster.identity import Identity
from shield.cluster.messages import Data, Kind, MemberNews, encode_message
from shield.cluster.parcels import Parcel
from shield.cluster.requests import Answers
from shield.wire import pack_value
from tests.cluster.fakenet import WALL, FakeNet, Pipe, authority, identity


def states(net: FakeNet, viewer: str) -> dict[str, str]:
    members = net[viewer].core.membership.members
    return {name: member.state.value for name, member in members.items()}


def link_of(net: FakeNet, node: str, peer: str) -> Pipe:
    return next(p for p in net.pipes if not p.broken and {e.name for e in p.ends} == {node, peer})


def test_one_seed_is_enough_to_learn_all() -> None:
    """Five nodes that know one address form a full mesh, with one connection for each pair."""
    net = FakeNet("a", "b", "c", "d", "e")
    net.settle()
    net.run(3)
    for node in net.nodes.values():
        assert set(node.core.links.up) == set(net.nodes) - {node.name}
    assert len(net.pipes) == 10
    assert states(net, "e") == dict.fromkeys("abcd", "alive")


def test_simultaneous_dialing_ends_with_one_connection() -> None:
    """Both ends of two crossing connections keep the same one."""
    net = FakeNet("a", "b", delay=0.2)
    for name, other in (("a", "b"), ("b", "a")):
        certificate = net[other].core.identity.certificate
        pipe = Pipe((net[name], net[other]))
        pipe.links[0] = net[name].core.connected(certificate, dialed=True, now=net.now)
        net.pipes.append(pipe)
    first, second = net.pipes
    with pytest.raises(Exception, match="duplicate"):
        net["a"].core.connected(net["b"].core.identity.certificate, dialed=False, now=net.now)
    first.links[1] = net["b"].core.connected(
        net["a"].core.identity.certificate, dialed=False, now=net.now
    )
    net._break(second, "refused")
    net.run(2)
    assert list(net["a"].core.links.up) == ["b"]
    assert net["a"].core.links.up["b"].dialed
    assert not net["b"].core.links.up["a"].dialed


def test_an_address_that_is_anothers_disturbs_nobody() -> None:
    """A member that tells the address of another one does not break the connections to that one."""
    net = FakeNet("a", "b", "c")
    net.settle()
    net["c"].core.reached_at([("a", 7170)], net.now)
    net.run(1)
    net.cut_link("b", "c")
    net.break_pipes(lambda pipe: {end.name for end in pipe.ends} == {"b", "c"})
    links = dict(net["b"].core.links.up)
    net.run(10)
    assert net["b"].core.links.up["a"] is links["a"]
    assert net["b"].core.errors["wrong_node"] > 0
    assert "a answers at an address of c" in net["b"].core.dialer.problems()["c"]


@pytest.mark.parametrize("include_self", [False, True])
def test_a_broadcast_reaches_everybody_once(include_self: bool) -> None:
    """Each other node gets it once; the sender only when it asks for it."""
    net = FakeNet("a", "b", "c")
    net.settle()
    outlet = net["a"].recorder.outlet
    assert outlet is not None
    assert outlet.broadcast(("hello", b"\x00"), net.now, include_self=include_self) is SendResult.SENT
    net.run(1)
    assert [node.recorder.bodies for node in net.nodes.values()] == [
        [("hello", b"\x00")] * include_self, [("hello", b"\x00")], [("hello", b"\x00")],
    ]  # fmt: skip
    assert net["b"].recorder.got[0].sender == "a"


def test_answers_of_send_and_broadcast() -> None:
    """1, -1, -2, -3: sent, this node is disabled, out of reach, failed; as the clusterer says it."""
    net = FakeNet("a", "b")
    outlet = net["a"].recorder.outlet
    assert outlet is not None
    assert outlet.send("b", 1, net.now) == -2
    assert outlet.broadcast(1, net.now) == -2
    net.settle()
    assert outlet.send("b", 1, net.now) == 1
    assert outlet.send("nobody", 1, net.now) == -2
    assert outlet.send("b", object(), net.now) == -3
    assert outlet.broadcast(b"x" * 600_000, net.now) == -3
    net["a"].core.enable(enabled=False, now=net.now)
    assert outlet.send("b", 1, net.now) == -1
    assert outlet.broadcast(1, net.now) == -1
    net.run(1)
    other = net["b"].recorder.outlet
    assert other is not None
    assert other.send("a", 1, net.now) == -2, "a disabled node takes no part"
    net["a"].core.enable(enabled=True, now=net.now)
    net.run(1)
    assert other.send("a", 1, net.now) == 1


def test_messages_travel_over_a_third_node() -> None:
    """When only the connection a-b is cut, a and b stay alive for each other, by way of c."""
    net = FakeNet("a", "b", "c")
    net.settle()
    net.cut_link("a", "b")
    net.run(5)
    assert states(net, "a") == {"b": "alive", "c": "alive"}
    assert net["a"].core.membership.routes["b"].next_hop == "c"
    outlet = net["a"].recorder.outlet
    assert outlet is not None
    for number in range(5):
        assert outlet.send("b", number, net.now) is SendResult.SENT
    net.run(1)
    assert net["b"].recorder.bodies == [0, 1, 2, 3, 4]
    assert {incoming.sender for incoming in net["b"].recorder.got} == {"a"}
    assert net["c"].recorder.bodies == []
    assert net["c"].core.relayed == 5
    net.heal()
    net.run(5)
    assert net["a"].core.membership.routes["b"].hops == 1


def test_the_cheaper_relay_is_used() -> None:
    """Of two nodes between, the one with the lower relay_cost carries the message."""
    net = FakeNet("a", "b", "c", "d")
    net["c"].core.membership._relay_cost = 50
    net.settle()
    net.cut_link("a", "b")
    net.run(5)
    assert net["a"].core.membership.routes["b"].next_hop == "d"
    net["d"].stop()
    net.run(5)
    assert net["a"].core.membership.routes["b"].next_hop == "c"


def test_a_chain_is_passed_and_hops_end() -> None:
    """A message passes five nodes in a row; a parcel whose hops are used up is dropped and counted."""
    net = FakeNet("a", "b", "c", "d", "e", "f")
    names = list(net.nodes)
    for first, one in enumerate(names):
        for other in names[first + 2 :]:
            net.cut_link(one, other)
    for name, before in zip(names[1:], names, strict=False):
        net[name].core.dialer._seeds = {before: (before, 7170)}
    net.settle()
    outlet = net["a"].recorder.outlet
    assert outlet is not None
    assert outlet.send("f", "far", net.now) is SendResult.SENT
    net.run(1)
    assert net["f"].recorder.bodies == ["far"]
    started, later = (net[name].core.membership.incarnation for name in "af")
    parcel = Parcel("a", started, 99, "f", "test", 0, 0, "late", later)
    routed = parcel.sign(net["a"].core.identity)
    link = net["b"].core.links.up["a"]
    net["b"].core.receive_data(link, encode_message(routed._replace(hops=1)), net.now)
    assert net["b"].core.errors["too_many_hops"] == 1


def test_a_killed_node_is_noticed_within_a_second() -> None:
    """Its broken connections are enough: out of reach at once, dead a little later."""
    net = FakeNet("a", "b", "c")
    net.settle()
    net["b"].stop()
    assert net.until(lambda: states(net, "a")["b"] != "alive", 1.0) < 1.0
    net.until(lambda: states(net, "a")["b"] == "dead" == states(net, "c")["b"], 3.0)
    net["b"].start()
    net.settle()
    assert states(net, "a")["b"] == "alive"


def test_a_frozen_node_is_noticed_within_five_seconds() -> None:
    """Its connections stay open and silent; others go on without it, and it comes back by itself."""
    net = FakeNet("a", "b", "c")
    net.settle()
    net["b"].frozen = True
    assert net.until(lambda: states(net, "a")["b"] == "dead" == states(net, "c")["b"], 5.0) < 5.0
    net["b"].frozen = False
    net.settle()


def test_leaving_is_no_death() -> None:
    """A node that says goodbye is left, for everybody, and nobody dials it."""
    net = FakeNet("a", "b", "c")
    net.settle()
    net["b"].core.leave(net.now)
    net.run(0.2)
    net["b"].stop()
    net.run(5)
    assert states(net, "a")["b"] == states(net, "c")["b"] == "left"
    assert ("b", "dead") not in net["a"].recorder.states


def test_a_flapping_connection_is_held_back() -> None:
    """One that breaks again and again is not used for a while, so the members' states stand still."""
    net = FakeNet("a", "b")
    net.settle()
    for _ in range(12):
        net.run(1)
        net.break_pipes(lambda _pipe: True)
    net.run(2)
    assert "b" in net["a"].core.links.up
    assert net["a"].core.neighbours.held("b", net.now) > 0
    assert net.sees("a") == set()
    changes = len(net["a"].recorder.states)
    assert changes <= 2 * 6
    net.run(70)
    assert net.sees("a") == {"b"}


def test_a_question_gets_all_answers_or_says_who_is_missing() -> None:
    """Replies of all; who cannot be reached or says nothing until the deadline is named."""
    net = FakeNet("a", "b", "c")
    net.settle()
    done: list[Answers] = []
    net["c"].recorder.answer = lambda body: body * 2
    post = net["a"].core.post
    assert (
        post.ask(("b", "c"), "test", 21, timeout=2.0, now=net.now, done=done.append) is SendResult.SENT
    )
    net.run(0.3)
    assert done[0].replies == {"b": 21, "c": 42}
    assert done[0].missing == ()
    net["b"].frozen = True
    assert post.ask(("b", "c"), "test", 1, timeout=1.0, now=net.now, done=done.append) is SendResult.SENT
    net.run(1.5)
    assert done[1].replies == {"c": 2}
    assert done[1].missing == ("b",)
    assert (
        post.ask(("nobody",), "test", 1, timeout=1.0, now=net.now, done=done.append)
        is SendResult.UNREACHABLE
    )
    assert post.ask(("c",), "unknown", 1, timeout=1.0, now=net.now, done=done.append) is SendResult.SENT
    net.run(0.3)
    assert done[2].failures == {"c": "no such capability"}


def test_a_node_that_dies_is_not_waited_for() -> None:
    """The question ends when the last one asked is lost, long before its deadline."""
    net = FakeNet("a", "b")
    net.settle()
    done: list[Answers] = []
    net["b"].frozen = True
    net["a"].core.post.ask(("b",), "test", 1, timeout=60.0, now=net.now, done=done.append)
    net.until(lambda: bool(done), 6)
    assert done[0].missing == ("b",)


def test_clocks_that_differ_by_hours_do_no_harm() -> None:
    """Membership, restarts and questions work; the difference is shown."""
    net = FakeNet("a")
    net.add("b", clock=3 * 3600.0)
    net.add("c", clock=-5 * 3600.0)
    net.settle()
    assert net["a"].core.links.up["b"].clock_offset == pytest.approx(3 * 3600.0, abs=1)
    net["b"].stop()
    net.run(3)
    net["b"].clock = -3600.0  # its battery is empty: the new start looks older than the last
    net["b"].start()
    net.settle()
    assert net["b"].core.membership.renamed >= 1


def test_a_revoked_node_is_out_everywhere() -> None:
    """Its connections end at once on all nodes, it cannot come back, the others go on."""
    net = FakeNet("a", "b", "c", "d")
    net.settle()
    revocation = authority().revoke("d", WALL + net.now)
    net["a"].core.revocations.add(revocation)
    net["a"].core.revoked(revocation, net.now)
    net.until(lambda: all("d" not in net[name].core.links.up for name in "abc"), 1)
    net.run(10)
    assert all(net.sees(name) == set("abc") - {name} for name in "abc")
    assert net["b"].core.errors["revoked"] > 0
    assert "d" not in net["c"].core.membership.members
    identity.cache_clear()  # later tests want a new certificate for d


def test_a_node_cannot_speak_for_another() -> None:
    """Another's name in the hello, in a record or in a parcel is refused and counted."""
    net = FakeNet("a", "b", "c")
    net.settle()
    core, link = net["a"].core, net["a"].core.links.up["b"]
    thief = net["b"].core.identity
    false = net["b"].core.membership.record._replace(name="c", sequence=10**6)
    core.receive_data(link, encode_message(false.sign(thief)), net.now)
    member = net["c"].core.membership
    newer = member.record._replace(sequence=member.record.sequence + 1)
    changed = MemberNews(pack_value(newer), member.news.signature)
    core.receive_data(link, encode_message(changed), net.now)
    started = net["c"].core.membership.incarnation
    forged = Parcel("c", started, 1, "a", "test", 0, 0, "ban them all", core.membership.incarnation)
    core.receive_data(link, encode_message(forged.sign(thief)), net.now)
    assert core.errors["forged_origin"] == 3
    assert net["a"].recorder.bodies == []
    assert "b" in core.links.up, "the link stays: the harm is one message"


def test_a_parcel_is_taken_once() -> None:
    """Sent again by somebody on the way, now or after a restart of either end, it achieves nothing."""
    net = FakeNet("a", "b", "c")
    net.settle()
    sender, core = net["c"].core, net["a"].core
    parcel = Parcel(
        "c", sender.membership.incarnation, 7, "a", "test", 0, 0, "once", core.membership.incarnation
    ).sign(sender.identity)
    for _ in range(3):
        core.receive_data(core.links.up["b"], encode_message(parcel), net.now)
    assert net["a"].recorder.bodies == ["once"]
    net["a"].stop()
    net.run(2)
    net["a"].start()
    net.settle()
    assert core.errors["replayed"] == 2
    core = net["a"].core
    core.receive_data(core.links.up["b"], encode_message(parcel), net.now)
    assert net["a"].recorder.bodies == []
    net["c"].stop()
    net.run(2)
    net["c"].start()
    net.settle()
    core.receive_data(core.links.up["b"], encode_message(parcel), net.now)
    assert net["a"].recorder.bodies == []
    assert core.errors["replayed"] == 2


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff\xff\xff\xff", "oversize"),
        (b"\x00\x00\x00\x01\xc1", "garbage"),
        (b"\x00\x00\x00\x02\x91\xa1", "garbage"),
        (b"GET / HTTP/1.1\r\n\r\n", "oversize"),
        (encode_message(Data("test", 99, 0, None)), "shape"),
    ],
)
def test_a_broken_stream_ends_its_link_and_nothing_else(data: bytes, reason: str) -> None:
    """It is counted by reason; the other links and members do not notice."""
    net = FakeNet("a", "b", "c")
    net.settle()
    core = net["a"].core
    core.receive_data(core.links.up["b"], data, net.now)
    assert core.errors[reason] == 1
    assert "b" not in core.links.up
    assert "c" in core.links.up
    net.settle()


def test_a_peer_that_does_not_read_costs_its_budget_and_no_more() -> None:
    """What waits for it is bounded and dropped beyond; when it reads again it is told all anew."""
    net = FakeNet("a", "b", "c", send_budget=65536)
    net.settle()
    outlet = net["a"].recorder.outlet
    assert outlet is not None
    link = net["a"].core.links.up["b"]
    results = [outlet.send("b", b"x" * 1000, net.now) for _ in range(1000)]
    assert results[0] is SendResult.SENT
    assert results[-1] is SendResult.FAILED
    assert link.waiting <= 65536
    assert link.stats.dropped > 900
    assert outlet.send("c", 1, net.now) is SendResult.SENT
    net.run(2)
    assert link.stats.overflows == 1
    assert any(event.kind == "overflow" for event in net["a"].core.events.latest())
    assert net["c"].recorder.bodies == [1]


def test_wrong_cluster_version_and_name_are_refused() -> None:
    """Each ends the connection with its reason."""
    for change, reason in (
        ({"cluster": "other"}, "wrong_cluster"),
        ({"lowest": 7, "highest": 9}, "version"),
        ({"node": "c"}, "forged_name"),
    ):
        net = FakeNet("a", "b")
        link = net["a"].core.connected(identity("b").certificate, dialed=False, now=net.now)
        hello = net["b"].core._hello(net.now)._replace(**change)
        net["a"].core.receive_data(link, encode_message(hello), net.now)
        assert net["a"].core.errors[reason] == 1
        assert link in net["a"].core.links.closing()


def test_both_use_the_highest_version_and_the_features_that_both_know() -> None:
    """A newer node with more features and versions is a member like any other."""
    net = FakeNet("a", "b")
    link = net["a"].core.connected(identity("b").certificate, dialed=False, now=net.now)
    assert (link.version, link.features) == (0, ())
    hello = net["b"].core._hello(net.now)._replace(highest=9, features=("new", "relay"))
    net["a"].core.receive_data(link, encode_message(hello), net.now)
    assert (link.version, link.features) == (1, ("relay",))
    assert link.as_json(net.now)["features"] == ["relay"]


def test_events_are_given_once_in_order() -> None:
    """Who drives a core without callbacks asks it: links and members as they came, then nothing."""
    net = FakeNet("a", "b")
    net.settle()
    core = net["a"].core
    given = list(iter(core.next_event, None))
    assert given == core.events.latest()
    assert [(event.kind, event.node) for event in given][-2:] == [("link", "b"), ("member", "b")]
    net["b"].stop()
    net.run(3)
    assert [event.text for event in iter(core.next_event, None)][-1] == "dead (was suspect)"
    assert core.next_event() is None


def test_unknown_messages_are_ignored() -> None:
    """A newer node may say what we do not know: more numbers, more fields."""
    net = FakeNet("a", "b")
    net.settle()
    core, link = net["a"].core, net["a"].core.links.up["b"]
    from shield.wire import encode

    core.receive_data(link, encode([250, "new"]) + encode([6, "test", 0, 0, "body", "more"]), net.now)
    assert link.stats.unknown == 1
    assert net["a"].recorder.bodies == ["body"]


def test_a_dead_member_can_be_removed_and_comes_back() -> None:
    """One that is there cannot; a removed one that shows up again is a member again."""
    net = FakeNet("a", "b", "c")
    net.settle()
    assert not net["a"].core.forget("b", net.now)
    net["b"].stop()
    net.run(5)
    assert net["a"].core.forget("b", net.now)
    assert not net["a"].core.forget("nobody", net.now)
    assert "b" not in states(net, "a")
    net["b"].start()
    net.settle()


def test_who_was_kept_from_running_hears_others_before_it_gives_them_up() -> None:
    """A machine that is too busy, or stopped and resumed: the silence was our own."""
    net = FakeNet("a", "b")
    net.settle()
    net["a"].frozen = True
    net.run(2.9)
    core, link = net["a"].core, net["a"].core.links.up["b"]
    core.handle_timer(net.now + 2.0)
    assert core.links.up["b"] is link
    core.handle_timer(net.now + 2.25)
    assert "b" not in core.links.up, "it has had its time"


def test_in_a_full_mesh_nobody_repeats_what_a_node_says_itself() -> None:
    """Each hears of a change once, from its subject; whom that cannot reach hears it from others."""
    net = FakeNet("a", "b", "c", "d")
    net.settle()
    net.run(2)
    before = {name: sum(link.stats.frames_in for link in net[name].core.links) for name in "bcd"}
    net["a"].core.enable(enabled=False, now=net.now)
    net.run(0.2)
    for name in "bcd":
        assert not net[name].core.membership.members["a"].record.enabled
        links = net[name].core.links
        assert sum(link.stats.frames_in for link in links) - before[name] <= 1 + 2 * 3  # pings
    net.cut_link("a", "d")
    net.run(5)
    net["a"].core.enable(enabled=True, now=net.now)
    net.run(0.5)
    assert net["d"].core.membership.members["a"].record.enabled


def test_reports_travel_in_pings() -> None:
    """What a capability reports reaches the neighbours' capability of the same name."""
    net = FakeNet("a", "b")
    net.settle()
    net.run(3)
    assert net["a"].recorder.reports == {"b": b"report"}
    assert net["a"].core.links.up["b"].rtt == pytest.approx(0.1, abs=0.1)


def test_a_name_is_one_capability() -> None:
    """Two features cannot have the same name."""
    net = FakeNet("a")
    with pytest.raises(ValueError, match="there already"):
        net["a"].core.add(net["a"].recorder)


def test_a_renewed_certificate_is_told() -> None:
    """The others know the new one, and the node keeps its place."""
    net = FakeNet("a", "b")
    net.settle()
    old = net["a"].core.identity
    ca = authority()
    fresh = Identity.of(old.key, ca.renew(old.own, old.request(), WALL + 1), ca.certificate)
    net["a"].core.renew(fresh, net.now)
    net.run(1)
    assert net["b"].core.membership.members["a"].record.certificate == fresh.certificate
    assert Kind.MESSAGE == 0
