"""SIP as a scapy layer over shield's own parser: ``packet[SIP].method`` in a shell and in tests.

Import this module on demand only (importing scapy costs about 0.4 s); the import binds SIP to port
5060 of UDP and TCP. What the parser refuses stays ``Raw``. A dissected and unchanged
layer builds the bytes it came from, a changed or new one is written in the usual spelling::

    IP(dst="192.0.2.1") / UDP() / SIP(method="OPTIONS", uri="sip:192.0.2.1", headers=[("To", "...")])
    SIP(status=404, reason="Not Found", headers=[...])
"""

from __future__ import annotations

from typing import Any, ClassVar

from scapy.config import conf
from scapy.fields import Field, StrField
from scapy.layers.inet import TCP, UDP
from scapy.packet import Packet, bind_bottom_up, bind_layers

from shield.errors import RemoteError
from shield.sip.message import Request, Response, parse_message, usual_name

__all__ = ["SIP"]

SIP_PORT = 5060
_SEPARATORS = (b"\r\n\r\n", b"\n\r\n", b"\n\n")


def _octets(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


class _Text(StrField):
    """A part of the message as bytes; text given is encoded, None means absent."""

    def any2i(self, _pkt: Packet | None, x: Any) -> bytes | None:
        return None if x is None else _octets(x)


class _Status(Field):
    """Status code of a response; None in a request."""

    def any2i(self, _pkt: Packet | None, x: Any) -> int | None:
        return None if x is None else int(x)


class _Headers(Field):
    """List of (name, value) pairs in order."""

    islist = 1

    def any2i(self, _pkt: Packet | None, x: Any) -> list[tuple[bytes, bytes]]:
        return [(_octets(name), _octets(value)) for name, value in x]

    def i2repr(self, _pkt: Packet | None, x: list[tuple[bytes, bytes]]) -> str:
        return "\n".join(f"{_text(name)}: {_text(value)}" for name, value in x)


class SIP(Packet):
    """One SIP message; a request unless ``status`` is set.

    ``headers`` holds the pairs as bytes, of a dissected message with usual names and unfolded values.
    When building, a missing Content-Length is computed.
    """

    name = "SIP"
    fields_desc: ClassVar[list[Field]] = [
        _Text("method", None),
        _Text("uri", None),
        _Status("status", None),
        _Text("reason", None),
        _Headers("headers", []),
        _Text("body", b""),
    ]

    @classmethod
    def dispatch_hook(cls, _pkt: bytes | None = None, *_: Any, **__: Any) -> type[Packet]:
        """Choose SIP for what the parser reads and for a layer to be built, else Raw."""
        if _pkt:
            try:
                parse_message(bytes(_pkt))
            except RemoteError:
                fallback: type[Packet] = conf.raw_layer
                return fallback
        return cls

    def do_dissect(self, s: bytes) -> bytes:
        """Fill the fields; gives what follows the message (TCP may carry several in a segment)."""
        message = parse_message(s)
        if isinstance(message, Request):
            self.fields.update(method=message.method, uri=message.uri)
        else:
            self.fields.update(status=message.status, reason=message.reason)
        headers = message.headers
        self.fields.update(headers=headers, body=message.body)
        rest = _rest(s, message)
        self.raw_packet_cache = s[: len(s) - len(rest)]
        # The list can be changed in place, unseen by scapy.
        self.raw_packet_cache_fields = {"headers": list(headers)}
        self.explicit = 1
        return rest

    def guess_payload_class(self, _payload: bytes) -> type[Packet]:
        """Take what follows in a TCP segment as the next message."""
        return SIP if isinstance(self.underlayer, (TCP, SIP)) else conf.raw_layer

    def self_build(self) -> bytes:
        """Give the bytes dissected, or new ones when a field was changed."""
        layer: Any = self  # scapy's annotations forbid None here, its code wants it
        seen = layer.raw_packet_cache_fields
        if layer.raw_packet_cache is not None and seen is not None and seen["headers"] == self.headers:
            return bytes(layer.raw_packet_cache)
        layer.raw_packet_cache = layer.raw_packet_cache_fields = None
        lines = [self._start_line(), *(name + b": " + value for name, value in self._headers_to_send())]
        return b"\r\n".join(lines) + b"\r\n\r\n" + (self.body or b"")

    def __eq__(self, other: object) -> bool:
        """Compare what the messages say: names in any spelling, Content-Length as it would be sent."""
        if not isinstance(other, SIP):
            return False
        return self._meaning() == other._meaning() and bool(self.payload == other.payload)

    __hash__ = None  # type: ignore[assignment]

    def header(self, name: str | bytes) -> bytes | None:
        """First value of a header field, its name in any spelling; None when absent."""
        return next(iter(self.all_headers(name)), None)

    def all_headers(self, name: str | bytes) -> list[bytes]:
        """Values of all header fields of that name, in order."""
        usual = usual_name(_octets(name))
        return [value for key, value in self.headers if usual_name(key) == usual]

    def mysummary(self) -> str:
        """``SIP REGISTER sip:192.0.2.1`` or ``SIP 401 Unauthorized (1 REGISTER)``."""
        if self.status is None:
            return "SIP " + _text(self._start_line()).removesuffix(" SIP/2.0")
        line = _text(self._start_line()).removeprefix("SIP/2.0 ")
        return f"SIP {line} ({_text(self.header('CSeq') or b'')})"

    def answers(self, other: Packet) -> int:
        """Tell scapy's ``sr1`` that a response with equal Call-ID and CSeq answers a request."""
        if not isinstance(other, SIP) or self.status is None or other.status is not None:
            return 0
        return int(all(self.header(name) == other.header(name) for name in ("Call-ID", "CSeq")))

    def _headers_to_send(self) -> list[tuple[bytes, bytes]]:
        headers: list[tuple[bytes, bytes]] = list(self.headers)
        if all(usual_name(name) != b"Content-Length" for name, _ in headers):
            headers.append((b"Content-Length", b"%d" % len(self.body or b"")))
        return headers

    def _meaning(self) -> tuple[bytes, list[tuple[bytes, bytes]], bytes]:
        headers = [(usual_name(name), value) for name, value in self._headers_to_send()]
        return self._start_line(), headers, self.body or b""

    def _start_line(self) -> bytes:
        if self.status is not None:
            return b"SIP/2.0 %d %s" % (self.status, self.reason or b"")
        return b"%s %s SIP/2.0" % (self.method or b"OPTIONS", self.uri or b"sip:localhost")


def _rest(payload: bytes, message: Request | Response) -> bytes:
    """Give what stands behind a message whose Content-Length is shorter than the payload."""
    start = payload.find(message.head) + len(message.head)
    for separator in _SEPARATORS:
        if payload.startswith(separator, start):
            return payload[start + len(separator) + len(message.body) :]
    return b""


for _transport in (UDP, TCP):
    bind_bottom_up(_transport, SIP, sport=SIP_PORT)
    bind_bottom_up(_transport, SIP, dport=SIP_PORT)
    bind_layers(_transport, SIP, sport=SIP_PORT, dport=SIP_PORT)
