"""PrefixTable against the plain definition: a list of networks, looked at one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shield.blocklist.networks import PrefixTable
from shield.net import Network, pack

ADDRESSES = st.one_of(
    st.integers(0, 63).map(lambda n: bytes([192, 0, 2, n])),
    st.integers(0, 63).map(lambda n: pack("2001:db8::")[:15] + bytes([n])),
)
NETWORKS = st.builds(
    lambda address, cut: Network.around(address, len(address) * 8 - cut),
    ADDRESSES,
    st.integers(0, 8) | st.sampled_from([24, 31, 32]),
)


@given(inserted=st.lists(NETWORKS), removed=st.lists(NETWORKS), asked=ADDRESSES, network=NETWORKS)
def test_every_question_is_answered_as_by_a_list(
    inserted: list[Network], removed: list[Network], asked: bytes, network: Network
) -> None:
    """Longest match, covering, inside, membership and size, after any inserts and removals."""
    table: PrefixTable[int] = PrefixTable()
    model: dict[Network, int] = {}
    for value, one in enumerate(inserted):
        table.insert(one, value)
        model[one] = value
    for one in removed:
        assert table.remove(one) == (model.pop(one, None) is not None)
    holding = sorted((n for n in model if n.contains(Network.host(asked))), key=lambda n: -n.length)
    assert table.match(asked) == ((holding[0], model[holding[0]]) if holding else None)
    assert table.covers(asked) == bool(holding)
    covering = sorted((n for n in model if n.contains(network)), key=lambda n: -n.length)
    assert list(table.covering(network)) == [(n, model[n]) for n in covering]
    assert dict(table.inside(network)) == {n: v for n, v in model.items() if network.contains(n)}
    assert table.get(network) == model.get(network)
    assert (network in table) == (network in model)
    assert dict(table) == model
    assert (len(table), bool(table)) == (len(model), bool(model))


def test_only_networks_can_be_in_a_table() -> None:
    """Anything else is simply not in it."""
    table: PrefixTable[None] = PrefixTable()
    table.insert(Network.parse("192.0.2.0/24"), None)
    assert "192.0.2.0/24" not in table


def test_a_default_route_covers_its_family_only() -> None:
    """Prefix length 0 has no bits to compare."""
    table: PrefixTable[str] = PrefixTable()
    table.insert(Network.parse("0.0.0.0/0"), "all")
    assert table.covers(pack("203.0.113.9"))
    assert not table.covers(pack("2001:db8::1"))
