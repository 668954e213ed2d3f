"""SIP over WebSocket is read passively, both directions."""

from __future__ import annotations

import zlib
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode, RsvBits

from shield.capture import websocket
from shield.capture.framing import SipFramer
from shield.capture.stream import Streams
from shield.capture.websocket import WebSocketSession
from shield.net import Transport
from tests.capture.wire import SERVER, handshake, segment

REQUEST = b"REGISTER sip:a SIP/2.0\r\nCall-ID: 1\r\nContent-Length: 0\r\n\r\n"
RESPONSE = b"SIP/2.0 401 Unauthorized\r\nCall-ID: 1\r\n\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: sip.example\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: foo, SIP\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
)
ACCEPT = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: sip\r\n"
)
DEFLATE = b"Sec-WebSocket-Extensions: permessage-deflate"


def session() -> tuple[WebSocketSession, Counter[str]]:
    errors: Counter[str] = Counter()
    return WebSocketSession(errors, lambda: SipFramer(errors)), errors


def frames(*payloads: bytes | str, client: bool = True, parts: int = 1) -> bytes:
    """What wsproto itself sends for these messages, each in a number of fragments."""
    sender = FrameProtocol(client, [])
    out = b""
    for payload in payloads:
        step = max(1, -(-len(payload) // parts))
        cuts = [payload[at : at + step] for at in range(0, len(payload), step)] or [payload]
        for number, cut in enumerate(cuts):
            out += sender.send_data(cut, fin=number == len(cuts) - 1)
    return out


def deflated(payload: bytes, packer: zlib._Compress | None = None, *, masked: bool = False) -> bytes:
    """One compressed server frame (RFC 7692 section 7.2.1); ``masked`` with a zero mask."""
    packer = packer or zlib.compressobj(9, zlib.DEFLATED, -15)
    body = (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    head = bytes((0xC1,))
    mask = 0x80 if masked else 0
    head += (
        bytes((mask | len(body),))
        if len(body) < 126
        else bytes((mask | 126,)) + len(body).to_bytes(2, "big")
    )
    return head + (bytes(4) if masked else b"") + body


@pytest.mark.parametrize("parts", [1, 2, 7])
@pytest.mark.parametrize("text", [False, True])
def test_messages_of_both_directions(parts: int, text: bool) -> None:
    """Text and binary, masked and not, whole and fragmented."""
    one, errors = session()
    request = REQUEST.decode() if text else REQUEST
    response = RESPONSE.decode() if text else RESPONSE
    assert one.client.feed(UPGRADE + b"\r\n" + frames(request, parts=parts)) == [REQUEST]
    assert one.server.feed(ACCEPT + b"\r\n" + frames(response, client=False, parts=parts)) == [RESPONSE]
    assert one.client.transport is Transport.WS
    assert not errors


@given(st.lists(st.integers(1, 400), max_size=12))
def test_segmenting_never_matters(cuts: list[int]) -> None:
    """Any cut through head, frame header, mask and payload gives the same messages."""
    data = UPGRADE + b"\r\n" + frames(REQUEST, b"", REQUEST, parts=2)
    edges = sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    one, errors = session()
    out = []
    for start, stop in pairwise(edges):
        out += one.client.feed(data[start:stop])
    assert out == [REQUEST, b"", REQUEST]
    assert not errors


def test_pings_and_close_are_no_messages() -> None:
    """Control frames may stand between the fragments of a message."""
    one, _ = session()
    sender = FrameProtocol(client=True, extensions=[])
    data = sender.send_data(REQUEST[:9], fin=False) + sender.ping(b"x") + sender.send_data(REQUEST[9:])
    assert one.client.feed(UPGRADE + b"\r\n" + bytes(data) + bytes(sender.close(1000))) == [REQUEST]


@pytest.mark.parametrize("keep", [True, False])
def test_permessage_deflate(keep: bool) -> None:
    """Compressed messages are read, with and without a context kept between them."""
    one, errors = session()
    extra = b"" if keep else b"; client_no_context_takeover; server_no_context_takeover"
    assert one.client.feed(UPGRADE + DEFLATE + b"; client_max_window_bits\r\n\r\n") == []
    assert one.server.feed(ACCEPT + DEFLATE + extra + b"\r\n\r\n") == []
    for half, masked in ((one.client, True), (one.server, False)):
        packer = zlib.compressobj(9, zlib.DEFLATED, -15) if keep else None
        for _ in range(3):
            assert half.feed(deflated(REQUEST, packer, masked=masked)) == [REQUEST]
    assert one.server.feed(frames(RESPONSE, client=False)) == [RESPONSE]
    assert not errors


def test_frames_wait_for_the_servers_answer() -> None:
    """What the client sends early is read when it is known whether it is compressed."""
    one, _ = session()
    early = deflated(REQUEST, masked=True)
    assert one.client.feed(UPGRADE + DEFLATE + b"\r\n\r\n" + early) == []
    one.server.feed(ACCEPT + DEFLATE + b"\r\n\r\n")
    assert one.client.feed(b"") == [REQUEST]


def test_a_compression_bomb_is_stopped() -> None:
    """64 KiB come out of a compressed message at most; then the direction is given up."""
    one, errors = session()
    one.client.feed(UPGRADE + DEFLATE + b"\r\n\r\n")
    one.server.feed(ACCEPT + DEFLATE + b"\r\n\r\n")
    assert one.client.feed(deflated(bytes(10 << 20), masked=True)) == []
    assert errors == {"websocket_broken": 1}
    assert one.client.feed(frames(REQUEST)) == []
    assert one.client.buffered == 0


def test_oversize_messages_are_dropped_alone() -> None:
    """A message over 64 KiB is counted; the next one is read."""
    one, errors = session()
    one.client.feed(UPGRADE + b"\r\n")
    huge = frames(bytes(200_000), parts=3)
    out = []
    for at in range(0, len(huge), 1400):
        out += one.client.feed(huge[at : at + 1400])
        assert one.client.buffered <= websocket.MAX_MESSAGE + 1400
    assert out == []
    assert one.client.feed(frames(REQUEST)) == [REQUEST]
    assert errors == {"websocket_too_long": 1}


def test_an_unmasked_client_frame_ends_the_reading() -> None:
    """The server must close such a connection (RFC 6455 section 5.1)."""
    one, errors = session()
    assert one.client.feed(UPGRADE + b"\r\n" + frames(REQUEST, client=False)) == []
    assert errors == {"websocket_broken": 1}


def test_a_refused_upgrade_is_mute() -> None:
    """After 403 the server's page is no SIP."""
    one, _ = session()
    one.client.feed(UPGRADE + b"\r\n")
    assert one.server.feed(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\n\r\nsorry" + RESPONSE) == []


@pytest.mark.parametrize("close", [True, False])
def test_other_http_on_a_sip_port_is_given_out(close: bool) -> None:
    """A web scanner on the SIP port is damaged SIP, as the server sees it."""
    one, _ = session()
    head = b"GET / HTTP/1.0\r\nHost: x\r\n"
    out = one.client.feed(head) if close else one.client.feed(head + b"\r\n")
    assert out + one.client.close() == [head if close else head + b"\r\n"]


def test_an_endless_head_is_bounded() -> None:
    """An HTTP head that never ends is handed on at 16 KiB."""
    one, _ = session()
    for _ in range(100):
        one.client.feed(b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200)
        assert one.client.buffered <= websocket.MAX_MESSAGE + 2000


def test_a_gap_ends_the_reading() -> None:
    """Frames cannot be found again after lost bytes."""
    one, errors = session()
    one.client.feed(UPGRADE + b"\r\n" + frames(REQUEST)[:9])
    one.client.lose()
    assert one.client.feed(frames(REQUEST)) == []
    assert errors == {"websocket_gap": 1}


@given(st.binary(max_size=200), st.booleans())
def test_noise_after_the_upgrade_never_raises(noise: bytes, packed: bool) -> None:
    """Any bytes are frames or end the reading."""
    one, _ = session()
    extra = DEFLATE + b"\r\n" if packed else b""
    one.client.feed(UPGRADE + extra + b"\r\n")
    one.server.feed(ACCEPT + extra + b"\r\n" + noise)
    one.client.feed(noise)
    one.client.feed(bytes((0xC1, 0x84)) + bytes(4) + noise[:4].ljust(4, b"\0"))
    one.client.close()
    one.server.close()


def test_through_tcp_with_proof() -> None:
    """On a TCP connection the messages are WS datagrams of a proven client; keep-alives are not."""
    ends = {"server": (SERVER, 5066)}
    streams = Streams(Counter(), {5060})
    upgrade, answer = UPGRADE + b"\r\n", ACCEPT + b"\r\n"
    data, back = frames(REQUEST, b"\r\n\r\n"), frames(RESPONSE, client=False)
    out = []
    for one in (
        *handshake(**ends),
        segment(upgrade, seq=101, ack=9001, **ends),
        segment(answer, seq=9001, ack=101 + len(upgrade), back=True, **ends),
        segment(data, seq=101 + len(upgrade), ack=9001 + len(answer), **ends),
        segment(back, seq=9001 + len(answer), ack=101 + len(upgrade + data), back=True, **ends),
    ):
        out += streams.segment(1.0, one)
    assert [(one.transport, one.payload, one.connected) for one in out] == [
        (Transport.WS, REQUEST, True),
        (Transport.WS, RESPONSE, True),
    ]


def test_reserved_bits_without_compression_end_the_reading() -> None:
    """RSV1 without the extension breaks RFC 6455 section 5.2."""
    one, errors = session()
    sender = FrameProtocol(client=True, extensions=[])
    bad = bytearray(sender.send_data(REQUEST))
    bad[0] = sender._make_fin_rsv_opcode(True, RsvBits(True, False, False), Opcode.BINARY)  # noqa: FBT003
    assert one.client.feed(UPGRADE + b"\r\n" + bytes(bad)) == []
    assert errors == {"websocket_broken": 1}
