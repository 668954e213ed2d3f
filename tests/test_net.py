"""Addresses and networks."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.errors import InputError
from shield.net import Network, pack, unpack


@pytest.mark.parametrize(
    ("text", "shown", "length"),
    [
        ("192.0.2.1", "192.0.2.1", 32),
        (" 192.0.2.0/24 ", "192.0.2.0/24", 24),
        ("2001:DB8::1", "2001:db8::1", 128),
        ("2001:db8::/32", "2001:db8::/32", 32),
        ("[2001:db8::1]", "2001:db8::1", 128),
        ("::ffff:192.0.2.1", "192.0.2.1", 32),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24", 24),
        ("0.0.0.0/0", "0.0.0.0/0", 0),
    ],
)
def test_networks_read_and_shown(text: str, shown: str, length: int) -> None:
    """Every usual spelling is read; one spelling is shown; mapped addresses are IPv4."""
    network = Network.parse(text)
    assert str(network) == shown
    assert network.length == length
    assert network.version == (4 if "." in shown else 6)
    assert network.is_host == (length == len(network.address) * 8)


@pytest.mark.parametrize(
    "text", ["", "192.0.2", "192.0.2.1/24", "192.0.2.0/33", "example.net", "1.2.3.4 5"]
)
def test_what_is_no_network_is_refused(text: str) -> None:
    """Nonsense and forgotten host bits are errors that show the text."""
    with pytest.raises(InputError) as caught:
        Network.parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "octets"), [("192.0.2.1", 4), ("::ffff:192.0.2.1", 4), ("[2001:db8::1]", 16)]
)
def test_addresses_are_packed_one_way(text: str, octets: int) -> None:
    """One host has one key, however it was spelled."""
    assert len(pack(text)) == octets
    assert pack(unpack(pack(text))) == pack(text)


def test_what_is_no_address_is_refused() -> None:
    """A network is no address."""
    with pytest.raises(InputError, match=r"192\.0\.2\.0/24"):
        pack("192.0.2.0/24")


@given(st.ip_addresses(), st.integers(0, 128))
def test_around_equals_the_standard_library(address: ipaddress.IPv4Address, bits: int) -> None:
    """Our arithmetic on packed octets gives what ipaddress gives."""
    length = min(bits, address.max_prefixlen)
    expected = ipaddress.ip_network((address, length), strict=False)
    network = Network.around(address.packed, length)
    assert network == (expected.network_address.packed, length)
    assert network.contains(Network.host(address.packed))


def test_contains() -> None:
    """A network holds itself and what is smaller, never the other family."""
    outer = Network.parse("192.0.2.0/24")
    assert outer.contains(outer)
    assert outer.contains(Network.parse("192.0.2.128/25"))
    assert not outer.contains(Network.parse("192.0.0.0/16"))
    assert not outer.contains(Network.parse("198.51.100.1"))
    assert not Network.parse("0.0.0.0/0").contains(Network.parse("2001:db8::1"))


@given(st.binary(min_size=16, max_size=16) | st.binary(max_size=6).map(lambda end: end.rjust(16, b"\0")))
def test_ipv6_is_written_as_the_standard_library_does(address: bytes) -> None:
    """Also where much of it is zero, and where its end could be written as IPv4."""
    assert unpack(address) == str(ipaddress.IPv6Address(address))
