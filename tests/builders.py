"""SIP messages and datagrams in one line each, for tests of transactions and detection."""

from __future__ import annotations

from shield.net import Datagram, Transport, pack
from shield.sip.message import Request, Response, parse_message

CLIENT, SERVER = "192.0.2.9", "198.51.100.1"


def request(
    method: str = "REGISTER",
    *extra: str,
    user: str = "100",
    cseq: int | str = 1,
    call_id: str = "c1",
    tag: str = "f1",
    to_tag: str = "",
    branch: str = "z9hG4bK1",
    via: str = "192.0.2.9:5060",
    agent: str = "phone/1",
) -> bytes:
    """A request with the usual header fields; ``extra`` are further header lines."""
    to = f"<sip:{user}@host.example>" + (f";tag={to_tag}" if to_tag else "")
    lines = [
        f"{method} sip:{'' if method == 'REGISTER' else user + '@'}host.example SIP/2.0",
        f"Via: SIP/2.0/UDP {via};branch={branch}",
        *extra,
        f"From: <sip:{user}@host.example>;tag={tag}",
        f"To: {to}",
        f"Call-ID: {call_id}",
        f"CSeq: {cseq} {method}",
        f"User-Agent: {agent}",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def response(status: int, asked: bytes, *extra: str, to_tag: str = "srv1") -> bytes:
    """The response to a request, made of its own header fields (RFC 3261 section 8.2.6)."""
    message = parse_message(asked)
    kept = (b"Via", b"From", b"To", b"Call-ID", b"CSeq")
    lines = [b"SIP/2.0 %d Reason" % status]
    for name, value in message.headers:
        tagged = name == b"To" and to_tag and b";tag=" not in value
        if name in kept:
            lines.append(name + b": " + value + (b";tag=" + to_tag.encode() if tagged else b""))
    lines += [line.encode() for line in extra]
    return b"\r\n".join([*lines, b"Content-Length: 0", b"", b""])


def challenge(nonce: str, realm: str = "host.example", more: str = "", *, proxy: bool = False) -> str:
    """A WWW-Authenticate line (or Proxy-Authenticate)."""
    name = "Proxy-Authenticate" if proxy else "WWW-Authenticate"
    return f'{name}: Digest realm="{realm}", nonce="{nonce}"{more}'


def credentials(
    nonce: str,
    realm: str = "host.example",
    user: str = "100",
    answer: str = "0" * 32,
    *,
    proxy: bool = False,
) -> str:
    """An Authorization line (or Proxy-Authorization)."""
    name = "Proxy-Authorization" if proxy else "Authorization"
    return (
        f'{name}: Digest username="{user}", realm="{realm}", nonce="{nonce}",'
        f' uri="sip:host.example", response="{answer}"'
    )


def datagram(
    payload: bytes,
    time: float = 0.0,
    source: str = CLIENT,
    destination: str = SERVER,
    *,
    transport: Transport = Transport.UDP,
    connected: bool = False,
    source_port: int = 5060,
    destination_port: int = 5060,
) -> Datagram:
    """A datagram from client to server."""
    return Datagram(
        time,
        pack(source),
        source_port,
        pack(destination),
        destination_port,
        transport,
        payload,
        connected,
    )


def read_request(payload: bytes) -> Request:
    """Read a request."""
    message = parse_message(payload)
    assert isinstance(message, Request)
    return message


def read_response(payload: bytes) -> Response:
    """Read a response."""
    message = parse_message(payload)
    assert isinstance(message, Response)
    return message
