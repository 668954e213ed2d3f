"""Keys and values of shared records: there and back, and nothing else is read."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.blocklist.decision import LIMIT, Decision
from shield.blocklist.shared_record import (
    allow_key,
    allow_value,
    allowed_text,
    ban_key,
    ban_value,
    banned_network,
    end_of,
    read_allow,
    read_ban,
    read_unproven,
    unproven_key,
    unproven_value,
    vote_key,
    voter,
)
from shield.detect.alert import Proof
from shield.errors import RemoteError
from shield.net import Network, Port
from shield.wire import pack_value, unpack_value

NETWORKS = st.one_of(
    st.builds(Network.around, st.binary(min_size=4, max_size=4), st.integers(0, 32)),
    st.builds(Network.around, st.binary(min_size=16, max_size=16), st.integers(0, 128)),
)


@given(network=NETWORKS, node=st.from_regex(r"[a-z0-9.-]{1,63}", fullmatch=True))
def test_keys_tell_their_network(network: Network, node: str) -> None:
    """Of bans and votes, each its own; a vote tells whose it is."""
    assert banned_network(ban_key(network)) == network
    vote = vote_key(network, node)
    assert (banned_network(vote), voter(vote)) == (network, node)
    assert vote != ban_key(network)


@given(data=st.binary(min_size=1, max_size=40))
def test_any_key_is_read_or_refused(data: bytes) -> None:
    """And one that is read is the usual spelling of its network: one network has one key."""
    for key in (b"b" + data, b"v" + data, b"u" + data):
        with contextlib.suppress(RemoteError):
            network = banned_network(key)
            kinds = {
                b"b": ban_key(network),
                b"u": unproven_key(network),
                b"v": vote_key(network, voter(key) if key[:1] == b"v" else ""),
            }
            assert kinds[key[:1]] == key


def test_a_record_of_an_unproven_ban_is_one_whatever_it_says() -> None:
    """With the number of messages in place of the repeats; it ends for its writer as others do."""
    network = Network.parse("192.0.2.1")
    made = Decision(network, "scan", "a", Proof.PROVEN, 50.0, 350.0, 300.0, "a-1", "why", "ban", 7)
    value = unproven_value(made, 1 << 40)
    read = read_unproven(network, value, "b", 200.0)
    assert read.messages == (1 << 31) - 1
    assert read.decision == made._replace(origin="b", proof=Proof.UNPROVEN, until=200.0, repeats=0)
    assert end_of(unproven_key(network), value) == 350.0
    with pytest.raises(RemoteError):
        read_unproven(network, ban_value(made)[:-3], "b", 200.0)


@given(
    network=NETWORKS,
    scenario=st.text(max_size=80),
    reason=st.text(max_size=300),
    time=st.floats(0, 1e10),
    duration=st.floats(0, 1e9),
    repeats=st.integers(0, 1000),
    proof=st.sampled_from(Proof),
)
def test_a_decision_comes_back(
    network: Network,
    scenario: str,
    reason: str,
    time: float,
    duration: float,
    repeats: int,
    proof: Proof,
) -> None:
    """With the receiver's end and the sender's name; long texts are cut."""
    made = Decision(network, scenario, "cli", proof, time, 5.0, duration, "i-1", reason, "ban", repeats)
    found = read_ban(network, ban_value(made), "node-a", 9.0)
    assert (found.origin, found.until, found.id) == ("node-a", 9.0, "i-1")
    assert (found.scenario, found.reason) == (scenario[:64], reason[:200])
    assert (found.time, found.duration, found.repeats, found.proof) == (time, duration, repeats, proof)


@given(data=st.binary(max_size=60))
def test_any_value_is_read_or_refused(data: bytes) -> None:
    """RemoteError and nothing else."""
    network = Network.parse("192.0.2.1")
    for read in (lambda: read_ban(network, data, "a", 1.0), lambda: read_allow(data)):
        with pytest.raises(RemoteError):
            read()


def test_allow_entries_come_back() -> None:
    """Value, reason, time, and whether there is an end."""
    assert allowed_text(allow_key("carrier.example")) == "carrier.example"
    assert read_allow(allow_value("x" * 300, 5.0, endless=True)) == ("x" * 200, 5.0, True)
    for key in (b"a", b"a" + b"x" * 256, b"a\xff"):
        with pytest.raises(RemoteError, match="key"):
            allowed_text(key)


def limit(network: str = "192.0.2.1", *ports: str) -> Decision:
    return Decision(
        Network.parse(network), "guessing", "node-a", Proof.PROVEN, 1_800_000_000.0, 700.0, 600.0,
        "node-a-1", "why", LIMIT, 2, tuple(map(Port.parse, ports)),
    )  # fmt: skip


@pytest.mark.parametrize("ports", [(), ("udp/40001",), ("udp/1", "udp/2", "tcp/65535", "tcp/65534")])
def test_a_limit_arrives_as_a_limit(ports: tuple[str, ...]) -> None:
    """With its ports; a value without these fields is a ban."""
    made = limit("192.0.2.1", *ports)
    value = ban_value(made)
    assert read_ban(made.network, value, "node-a", 700.0) == made
    short = pack_value(unpack_value(value)[:7])
    assert read_ban(made.network, short, "node-a", 700.0) == made._replace(type="ban", ports=())
    assert ban_value(made._replace(type="ban", ports=())) == short


@pytest.mark.parametrize(
    ("network", "more"),
    [
        ("192.0.2.0/24", (LIMIT, "")),
        ("192.0.2.1", ("other", "")),
        ("192.0.2.1", (LIMIT, 7)),
        ("192.0.2.1", (LIMIT, "sctp/1")),
        ("192.0.2.1", (LIMIT, "udp/1 " * 20)),
        ("192.0.2.1", (None,)),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(network: str, more: tuple[object, ...]) -> None:
    """Nothing is guessed of what another node may have meant."""
    usual = unpack_value(ban_value(limit()))[:7]
    with pytest.raises(RemoteError):
        read_ban(Network.parse(network), pack_value((*usual, *more)), "node-a", 700.0)


def test_an_unproven_ban_is_never_a_limit() -> None:
    """Whatever its value says."""
    made = read_unproven(limit().network, ban_value(limit("192.0.2.1", "udp/1")), "node-a", 700.0)
    assert (made.decision.type, made.decision.ports) == ("ban", ())
