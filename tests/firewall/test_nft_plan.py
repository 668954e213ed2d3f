"""Additions and deletions for kernels of all ages."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest

from shield.firewall import nft_messages as nft
from shield.firewall.backend import Element
from shield.firewall.nft_messages import RawElement
from shield.firewall.nft_plan import Ability, Plan, interval, read_networks
from shield.firewall.nftables import NftablesBackend
from shield.firewall.settings import FirewallSettings
from tests.firewall.wire import ALL, Wire, add, net

START, END = False, True
NEW = Ability(renews=True, destroys=True)
OLD = Ability(renews=False, destroys=False)
BETWEEN = Ability(renews=False, destroys=True)


def kinds(ability: Ability) -> tuple[list[int], list[int]]:
    plan = Plan("shield", ability)
    deleted = [message.kind for message in plan.delete_hosts([net("192.0.2.1")])]
    return deleted, [message.kind for message in plan.add_hosts([Element(net("192.0.2.1"), 60)])]


def test_new_kernel() -> None:
    """One message each."""
    assert kinds(NEW) == ([nft.DESTROY_ELEMENT], [nft.NEW_ELEMENT])


def test_kernel_that_cannot_renew() -> None:
    """An addition takes the element out first."""
    assert kinds(BETWEEN) == ([nft.DESTROY_ELEMENT], [nft.DESTROY_ELEMENT, nft.NEW_ELEMENT])


def test_old_kernel() -> None:
    """A deletion puts the element in first, so that it never fails."""
    delete = [nft.NEW_ELEMENT, nft.DELETE_ELEMENT]
    assert kinds(OLD) == (delete, [*delete, nft.NEW_ELEMENT])


def test_old_kernel_deletes_only_present_networks() -> None:
    """Where absent networks cannot be deleted they are left out."""
    plan = Plan("shield", OLD)
    networks = [net("198.51.100.0/24"), net("203.0.113.0/24")]
    [message] = plan.networks([], networks, {}, {networks[0]: 1.0})
    assert [raw.key for raw in nft.parse_elements(message.payload)] == [
        b"\xc6\x33\x64\0",
        b"\xc6\x33\x65\0",
    ]


def test_deletions_before_additions() -> None:
    """All networks go out before one goes in, so that none overlaps."""
    plan = Plan("shield", NEW)
    outer, inner = net("2001:db8::/32"), net("198.51.100.0/24")
    found = plan.networks([Element(outer, 9), Element(inner, 9)], [net("198.51.0.0/16")], {}, ())
    assert [message.kind for message in found] == [nft.DESTROY_ELEMENT] * 2 + [nft.NEW_ELEMENT] * 2


def test_last_interval_has_no_end() -> None:
    """Behind 255.255.255.255 there is nothing to end an interval with."""
    assert len(interval(b"\xff\xff\xff\0", b"\xff\xff\xff\xff")) == 1
    assert len(interval(b"\xff\xff\xfe\0", b"\xff\xff\xfe\xff")) == 2


def test_read_networks_any_order() -> None:
    """Touching intervals, an open last one and a foreign range are told apart."""
    edges = [
        RawElement(b"\xff\xff\xff\0", START, 5.0),
        RawElement(b"\xc6\x33\x65\0", END, math.inf),
        RawElement(b"\xc6\x33\x65\0", START, 7.0),
        RawElement(b"\xc6\x33\x66\0", END, math.inf),
        RawElement(b"\xc6\x33\x64\0", START, 6.0),
        RawElement(b"\xcb\0\x71\x03", START, 8.0),
        RawElement(b"\xcb\0\x71\x05", END, math.inf),
    ]
    networks, ranges = read_networks(edges)
    assert {str(n): left for n, left in networks.items()} == {
        "198.51.100.0/24": 6.0,
        "198.51.101.0/24": 7.0,
        "203.0.113.3": 8.0,
        "203.0.113.4": 8.0,
        "255.255.255.0/24": 5.0,
    }
    assert {str(n) for n in ranges} == {"203.0.113.3", "203.0.113.4"}


@pytest.fixture(params=[NEW, BETWEEN, OLD], ids=["new", "between", "old"])
def aged(request: pytest.FixtureRequest, wire: Wire) -> Iterator[NftablesBackend]:
    """A backend that uses no more than a kernel of that age can do."""
    with wire.sensor.inside():
        backend = NftablesBackend(FirewallSettings())
        backend.open()
        able = backend._plan.ability
        want: Ability = request.param
        if (want.renews and not able.renews) or (want.destroys and not able.destroys):
            pytest.skip("this kernel is older")
        backend._plan = Plan("shield", want)
        yield backend
        backend.close(remove=True)


@pytest.mark.system
def test_all_ages_do_the_same(aged: NftablesBackend) -> None:
    """Add, renew, shorten, delete and delete the absent work with every set of abilities."""
    add(aged, *ALL, timeout=60)
    add(aged, *ALL, timeout=600)
    assert all(590 < left <= 600 for left in aged.active().values())
    aged.commit(
        [Element(net("192.0.2.12"), 30)],
        [net(ALL[0]), net("192.0.2.99"), net("203.0.113.0/24"), net(ALL[2])],
    )
    assert aged.active().keys() == {net(text) for text in (ALL[1], ALL[3], ALL[4], "192.0.2.12")}
    aged.commit([Element(net("198.51.0.0/16"), 30)], [])
    aged.commit([Element(net("198.51.100.0/24"), 30)], [net("198.51.0.0/16")])
    assert net("198.51.100.0/24") in aged.active()
