"""shield.sip.layer: SIP as a scapy layer."""

from __future__ import annotations

import subprocess
import sys

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from shield.sip.layer import SIP

INVITE = (
    b"INVITE sip:100@192.0.2.1 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n"
    b"v: SIP/2.0/UDP 192.0.2.8;branch=z9hG4bK0\r\n"
    b"f : <sip:a@b>\r\n"
    b"\t;tag=1\r\n"
    b"To: <sip:100@192.0.2.1>\r\n"
    b"Call-ID: c\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"x-odd: 1\r\n"
    b"Content-Length: 4\r\n"
    b"\r\nbody"
)


def wire(packet: Packet) -> Packet:
    """The packet as read back from its bytes."""
    return type(packet)(bytes(packet))


@pytest.mark.parametrize("transport", [UDP, TCP])
@pytest.mark.parametrize("ports", [{"sport": 5060, "dport": 40000}, {"sport": 40000, "dport": 5060}])
def test_port_5060_is_dissected_in_both_directions(
    transport: type[Packet], ports: dict[str, int]
) -> None:
    """A frame from or to port 5060 gives its SIP fields by name."""
    packet = wire(Ether() / IP(dst="192.0.2.1") / transport(**ports) / Raw(INVITE))
    assert packet[SIP].method == b"INVITE"
    assert packet[SIP].uri == b"sip:100@192.0.2.1"
    assert packet[SIP].status is None
    assert packet[SIP].body == b"body"
    assert packet[SIP].header("from") == packet[SIP].header(b"F") == b"<sip:a@b> ;tag=1"
    assert packet[SIP].header("X-Odd") == b"1"
    assert packet[SIP].header("Subject") is None
    assert len(packet[SIP].all_headers("Via")) == 2
    assert packet.summary().endswith("SIP INVITE sip:100@192.0.2.1")


def test_other_ports_stay_raw() -> None:
    """SIP bytes on another port are not taken."""
    assert SIP not in wire(IP() / UDP(sport=1024, dport=1025) / Raw(INVITE))


@pytest.mark.parametrize(
    "payload", [b"\r\n\r\n", b"\0\0\0\0", b"GET / HTTP/1.1\r\n\r\n", b"\x80\x60" + bytes(160)]
)
def test_undecodable_payload_is_raw(payload: bytes) -> None:
    """Keep-alives, RTP and foreign protocols on the SIP port stay Raw with all their bytes."""
    packet = wire(IP() / UDP(sport=5060, dport=5060) / Raw(payload))
    assert SIP not in packet
    assert bytes(packet[Raw]) == payload
    assert isinstance(SIP(payload), Raw)


def test_unchanged_layer_keeps_its_bytes() -> None:
    """Compact names, folds and blanks come back as they were received."""
    packet = SIP(INVITE)
    assert bytes(packet) == INVITE
    assert bytes(packet.copy()) == INVITE


def test_changed_layer_is_written_anew() -> None:
    """Assigning a field or changing the list of headers in place shows in the bytes."""
    packet = SIP(INVITE)
    packet.uri = "sip:200@192.0.2.1"
    assert bytes(packet).startswith(b"INVITE sip:200@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;")
    packet = SIP(INVITE)
    packet.headers.append((b"X-New", b"1"))
    assert b"\r\nContent-Length: 4\r\nX-New: 1\r\n\r\nbody" in bytes(packet)


def test_request_is_built() -> None:
    """Text and bytes are taken, the usual port is set, Content-Length is computed."""
    packet = IP(dst="192.0.2.1") / UDP() / SIP(
        method="MESSAGE", uri="sip:ä@192.0.2.1", headers=[("To", "t"), (b"Subject", b"x")], body="höh"
    )  # fmt: skip
    assert bytes(packet[SIP]) == (
        "MESSAGE sip:ä@192.0.2.1 SIP/2.0\r\nTo: t\r\nSubject: x\r\nContent-Length: 4\r\n\r\nhöh".encode()
    )
    found = wire(packet)
    assert (found[UDP].sport, found[UDP].dport) == (5060, 5060)
    assert found[SIP].header("Content-Length") == b"4"


def test_response_is_built() -> None:
    """A status makes a response; its summary names the request it answers."""
    packet = SIP(status=401, reason="Unauthorized", headers=[("CSeq", "1 REGISTER"), ("l", "0")])
    assert bytes(packet) == b"SIP/2.0 401 Unauthorized\r\nCSeq: 1 REGISTER\r\nl: 0\r\n\r\n"
    found = wire(packet)
    assert (found.status, found.reason, found.method) == (401, b"Unauthorized", None)
    assert found.summary() == "SIP 401 Unauthorized (1 REGISTER)"
    assert bytes(SIP()) == b"OPTIONS sip:localhost SIP/2.0\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    "fields",
    [
        {
            "method": "OPTIONS",
            "uri": "sip:h",
            "headers": [("Via", "SIP/2.0/UDP h"), ("Content-Length", "0")],
        },
        {
            "status": 200,
            "reason": "OK",
            "headers": [("X-Any", "a: b"), ("Content-Length", "2")],
            "body": b"\r\n",
        },
        {"method": b"FOO", "uri": b"tel:1", "headers": [("content-length", "1")], "body": b"\xff"},
        {"method": "ACK", "uri": "sip:h", "headers": [("x-no-length", "")]},
    ],
)
def test_round_trip(fields: dict[str, object]) -> None:
    """Dissecting what was built gives an equal layer, and building that the same bytes."""
    built = SIP(**fields)
    found = SIP(bytes(built))
    assert found == built
    assert bytes(found) == bytes(built)
    for name in ("method", "uri", "status", "reason", "body"):
        assert getattr(found, name) == getattr(built, name)


def test_equality_is_of_meaning() -> None:
    """Spelling of names makes no difference, any value does."""
    request = SIP(method="OPTIONS", uri="sip:h", headers=[("f", "a")])
    assert request == SIP(method="OPTIONS", uri="sip:h", headers=[("FROM", "a"), ("l", "0")])
    assert request != SIP(method="OPTIONS", uri="sip:h", headers=[("From", "b")])
    assert request != SIP(method="OPTIONS", uri="sip:h", headers=[("From", "a")], body="x")
    assert request != SIP(method="OPTIONS", uri="sip:i", headers=[("From", "a")])
    assert request != request / Raw(b"x")
    assert request != Raw(bytes(request))


def test_messages_in_one_tcp_segment_follow_each_other() -> None:
    """Over TCP what stands behind Content-Length is the next message; over UDP it is Raw."""
    two = SIP(method="OPTIONS", uri="sip:h") / SIP(status=200, reason="OK") / Raw(b"part")
    packet = wire(TCP(dport=5060) / two)
    assert [layer.__name__ for layer in packet.layers()] == ["TCP", "SIP", "SIP", "Raw"]
    assert packet[SIP:2].status == 200
    assert bytes(packet[Raw]) == b"part"
    packet = wire(UDP(dport=5060) / two)
    assert [layer.__name__ for layer in packet.layers()] == ["UDP", "SIP", "Raw"]


def test_show_lists_the_header_fields() -> None:
    """show() prints a header field on each line, whatever bytes are in it."""
    text = SIP(INVITE.replace(b"c\r\n", b"\xff\r\n", 1)).show(dump=True)
    assert "INVITE" in text
    lines = [line.strip() for line in text.splitlines()]
    assert "From: <sip:a@b> ;tag=1" in lines
    assert "Call-ID: \\xff" in lines


def test_response_answers_its_request() -> None:
    """scapy's sr1 pairs by Call-ID and CSeq."""
    ids = [("Call-ID", "c"), ("CSeq", "1 OPTIONS")]
    request = SIP(method="OPTIONS", uri="sip:h", headers=ids)
    response = SIP(status=200, reason="OK", headers=ids)
    assert response.answers(request)
    assert not request.answers(response)
    assert not SIP(status=200, headers=[("Call-ID", "d"), ("CSeq", "1 OPTIONS")]).answers(request)
    assert not response.answers(Raw(b"x"))


def test_message_without_end_is_kept_whole() -> None:
    """A message that breaks off in its header loses no bytes."""
    cut = INVITE[: INVITE.index(b"Call-ID")]
    assert bytes(SIP(cut)) == cut


def test_parser_does_not_load_scapy() -> None:
    """Reading SIP must stay cheap: nothing but the layer imports scapy."""
    modules = "event, grammar, headers, auth, message, transactions, uri"
    code = f"import sys; from shield.sip import {modules}; sys.exit('scapy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
