"""Real captures through both ways of decoding, and against an independent dissector."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from shield.capture.decoder import Decoder
from shield.capture.pcap import PcapSource
from shield.capture.slow import dissect
from shield.capture.source import Frame
from shield.net import Datagram, Transport
from tests.capture.wire import capture_files, capture_params


class ScapyDecoder(Decoder):
    """Every frame goes through scapy: the second opinion."""

    def feed(self, frame: Frame) -> Sequence[Datagram]:
        return self.take(frame.time, dissect(frame.data, frame.linktype))


def frames_of(path: Path) -> list[Frame]:
    source = PcapSource(path)
    got = [one for batch in source.batches() for one in batch]
    source.close()
    assert source.error is None
    return got


@pytest.mark.parametrize("path", capture_params())
def test_both_paths_give_equal_messages(path: Path) -> None:
    """Every frame of every capture through scapy gives the datagrams of the byte path."""
    usual, scapy = Decoder(), ScapyDecoder()
    fast: list[Datagram] = []
    slow: list[Datagram] = []
    for one in frames_of(path):
        fast += usual.feed(one)
        slow += scapy.feed(one)
    fast += usual.flush()
    slow += scapy.flush()
    assert fast
    assert fast == slow
    assert usual.stats.slow == 0
    assert usual.stats.errors == scapy.stats.errors == {}


MESSAGES = {
    "benign_baresip_call": 32,
    "benign_baresip_tcp_call": 32,
    "benign_ip_fragments": 21,
    "linktype_any_svwar": 74,
    "vlan_benign_baresip_call": 32,
    "svwar038_ipv6": 94,
}
"""SIP messages in each, as counted by tshark 4.0 (``-Y sip``, a message a line)."""


@pytest.mark.parametrize("path", [one for one in capture_params() if one.id in MESSAGES])  # type: ignore[attr-defined]
def test_as_many_messages_as_tshark_finds(path: Path) -> None:
    """An independent dissector counts the same."""
    decoder = Decoder()
    found = sum(len(decoder.feed(one)) for one in frames_of(path)) + len(decoder.flush())
    assert found == MESSAGES[path.stem]


def test_messages_that_tshark_misses() -> None:
    """Of benign_tcp_framing tshark names 25: it loses the request behind a split empty line."""
    (path,) = [one for one in capture_files() if one.stem == "benign_tcp_framing"]
    decoder = Decoder()
    firsts = [one.payload.split()[0] for shot in frames_of(path) for one in decoder.feed(shot)]
    assert len(firsts) == 26
    assert set(firsts) == {b"REGISTER", b"OPTIONS", b"MESSAGE", b"INVITE", b"SIP/2.0"}


def test_garbage_on_a_sip_connection_comes_out() -> None:
    """nmap's probes for other protocols are given out beside its four SIP messages."""
    (path,) = [one for one in capture_files() if one.stem == "nmap_tcp_methods"]
    decoder = Decoder()
    out = [one for shot in frames_of(path) for one in decoder.feed(shot)] + list(decoder.flush())
    assert [one.payload[:8] for one in out if b"SIP" not in one.payload[:100]] == [
        b"GET / HT",
        b"\0\x1e\0\x06\x01\0\0\x01",
    ]
    assert len(out) == 6


def test_tcp_captures_are_connected_and_udp_is_not() -> None:
    """In real captures each TCP client did its handshake; no UDP source proves anything."""
    labels = {
        one["file"]
        for one in json.loads((capture_files()[0].parent / "labels.json").read_text())["captures"]
    }
    seen = set()
    for path in capture_files():
        if path.name in labels and "tcp" in path.name:
            decoder = Decoder()
            for one in frames_of(path):
                for message in decoder.feed(one):
                    assert message.connected == (message.transport is Transport.TCP)
                    seen.add(message.transport)
    assert seen == {Transport.TCP}
