"""LiveSource on real interfaces: every kind of frame, the drop counter, interfaces that vanish."""

from __future__ import annotations

import fcntl
import os
import re
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shield.capture.decoder import Decoder
from shield.capture.live import LiveSource
from shield.capture.settings import MIN_BUFFER, CaptureSettings
from shield.capture.source import Frame
from shield.errors import ConfigError, SystemFailure
from shield.net import Datagram, Transport, pack
from tests.capture.wire import OPTIONS, ether, ip4, ip6, udp
from tests.netlab import Host, Lab
from tests.requires import need

pytestmark = pytest.mark.system

ROOT = Path(__file__).resolve().parents[2]
CLIENT, SENSOR = "192.0.2.10", "192.0.2.1"
CLIENT6, SENSOR6 = "2001:db8::10", "2001:db8::1"
LAST = b"MESSAGE sip:last SIP/2.0\r\n\r\n"
"""Sent last by each test, so that it knows when everything has arrived."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    need("ip")
    with Lab() as made:
        made.host("client", f"{CLIENT}/24", f"{CLIENT6}/64")
        made.host("sensor", f"{SENSOR}/24", f"{SENSOR6}/64")
        yield made


@pytest.fixture
def client(lab: Lab) -> Host:
    return lab.hosts["client"]


@pytest.fixture
def sensor(lab: Lab) -> Host:
    return lab.hosts["sensor"]


def listen(host: Host, *interfaces: str, **options: object) -> LiveSource:
    with host.inside():
        return LiveSource(CaptureSettings(interfaces=interfaces or ("eth0",), **options))  # type: ignore[arg-type]


def raw_send(host: Host, *frames: bytes) -> None:
    """Put frames on the wire as they are."""
    with host.inside(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
        wire.bind(("eth0", 0))
        for frame in frames:
            wire.send(frame)


def until_last(source: LiveSource, wait: float = 5.0) -> tuple[list[Frame], list[Datagram]]:
    """Frames, and messages before LAST."""
    frames: list[Frame] = []
    messages: list[Datagram] = []
    decoder = Decoder()
    end = time.monotonic() + wait
    while time.monotonic() < end:
        select.select([source], [], [], 0.2)
        for frame in source.read():
            frames.append(frame)
            for message in decoder.feed(frame):
                if message.payload == LAST:
                    return frames, messages
                messages.append(message)
    raise TimeoutError(f"LAST did not arrive; got {messages}")


def test_both_directions_both_families(client: Host, sensor: Host) -> None:
    """Requests that come in and responses that go out, IPv4 and IPv6, with the time of the kernel."""
    before = time.time()
    with closing(listen(sensor)) as source:
        phone, server = client.udp(CLIENT), sensor.udp(SENSOR, 5060)
        phone6, server6 = client.udp(CLIENT6), sensor.udp(SENSOR6, 5060)
        phone.send(OPTIONS, SENSOR, 5060)
        server.send(b"SIP/2.0 200 OK\r\n\r\n", CLIENT, 40000)
        phone6.send(OPTIONS, SENSOR6, 5060)
        server6.send(b"SIP/2.0 200 OK\r\n\r\n", CLIENT6, 40000)
        phone.send(LAST, SENSOR, 5060)
        frames, messages = until_last(source)
    assert [(one.source, one.payload[:7]) for one in messages] == [
        (pack(CLIENT), b"OPTIONS"),
        (pack(SENSOR), b"SIP/2.0"),
        (pack(CLIENT6), b"OPTIONS"),
        (pack(SENSOR6), b"SIP/2.0"),
    ]
    assert {one.linktype for one in frames} == {1}
    assert all(before - 1 < one.time < time.time() + 1 for one in frames)
    for one in (server, server6):
        one.socket.close()


def test_tcp_connection_is_proven(client: Host, sensor: Host) -> None:
    """A real handshake, a request in two pieces, its response."""
    with closing(listen(sensor)) as source:
        with sensor.inside():
            listener = socket.create_server((SENSOR, 5060))
        with client.inside():
            phone = socket.create_connection((SENSOR, 5060))
        with listener, phone:
            server, _ = listener.accept()
            with server:
                phone.sendall(OPTIONS[:30])
                time.sleep(0.05)
                phone.sendall(OPTIONS[30:])
                assert server.recv(4096)
                server.sendall(b"SIP/2.0 200 OK\r\n\r\n")
                assert phone.recv(4096)
                phone.sendall(LAST)
                _, messages = until_last(source)
    assert [(one.payload[:7], one.transport, one.connected) for one in messages] == [
        (b"OPTIONS", Transport.TCP, True),
        (b"SIP/2.0", Transport.TCP, True),
    ]


@pytest.mark.parametrize("tags", [(0x8100,), (0x88A8, 0x8100), (0x8100, 0x8100)])
@pytest.mark.parametrize("body", [ip4(udp()), ip6(udp())])
def test_vlan_and_qinq(client: Host, sensor: Host, tags: tuple[int, ...], body: bytes) -> None:
    """The kernel takes the outer tag off; it is back in the frame, and the message is read."""
    with closing(listen(sensor)) as source:
        raw_send(client, ether(body, *tags), ether(ip4(udp(LAST)), *tags))
        frames, messages = until_last(source)
    assert frames[0].data == ether(body, *tags)
    assert [one.payload for one in messages] == [OPTIONS]


def test_fragments_pass_the_filter(client: Host, sensor: Host) -> None:
    """Of a request bigger than the MTU the later pieces carry no port, and still arrive."""
    large = OPTIONS + b"x" * 5000
    with closing(listen(sensor)) as source:
        client.udp(CLIENT).send(large, SENSOR, 5060)
        client.udp(CLIENT6).send(large, SENSOR6, 5060)
        client.udp(CLIENT).send(LAST, SENSOR, 5060)
        _, messages = until_last(source)
    assert [one.payload for one in messages] == [large, large]


def test_other_traffic_stays_in_the_kernel(client: Host, sensor: Host) -> None:
    """Frames to other ports are not even read."""
    with closing(listen(sensor)) as source:
        phone = client.udp(CLIENT)
        for _ in range(50):
            phone.send(OPTIONS, SENSOR, 4000)
        phone.send(LAST, SENSOR, 5060)
        frames, _ = until_last(source)
    assert len(frames) == 1


def test_own_filter(client: Host, sensor: Host) -> None:
    """The operator's condition is checked by the kernel too."""
    with closing(listen(sensor, filter="not src port 5099")) as source:
        client.udp(CLIENT, 5099).send(OPTIONS, SENSOR, 5060)
        client.udp(CLIENT).send(LAST, SENSOR, 5060)
        frames, _ = until_last(source)
    assert len(frames) == 1


def test_loopback_shows_each_packet_once(sensor: Host) -> None:
    """On lo a packet goes out and comes in; it is read once."""
    with closing(listen(sensor, "lo")) as source:
        own = sensor.udp("127.0.0.1")
        for _ in range(5):
            own.send(OPTIONS, "127.0.0.1", 5060)
        own.send(LAST, "127.0.0.1", 5060)
        _, messages = until_last(source)
    assert len(messages) == 5


def test_several_interfaces_in_order_of_time(client: Host, sensor: Host) -> None:
    """One source for all, one descriptor, frames sorted."""
    with closing(listen(sensor, "eth0", "lo")) as source:
        assert source.interfaces == ("eth0", "lo")
        phone, own = client.udp(CLIENT), sensor.udp("127.0.0.1")
        for _ in range(10):
            phone.send(OPTIONS, SENSOR, 5060)
            own.send(OPTIONS, "127.0.0.1", 5060)
        own.send(LAST, "127.0.0.1", 5060)
        frames, messages = until_last(source)
    assert [one.source for one in messages] == [pack(CLIENT), pack("127.0.0.1")] * 10
    assert frames == sorted(frames, key=lambda one: one.time)


ANY = """
import sys, time
from shield.capture.live import LiveSource
from shield.capture.decoder import Decoder
from shield.capture.settings import CaptureSettings
source, decoder = LiveSource(CaptureSettings()), Decoder()
print(source.interfaces, flush=True)
for batch in source.batches():
    for frame in batch:
        for message in decoder.feed(frame):
            print(message.source.hex(), frame.linktype, flush=True)
"""


def test_any_is_every_interface(client: Host, sensor: Host, request: pytest.FixtureRequest) -> None:
    """Ethernet, loopback and a tunnel that is made later, each with its own link type."""
    need("ip")
    if not Path("/dev/net/tun").exists():
        pytest.skip("no tun devices here")
    program = sensor.popen(sys.executable, "-c", ANY, stdout=subprocess.PIPE, cwd=ROOT)
    assert program.stdout is not None
    request.addfinalizer(program.stdout.close)
    assert program.stdout.readline().strip() == "('eth0', 'lo')"
    client.udp(CLIENT).send(OPTIONS, SENSOR, 5060)
    assert program.stdout.readline().split() == [pack(CLIENT).hex(), "1"]
    sensor.udp("127.0.0.1").send(OPTIONS, "127.0.0.1", 5060)
    assert program.stdout.readline().split() == ["7f000001", "1"]
    sensor.run("ip", "tuntap", "add", "tun7", "mode", "tun")
    with sensor.inside():
        tunnel = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(tunnel, 0x400454CA, struct.pack("16sH22x", b"tun7", 0x1001))
    sensor.run("ip", "addr", "add", "203.0.113.1/24", "dev", "tun7")
    sensor.run("ip", "link", "set", "tun7", "up")
    end = time.monotonic() + 15
    line = ""
    while time.monotonic() < end and not line:
        os.write(tunnel, ip4(udp(), source="203.0.113.9", destination="203.0.113.1"))
        if select.select([program.stdout], [], [], 0.5)[0]:
            line = program.stdout.readline()
    os.close(tunnel)
    assert line.split() == [pack("203.0.113.9").hex(), "101"]


def test_drops_are_counted(client: Host, sensor: Host) -> None:
    """With a small buffer and nobody reading, the kernel says what it dropped."""
    with closing(listen(sensor, buffer_bytes=MIN_BUFFER)) as source:
        raw_send(client, *[ether(ip4(udp(OPTIONS + b"x" * 1000)))] * 2000)
        source.maintain()
        read = 0
        while frames := source.read():
            read += len(frames)
        source.maintain()
        assert source.stats.received >= 2000
        assert source.stats.dropped > 1000
        assert source.stats.read == read == source.stats.received - source.stats.dropped


def test_the_buffer_is_raised_beyond_the_system_limit(client: Host, sensor: Host) -> None:
    """SO_RCVBUFFORCE lifts net.core.rmem_max: a burst of 4,000 frames is held without loss."""
    with closing(listen(sensor)) as source:
        raw_send(client, *[ether(ip4(udp(OPTIONS)))] * 4000)
        raw_send(client, ether(ip4(udp(LAST))))
        _, messages = until_last(source)
        source.maintain()
        assert len(messages) == 4000
        assert source.stats.dropped == 0


def test_promiscuous_only_on_request(sensor: Host) -> None:
    """The interface is asked for foreign frames only when the settings say so."""

    def promiscuity() -> str:
        shown = sensor.run("ip", "-d", "link", "show", "eth0").stdout
        return re.findall(r"promiscuity (\d+)", shown)[0]  # type: ignore[no-any-return]

    with closing(listen(sensor)):
        assert promiscuity() == "0"
    with closing(listen(sensor, promiscuous=True)):
        assert promiscuity() == "1"
    assert promiscuity() == "0"


def test_read_never_waits_and_keeps_its_limit(client: Host, sensor: Host) -> None:
    """At most ``limit`` frames a call; nothing there gives an empty list."""
    with closing(listen(sensor)) as source:
        assert source.read() == []
        raw_send(client, *[ether(ip4(udp()))] * 10)
        time.sleep(0.1)
        assert [len(source.read(4)) for _ in range(4)] == [4, 4, 2, 0]


def test_batches_are_empty_when_nothing_comes(sensor: Host) -> None:
    """A plain loop gets the chance to look at signals; close() ends it."""
    source = listen(sensor)
    with sensor.inside():
        batches = source.batches(timeout=0.01)
        assert next(batches) == []
        source.close()
        source.close()
        assert list(batches) == []


def test_an_interface_may_vanish_and_come_back(sensor: Host) -> None:
    """Others are heard on; the new one under the same name is found within the next looks."""
    sensor.run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
    for name in ("v0", "v1"):
        sensor.run("ip", "link", "set", name, "up")
    with closing(listen(sensor, "v0", "lo")) as source:
        number = source.fileno()
        sensor.run("ip", "link", "del", "v0")
        with sensor.inside():
            source.read()
            source.maintain()
        assert source.interfaces == ("lo",)
        assert source.stats.failures
        sensor.run("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1")
        for name in ("v0", "v1"):
            sensor.run("ip", "link", "set", name, "up")
        with sensor.inside():
            source._next_scan = 0.0
            source.maintain()
            assert source.interfaces == ("lo", "v0")
            assert source.stats.reopened == 1
            assert source.fileno() == number
            with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
                wire.bind(("v1", 0))
                wire.send(ether(ip4(udp(LAST))))
            until_last(source)
    sensor.run("ip", "link", "del", "v0")


def test_missing_interface_and_bad_filter(sensor: Host) -> None:
    """The messages say what to correct."""
    with pytest.raises(SystemFailure, match="no interface nothere0"):
        listen(sensor, "nothere0")
    with pytest.raises(ConfigError, match=r"capture\.filter"):
        listen(sensor, "eth0", filter="port port port")


def test_without_permission() -> None:
    """A user without CAP_NET_RAW is told what is missing."""
    code = (
        "import os, scapy.arch.linux, scapy.layers.l2\n"
        "from shield.capture.live import LiveSource\n"
        "from shield.capture.settings import CaptureSettings\n"
        "from shield.errors import SystemFailure\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try: LiveSource(CaptureSettings(interfaces=('lo',)))\n"
        "except SystemFailure as error: print(error)\n"
    )
    need("ip")
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert shown.stdout == "lo: capturing needs root or CAP_NET_RAW\n", shown.stderr
