"""The allowlist: what it covers, who may change it, and what happens to its names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.blocklist.allowlist import AllowEntry, Allowlist, AllowlistSettings
from shield.errors import ConfigError, InputError
from shield.net import Network, pack

NOW = 1000.0
WALL = 1_800_000_000.0


def bare(*entries: str, **more: object) -> Allowlist:
    return Allowlist(AllowlistSettings(entries=entries, builtin_loopback=False, **more))  # type: ignore[arg-type]


def net(text: str) -> Network:
    return Network.parse(text)


def test_loopback_is_allowed_without_being_asked_for() -> None:
    """Unless it is switched off."""
    assert Allowlist().covers(pack("127.3.2.1")) is not None
    assert Allowlist().covers(pack("::1")) is not None
    assert bare().covers(pack("127.0.0.1")) is None


def test_configured_entries_cover_hosts_and_networks() -> None:
    """Of both families; an entry tells its kind and origin."""
    allowed = bare("192.0.2.1", "198.51.100.0/24", "2001:db8::/32")
    entry = allowed.covers(pack("198.51.100.9"))
    assert entry is not None
    assert (entry.value, entry.kind, entry.origin) == ("198.51.100.0/24", "network", "config")
    assert allowed.covers(pack("192.0.2.2")) is None
    assert allowed.covers_network(net("198.51.100.0/25")) is entry
    assert allowed.covers_network(net("198.51.0.0/16")) is None
    assert allowed.overlaps(net("198.51.0.0/16")) == [net("198.51.100.0/24")]
    assert set(allowed.networks(NOW)) == {net("192.0.2.1"), net("198.51.100.0/24"), net("2001:db8::/32")}


def test_wrong_configured_entries_are_all_named() -> None:
    """Each by its place in the list, also those beyond the limit."""
    with pytest.raises(ConfigError) as caught:
        bare("192.0.2.1", "192.0.2.1000", "not a name", "192.0.2.2", max_entries=1)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "allowlist.entries[1]",
        "allowlist.entries[2]",
        "allowlist.entries[3]",
    ]


@pytest.mark.parametrize(
    "value", ["", "-x.example", "192.0.2.256", "a..b", "x" * 64, "a." * 127 + "example"]
)
def test_what_is_no_address_network_or_name_is_refused(value: str) -> None:
    """A mistyped address is never taken for a name."""
    with pytest.raises(InputError, match="not an address, network or DNS name"):
        bare().add(value, NOW)


def test_entries_end() -> None:
    """networks() leaves an ended one out at once, expire() takes it out and returns it."""
    allowed = bare()
    entry = allowed.add("192.0.2.1", NOW, duration=60, reason="a test" * 100, wall=WALL)
    assert len(entry.reason) == 200
    assert allowed.networks(NOW + 59) == [net("192.0.2.1")]
    assert allowed.networks(NOW + 60) == []
    assert allowed.entries(NOW + 60) == []
    assert allowed.expire(NOW + 59) == []
    assert allowed.expire(NOW + 60) == [entry]
    assert allowed.covers(pack("192.0.2.1")) is None
    assert len(allowed) == 0


@pytest.mark.parametrize("duration", [0, -1, float("nan")])
def test_a_duration_must_be_positive(duration: float) -> None:
    """Nothing is entered."""
    allowed = bare()
    with pytest.raises(InputError, match="duration"):
        allowed.add("192.0.2.1", NOW, duration=duration)
    assert len(allowed) == 0


def test_adding_again_replaces_reason_and_end() -> None:
    """Also in a full list, which refuses only new values."""
    allowed = bare(max_entries=1)
    allowed.add("192.0.2.1", NOW, duration=60)
    allowed.add("192.0.2.1", NOW, reason="longer")
    assert allowed.expire(NOW + 100) == []
    assert [e.reason for e in allowed.entries(NOW)] == ["longer"]
    with pytest.raises(InputError, match="max_entries = 1"):
        allowed.add("192.0.2.2", NOW)


def test_configured_entries_stay_as_they_are() -> None:
    """Adding returns them, removing is refused."""
    allowed = bare("192.0.2.1")
    assert allowed.add("192.0.2.1", NOW, duration=5).until is None
    with pytest.raises(InputError, match="allowed by the configuration"):
        allowed.remove("192.0.2.1")
    with pytest.raises(InputError, match="allowed by the loopback"):
        Allowlist().remove("127.0.0.0/8")
    assert allowed.remove("192.0.2.7") is None


def test_removing_one_of_two_entries_for_an_address_leaves_it_allowed() -> None:
    """A name and an address may stand for the same host."""
    allowed = bare()
    allowed.add("192.0.2.1", NOW)
    allowed.add("sip.example", NOW)
    assert allowed.resolve("sip.example", [pack("192.0.2.1")], NOW)
    assert allowed.remove("192.0.2.1") is not None
    assert allowed.covers(pack("192.0.2.1")) is not None
    assert allowed.remove("sip.example") is not None
    assert allowed.covers(pack("192.0.2.1")) is None


def test_names_are_resolved_when_due() -> None:
    """At first at once, then after each interval; the spelling of a name does not matter."""
    allowed = bare("SIP.Example.", resolve_interval=300.0)
    assert allowed.names() == ["sip.example"]
    assert allowed.due(NOW) == ["sip.example"]
    assert allowed.resolve("sip.example", [pack("192.0.2.1"), pack("2001:db8::1")], NOW)
    assert allowed.covers(pack("2001:db8::1")) is not None
    assert allowed.due(NOW + 299) == []
    assert allowed.due(NOW + 300) == ["sip.example"]
    assert not allowed.resolve("sip.example", [pack("2001:db8::1"), pack("192.0.2.1")], NOW + 300)
    assert allowed.due(NOW + 301) == []


def test_a_failed_look_up_keeps_the_last_answer() -> None:
    """A new answer replaces it; answers for unknown names and for addresses change nothing."""
    allowed = bare("sip.example", "192.0.2.9")
    allowed.resolve("sip.example", [pack("192.0.2.1")], NOW)
    assert not allowed.resolve("sip.example", [], NOW + 1)
    assert allowed.covers(pack("192.0.2.1")) is not None
    assert allowed.resolve("sip.example", [pack("192.0.2.2")], NOW + 2)
    assert allowed.covers(pack("192.0.2.1")) is None
    assert not allowed.resolve("other.example", [pack("192.0.2.3")], NOW)
    assert not allowed.resolve("192.0.2.9", [pack("192.0.2.3")], NOW)
    assert allowed.covers(pack("192.0.2.3")) is None


def test_an_answer_is_bounded() -> None:
    """64 addresses of one name are kept."""
    allowed = bare("sip.example")
    allowed.resolve("sip.example", [bytes([192, 0, 2, n]) for n in range(200)], NOW)
    assert len(allowed.networks(NOW)) == 64


def test_adding_a_name_again_keeps_its_addresses() -> None:
    """Until the next look-up nothing must be banned that was allowed."""
    allowed = bare()
    allowed.add("sip.example", NOW)
    allowed.resolve("sip.example", [pack("192.0.2.1")], NOW)
    allowed.add("sip.example", NOW, reason="new reason")
    assert allowed.covers(pack("192.0.2.1")) is not None
    assert allowed.due(NOW) == ["sip.example"]


def test_what_became_allowed_is_told_once() -> None:
    """So that the blocklist takes bans out that an entry, or a new answer for a name, covers."""
    allowed = bare("192.0.2.1")
    fresh, generation = allowed.added_since(0)
    assert fresh == [net("192.0.2.1")]
    assert allowed.added_since(generation) == ([], generation)
    allowed.add("sip.example", NOW)
    allowed.resolve("sip.example", [pack("192.0.2.2")], NOW)
    fresh, generation = allowed.added_since(generation)
    assert fresh == [net("192.0.2.2")]
    allowed.remove("sip.example")
    assert allowed.added_since(generation)[0] == []


def test_saved_entries_are_restored_while_they_last() -> None:
    """Ended ones, those that the configuration has and those beyond the limit are left out."""
    saved = [
        AllowEntry("192.0.2.1", (net("192.0.2.1"),), "address", "old", "cli", WALL, NOW + 5),
        AllowEntry("192.0.2.2", (net("192.0.2.2"),), "address", "old", "cli", WALL, NOW),
        AllowEntry("192.0.2.9", (net("192.0.2.9"),), "address", "old", "cli", WALL),
        AllowEntry("sip.example", (net("192.0.2.3"),), "name", "old", "cli", WALL),
        AllowEntry("192.0.2.4", (net("192.0.2.4"),), "address", "old", "cli", WALL),
    ]
    allowed = bare("192.0.2.9", max_entries=3)
    assert allowed.restore(saved, NOW) == 2
    assert [e.value for e in allowed.entries(NOW)] == ["192.0.2.1", "192.0.2.9", "sip.example"]
    assert allowed.covers(pack("192.0.2.3")) is not None


def test_a_configured_name_has_its_saved_addresses_until_dns_answers() -> None:
    """DNS may be down at boot; names that left the configuration bring nothing back."""
    saved = [
        AllowEntry("sip.example", (net("192.0.2.3"),), "name", "configuration", "config", WALL),
        AllowEntry("old.example", (net("192.0.2.4"),), "name", "configuration", "config", WALL),
    ]
    allowed = bare("sip.example")
    assert allowed.restore(saved, NOW) == 0
    assert allowed.covers(pack("192.0.2.3")) is not None
    assert allowed.covers(pack("192.0.2.4")) is None
    assert allowed.due(NOW) == ["sip.example"]
    allowed.resolve("sip.example", [pack("192.0.2.5")], NOW)
    allowed.restore(saved, NOW)
    assert [str(n) for n in allowed.networks(NOW)] == ["192.0.2.5"]


def test_the_shown_shape_of_an_entry() -> None:
    """Scripts read these keys; no end is null."""
    allowed = bare()
    allowed.add("198.51.100.0/24", NOW, reason="office", duration=60, wall=WALL)
    allowed.add("sip.example", NOW)
    network, name = allowed.as_json(NOW + 20)
    assert network == {
        "value": "198.51.100.0/24",
        "kind": "network",
        "networks": ["198.51.100.0/24"],
        "reason": "office",
        "origin": "cli",
        "time": WALL,
        "remaining": 40.0,
    }
    assert (name["kind"], name["networks"], name["remaining"]) == ("name", [], None)
    found = allowed.get("198.51.100.0/24")
    assert found is not None
    assert found.reason == "office"
    assert allowed.get("192.0.2.77") is None


def test_a_configuration_read_again_is_taken_over() -> None:
    """New entries come, old ones go, names keep their answers, and what an operator allowed stays."""
    allowed = bare("192.0.2.1", "sip.example")
    allowed.resolve("sip.example", [pack("192.0.2.3")], NOW)
    allowed.add("carrier.example", NOW, duration=60)
    allowed.resolve("carrier.example", [pack("192.0.2.4")], NOW)
    allowed.add("192.0.2.5", NOW)
    fresh = ("192.0.2.2", "sip.example", "carrier.example")
    allowed.use(AllowlistSettings(entries=fresh, builtin_loopback=False))
    assert {e.value: e.origin for e in allowed.entries(NOW + 60)} == {
        "192.0.2.2": "config",
        "192.0.2.5": "cli",
        "sip.example": "config",
        "carrier.example": "config",
    }
    assert set(allowed.networks(NOW)) == {net(f"192.0.2.{n}") for n in (2, 3, 4, 5)}
    assert allowed.due(NOW) == ["carrier.example"]


def test_a_wrong_configuration_read_again_changes_nothing() -> None:
    """The mistake is named."""
    allowed = bare("192.0.2.1")
    with pytest.raises(ConfigError, match=r"allowlist\.entries\[1\]"):
        allowed.use(AllowlistSettings(entries=("192.0.2.2", "192.0.2.256")))
    assert allowed.networks(NOW) == [net("192.0.2.1")]
    assert allowed.settings.entries == ("192.0.2.1",)


VALUES = ("192.0.2.0", "192.0.2.1", "192.0.2.0/31", "192.0.2.0/24", "a.example", "b.example")
HOSTS = [bytes([192, 0, 2, n]) for n in range(4)]
STEPS = st.one_of(
    st.tuples(st.just("add"), st.sampled_from(VALUES)),
    st.tuples(st.just("remove"), st.sampled_from(VALUES)),
    st.tuples(
        st.just("resolve"), st.sampled_from(VALUES[4:]), st.sets(st.sampled_from(HOSTS), min_size=1)
    ),
)


@given(steps=st.lists(STEPS))
def test_coverage_is_always_that_of_the_entries(steps: list[tuple[str, str, set[bytes]]]) -> None:
    """Whatever was added, removed and resolved in which order."""
    allowed, model = bare(), dict[str, list[Network]]()
    for kind, value, *answer in steps:
        if kind == "add":
            allowed.add(value, NOW)
            model.setdefault(value, [] if "example" in value else [net(value)])
        elif kind == "remove":
            assert (allowed.remove(value) is None) == (model.pop(value, None) is None)
        elif value in model:
            allowed.resolve(value, list(answer[0]), NOW)
            model[value] = [Network.host(a) for a in answer[0]]
    everything = {network for networks in model.values() for network in networks}
    assert set(allowed.networks(NOW)) == everything
    for host in HOSTS:
        expected = any(network.contains(Network.host(host)) for network in everything)
        assert (allowed.covers(host) is not None) == expected
