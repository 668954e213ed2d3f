"""Networks that do not overlap, in place of networks that may."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from shield.firewall.cover import HANDOVER_GRACE, bounds, cover, outermost, span
from shield.net import Network
from tests.firewall.wire import net

NETWORKS = st.builds(
    lambda first, length: Network.around(bytes([198, 51, first & 3, first >> 2 & 255]), length),
    st.integers(0, 1023),
    st.integers(14, 32),
)


def test_disjoint_stay() -> None:
    """Networks side by side, of both versions, are all installed with their own time."""
    wanted = {net("198.51.100.0/24"): 10.0, net("198.51.101.0/24"): 20.0, net("2001:db8::/32"): math.inf}
    assert cover(wanted) == (wanted, math.inf)


def test_inner_is_hidden() -> None:
    """An inner network that ends first needs nothing of its own."""
    wanted = {net("198.51.100.0/24"): 10.0, net("198.51.0.0/16"): 20.0}
    assert cover(wanted) == ({net("198.51.0.0/16"): 20.0}, math.inf)


def test_longer_inner_is_handed_over() -> None:
    """An inner network that lives longer follows when the outer ends, which is told."""
    wanted = {net("198.51.100.0/24"): 30.0, net("198.51.0.0/16"): 20.0}
    assert cover(wanted, 0) == ({net("198.51.0.0/16"): 20.0 + HANDOVER_GRACE}, 20.0)
    assert cover(wanted, 20.0) == ({net("198.51.100.0/24"): 30.0}, math.inf)


def test_ended_is_left_out() -> None:
    """What has ended neither is installed nor hides others."""
    assert cover({net("198.51.0.0/16"): 5.0, net("198.51.100.0/24"): 9.0}, 5.0).install.keys() == {
        net("198.51.100.0/24")
    }


@given(st.dictionaries(NETWORKS, st.floats(1, 100), max_size=30), st.floats(0, 100))
def test_cover_is_exact(wanted: dict[Network, float], now: float) -> None:
    """Never an overlap; all that lives is covered, long enough, and nothing else."""
    install, handover = cover(wanted, now)
    live = {network for network, until in wanted.items() if until > now}
    assert install.keys() <= live
    assert handover > now
    for one in install:
        assert not any(one != other and one.contains(other) for other in install)
    for network in live:
        [around] = [outer for outer in install if outer.contains(network)]
        assert install[around] >= min(wanted[network], handover)


@given(NETWORKS)
def test_span_undoes_bounds(network: Network) -> None:
    """First and last address of a network lead back to it."""
    assert span(*bounds(network)) == [network]


def test_span_of_a_range() -> None:
    """A range that is no network is cut into networks."""
    parts = span(net("203.0.113.3").address, net("203.0.113.9").address)
    assert [str(part) for part in parts] == ["203.0.113.3", "203.0.113.4/30", "203.0.113.8/31"]


def test_outermost() -> None:
    """Doubles and inner networks are left out."""
    assert outermost(
        [net("192.0.2.1"), net("192.0.2.0/24"), net("192.0.2.0/24"), net("2001:db8::1")]
    ) == [
        net("192.0.2.0/24"),
        net("2001:db8::1"),
    ]
