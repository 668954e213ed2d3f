"""The addresses of this machine."""

from __future__ import annotations

import sys

import pytest

from shield.capture.addresses import own_addresses
from shield.net import pack
from tests.netlab import Lab
from tests.requires import need


def test_loopback_is_ours() -> None:
    """Every machine has the address of its loopback interface, packed in 4 octets."""
    assert pack("127.0.0.1") in own_addresses()


@pytest.mark.system
def test_all_addresses_of_a_namespace() -> None:
    """Both versions, several addresses of one interface, and loopback."""
    need("ip")
    with Lab() as lab:
        host = lab.host("addresses", "192.0.2.1/24", "198.51.100.7/24", "2001:db8::1/64")
        code = "import shield.capture.addresses as a; print(*(x.hex() for x in a.own_addresses()))"
        shown = host.run(sys.executable, "-c", code).stdout.split()
    for text in ("192.0.2.1", "198.51.100.7", "2001:db8::1", "127.0.0.1"):
        assert pack(text).hex() in shown
