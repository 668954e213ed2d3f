"""Fixtures for firewall tests: an attacker, a good host and a sensor on one wire."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shield.firewall.backend import Backend
from shield.firewall.registry import make_backend
from shield.firewall.settings import FirewallSettings
from tests.firewall.fake import Bench
from tests.firewall.wire import Wire
from tests.netlab import Lab
from tests.requires import need


@pytest.fixture(scope="session")
def wire() -> Iterator[Wire]:
    need("ip", "nft", "ipset", "iptables", "ip6tables")
    with Lab() as lab:
        yield Wire(lab)


@pytest.fixture(params=["nftables", "iptables"])
def kernel(request: pytest.FixtureRequest, wire: Wire) -> Iterator[Backend]:
    """A backend that is open in the sensor's namespace; the test runs inside."""
    with wire.sensor.inside():
        backend = make_backend(FirewallSettings(backend=request.param))
        backend.open()
        try:
            yield backend
        finally:
            backend.close(remove=True)


@pytest.fixture(params=["dryrun", "nftables", "iptables"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Every backend, open in a namespace of its own kind."""
    if request.param == "dryrun":
        dry = make_backend(FirewallSettings(backend="dryrun"))
        dry.open()
        yield dry
        return
    wire = request.getfixturevalue("wire")
    with wire.sensor.inside():
        made = make_backend(FirewallSettings(backend=request.param))
        made.open()
        try:
            yield made
        finally:
            made.close(remove=True)


@pytest.fixture
def bench() -> Bench:
    """A feed that has started on an empty fake kernel."""
    made = Bench()
    made.feed.adopt([], 0.0)
    return made
