"""What every backend must do, proved with the kernel and with packets."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import pytest

from shield.firewall.backend import Backend, Element
from shield.firewall.registry import make_backend
from shield.net import Network
from tests.firewall.wire import (
    ALL,
    ATTACKER4,
    ATTACKER6,
    GOOD4,
    GOOD6,
    NEIGHBOUR4,
    NEIGHBOUR6,
    SENSOR4,
    Wire,
    add,
    kernel_backend,
    net,
)


@pytest.mark.system
def test_add_and_delete(backend: Backend) -> None:
    """What is added is active with its time, what is deleted is not, IPv4 and IPv6, host and network."""
    add(backend, *ALL, timeout=60)
    active = backend.active()
    assert active.keys() == {net(text) for text in ALL}
    assert all(50 < left <= 60 for left in active.values())
    assert backend.missing([net(text) for text in ALL] + [net("192.0.2.99")]) == [net("192.0.2.99")]
    backend.commit([], [net(text) for text in ALL])
    assert backend.active() == {}


@pytest.mark.system
def test_add_again_renews(backend: Backend) -> None:
    """Adding a second time sets the new timeout, longer or shorter."""
    add(backend, *ALL, timeout=60)
    add(backend, *ALL, timeout=600)
    assert all(590 < left <= 600 for left in backend.active().values())
    add(backend, *ALL, timeout=30)
    assert all(20 < left <= 30 for left in backend.active().values())


@pytest.mark.system
def test_delete_absent(backend: Backend) -> None:
    """Deleting what is not there is no error, and the rest of the batch is done."""
    backend.commit([Element(net("192.0.2.10"), 60)], [net(text) for text in ("192.0.2.77", *ALL[1:])])
    assert backend.active().keys() == {net("192.0.2.10")}


@pytest.mark.system
def test_for_ever(backend: Backend) -> None:
    """An infinite timeout is an element that does not end."""
    add(backend, "192.0.2.10", "198.51.100.0/24", timeout=math.inf)
    assert backend.active() == {net("192.0.2.10"): math.inf, net("198.51.100.0/24"): math.inf}


@pytest.mark.system
def test_inner_for_outer_in_one_commit(backend: Backend) -> None:
    """An outer network is replaced by an inner one in one commit."""
    add(backend, "198.51.0.0/16", timeout=60)
    backend.commit([Element(net("198.51.100.0/24"), 60)], [net("198.51.0.0/16")])
    assert backend.active().keys() == {net("198.51.100.0/24")}


@pytest.mark.system
def test_everything(kernel: Backend) -> None:
    """A network of all addresses can be put in, read and taken out."""
    add(kernel, "0.0.0.0/0", "::/0")
    assert kernel.active().keys() == {net("0.0.0.0/0"), net("::/0")}
    kernel.commit([], [net("0.0.0.0/0"), net("::/0")])
    assert kernel.active() == {}


@pytest.mark.system
def test_host_is_dropped(kernel: Backend, wire: Wire) -> None:
    """The attacker's next packet does not arrive, others' do; after the unban it arrives again."""
    for source, neighbour in ((ATTACKER4, NEIGHBOUR4), (ATTACKER6, NEIGHBOUR6)):
        before = kernel.dropped()
        add(kernel, source)
        assert not wire.passes(source)
        assert wire.passes(neighbour)
        assert kernel.dropped() - before == 5
        kernel.commit([], [net(source)])
        assert wire.passes(source)


@pytest.mark.system
@pytest.mark.parametrize(
    ("network", "inside"), [("192.0.2.0/25", ATTACKER4), ("2001:db8:0:1::/64", ATTACKER6)]
)
def test_network_is_dropped(kernel: Backend, wire: Wire, network: str, inside: str) -> None:
    """A banned network drops every host in it and none beside it."""
    add(kernel, network)
    assert not wire.passes(inside)
    assert not wire.passes(NEIGHBOUR6 if ":" in inside else NEIGHBOUR4)
    assert wire.passes(GOOD6 if ":" in inside else GOOD4)
    kernel.commit([], [net(network)])
    assert wire.passes(inside)


@pytest.mark.system
def test_whole_24(kernel: Backend, wire: Wire) -> None:
    """A /24 drops first, middle and last host; the good host passes because it is allowed."""
    kernel.allow([net(GOOD4)])
    add(kernel, "192.0.2.0/24")
    assert not wire.passes(ATTACKER4)
    assert not wire.passes(NEIGHBOUR4)
    assert wire.passes(GOOD4)


@pytest.mark.system
def test_allow_wins(kernel: Backend, wire: Wire) -> None:
    """An allowed address or network passes although it, or a network around it, is banned."""
    add(kernel, ATTACKER4, ATTACKER6, "192.0.2.0/25", "2001:db8:0:1::/64")
    kernel.allow([net(ATTACKER4), net("2001:db8:0:1::/64"), net("2001:db8:0:1::10")])
    assert wire.passes(ATTACKER4)
    assert not wire.passes(NEIGHBOUR4)
    assert wire.passes(ATTACKER6)
    assert kernel.healthy()
    kernel.allow([])
    assert not wire.passes(ATTACKER4)
    assert not wire.passes(ATTACKER6)


@pytest.mark.system
def test_kernel_expires(kernel: Backend, wire: Wire) -> None:
    """The kernel ends a ban by itself."""
    add(kernel, ATTACKER4, "2001:db8:0:1::/64", timeout=1)
    assert not wire.passes(ATTACKER4)
    assert not wire.passes(ATTACKER6)
    time.sleep(2.2)
    assert wire.passes(ATTACKER4)
    assert wire.passes(ATTACKER6)


@pytest.mark.system
@pytest.mark.parametrize("name", ["nftables", "iptables"])
def test_ports_only(wire: Wire, name: str) -> None:
    """With ports set, a banned source is dropped there and passes elsewhere."""
    with wire.sensor.inside():
        backend = kernel_backend(name, ports=(5061, 5080))
        backend.open()
        try:
            add(backend, ATTACKER4)
            assert backend.healthy()
            assert wire.passes(ATTACKER4)
            wire.sockets[ATTACKER4].send(b"banned", SENSOR4, 5080)
            wire.sockets[GOOD4].send(b"end", SENSOR4, 5080)
            assert wire.other_port.drain(until=b"end") == []
        finally:
            backend.close(remove=True)


@pytest.mark.system
def test_open_again_keeps_dropping(kernel: Backend, wire: Wire) -> None:
    """A second object opens on the sets of the first; no packet of a flood gets through meanwhile."""
    add(kernel, ATTACKER4, "2001:db8:0:1::/64")
    kernel.allow([net(NEIGHBOUR4)])
    flood = wire.lab.hosts["attacker"].popen(
        "python3", "-c",
        "import socket,time\n"
        f"s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.bind(('{ATTACKER4}',0))\n"
        "for i in range(20000):\n"
        f" s.sendto(b'flood',('{SENSOR4}',5060))\n"
        " if i%20==0: time.sleep(0.001)",
    )  # fmt: skip
    for _ in range(4):
        kernel.close()
        again = make_backend(kernel.settings)  # type: ignore[attr-defined]
        again.open()
        assert again.active().keys() == {net(ATTACKER4), net("2001:db8:0:1::/64")}
        again.close()
    assert flood.poll() is None, "the flood ended before it was needed"
    wire.sockets[GOOD4].send(b"end of flood", SENSOR4, 5060)
    assert wire.sinks[4].drain(until=b"end of flood") == []
    flood.terminate()
    flood.wait()
    kernel.open()
    assert wire.passes(NEIGHBOUR4)


@pytest.mark.system
def test_remove_leaves_nothing(wire: Wire, kernel: Backend) -> None:
    """close(remove=True) takes all of ours out and nothing of others; twice is no error."""
    wire.sensor.run("nft", "add table inet other")
    add(kernel, *ALL)
    kernel.close(remove=True)
    kernel.close(remove=True)
    listed = wire.sensor.run("nft", "list", "ruleset").stdout
    assert "shield" not in listed.lower()
    assert "table inet other" in listed
    assert wire.sensor.run("ipset", "list", "-n").stdout == ""


@pytest.mark.system
def test_render_loads(kernel: Backend, wire: Wire) -> None:
    """The rendered text, loaded by the backend's own tool, drops and passes as it says."""
    elements = [Element(net(text), 90) for text in (*ALL, "192.0.2.0/25", "192.0.2.0/26")]
    script = kernel.render(elements, [net(NEIGHBOUR4)])
    kernel.close(remove=True)
    loader = ("nft", "-f", "-") if kernel.name == "nftables" else ("sh", "-s")
    wire.sensor.run(*loader, stdin=script)
    assert not wire.passes(ATTACKER4)
    assert wire.passes(NEIGHBOUR4)
    kernel.open()
    assert kernel.active().keys() == {net(text) for text in (*ALL, "192.0.2.0/25")}


@pytest.mark.system
def test_hundred_thousand(kernel: Backend, capsys: pytest.CaptureFixture[str]) -> None:
    """100,000 elements go in, are all there, and go out."""
    elements = [
        Element(Network((0x0A000000 + i).to_bytes(4, "big"), 32), 3600.0) for i in range(100_000)
    ]
    networks = [item.key for item in elements]

    def took(work: Callable[[], Any]) -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    times = {"load": took(lambda: kernel.commit(elements, []))}
    times["one more"] = took(lambda: add(kernel, "192.0.2.10"))
    times["read"] = took(kernel.active)
    assert kernel.missing(networks) == []
    times["delete"] = took(lambda: kernel.commit([], networks))
    assert kernel.missing(networks[:10]) == networks[:10]
    with capsys.disabled():
        print(
            f"\n{kernel.name}, 100,000: " + ", ".join(f"{k} {v * 1000:.1f} ms" for k, v in times.items())
        )
