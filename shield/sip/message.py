"""One SIP message: ``parse_message`` turns bytes into a Request or a Response.

There are two ways through this module with one result. The short way takes messages in the usual
spelling with one expression (``shield.sip.usual``) and costs two microseconds. It gives up at the
first sign of anything unusual: compact forms, odd case, folding, blanks before the colon, bare LF,
missing header fields. Then ``parse_fully`` reads the same bytes with all the freedom of RFC 3261
section 7.3.1 and more (``shield.sip.full``), because an attacker chooses the spelling and real
servers accept it. A property test feeds both ways the same bytes and compares.

A message that breaks RFC 3261 is still returned, with ``defects`` naming what is wrong; only
bytes without any SIP start line raise RemoteError.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from shield.errors import RemoteError
from shield.sip.full import BLANK, Parts, read_fully, split_header
from shield.sip.headers import fast_branch
from shield.sip.names import MAX_HEADER_BYTES, MAX_HEADER_LINES, METHODS, TOKEN_BYTES, usual_name
from shield.sip.usual import GROUPS, match_usual

__all__ = [
    "MAX_HEADER_BYTES",
    "MAX_HEADER_LINES",
    "METHODS",
    "Message",
    "Request",
    "Response",
    "parse_fully",
    "parse_message",
    "usual_name",
]


class Message:
    """What Request and Response share. Header values are bytes, unfolded and stripped."""

    __slots__ = (
        "_fields", "agent", "allow", "auth", "body", "branch", "call_id", "cseq", "defects", "from_",
        "head", "tag", "to", "via", "vias",
    )  # fmt: skip

    head: bytes
    """Start line and header as received (at most MAX_HEADER_BYTES), without the empty line."""
    body: bytes
    """What follows the empty line, cut to Content-Length."""
    call_id: bytes
    cseq: bytes
    """``number SP method``; empty when missing."""
    from_: bytes
    tag: bytes | None
    """From tag, if that was seen in passing; ``SipEvent.tag`` is right in any case."""
    to: bytes
    via: bytes
    """Topmost Via header field value; may hold several values separated by commas."""
    branch: bytes
    """Branch of the topmost Via; empty when missing."""
    vias: bool
    """There may be more than one Via value."""
    agent: bytes | None
    """First User-Agent; with Allow what fingerprints look at most."""
    allow: bytes | None
    """First Allow."""
    auth: tuple[bytes, ...]
    """Values of (Proxy-)Authorization in a request, of WWW- and Proxy-Authenticate in a response."""
    defects: tuple[str, ...]
    """What is wrong with the message, each a short counter name; empty for a sound message."""
    _fields: dict[bytes, bytes] | None

    @property
    def is_usual(self) -> bool:
        """Whether it is in the usual spelling (``shield.sip.usual``), and not cut into lines yet."""
        return self._fields is None

    @property
    def fields(self) -> dict[bytes, bytes]:
        """First value of each header field, by the names that ``usual_name`` gives."""
        fields = self._fields
        if fields is None:
            fields = self._fields = dict(reversed(self.headers))
        return fields

    def get(self, name: bytes) -> bytes | None:
        """First value of a header field, its name in any spelling; None when absent."""
        return self.fields.get(usual_name(name))

    def usual(self, line: bytes) -> bytes | None:
        """First value of a header field; ``line`` is its usual name as ``CR LF Name: ``.

        Faster than ``get``, since a message in the usual spelling is not cut into its lines for it.
        """
        if self._fields is not None:
            return self._fields.get(line[2:-2])
        at = self.head.find(line)
        if at < 0:
            return None
        start = at + len(line)
        end = self.head.find(b"\r", start)
        return self.head[start:end] if end >= 0 else self.head[start:]

    def all(self, name: bytes) -> list[bytes]:
        """Values of all header fields of that name, in order (each may be a comma list)."""
        usual = usual_name(name)
        return [value for key, value in self.headers if key == usual]

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """All header fields in order: name in its usual spelling, unfolded value."""
        return split_header(self.head)[1]

    @property
    def cseq_method(self) -> bytes:
        """Method in CSeq, empty when missing."""
        return self.cseq.partition(b" ")[2]


class Request(Message):
    """A SIP request."""

    __slots__ = ("method", "uri")

    is_request = True
    method: bytes
    """As sent; methods are case-sensitive (RFC 3261 section 7.1)."""
    uri: bytes
    """Request-URI as sent."""

    def __repr__(self) -> str:
        return f"<Request {self.method.decode('latin-1')} {self.uri.decode('latin-1')}>"


class Response(Message):
    """A SIP response."""

    __slots__ = ("_rest", "reason", "status")

    is_request = False
    status: int
    """100 to 699."""
    reason: bytes
    _rest: tuple[bytes, re.Match[bytes]]
    """Payload and match of a response in the usual spelling, not cut any further yet."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            """Fill what the short way left out: the most of responses are only paired with requests."""
            _fill_rest(self)
            return object.__getattribute__(self, name)

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.cseq.decode('latin-1')}>"


def parse_message(payload: bytes) -> Request | Response:
    """Read one message; raises RemoteError when there is no SIP start line in it."""
    match = match_usual(payload)
    if match is None:
        return parse_fully(payload)
    end = match.end()
    status, length = match.group(_STATUS, _LENGTH)
    head = payload[: end - 4]
    if (length != b"0" or end != len(payload)) and not _length_is(length, len(payload) - end):
        return parse_fully(payload)
    if end > MAX_HEADER_BYTES:
        return parse_fully(payload)
    if status is not None:
        return _response(payload, match, head, _STATUSES[status])
    return _request(payload, match, head)


_STATUS, _LENGTH = GROUPS["status"], GROUPS["length"]
_PAIRING = tuple(GROUPS[name] for name in ("call_id", "cseq", "branch", "unsure", "auth", "auths"))
_STATUSES = {b"%d" % status: status for status in range(100, 700)}


def _length_is(value: bytes | None, length: int) -> bool:
    return value is None or int(value) == length


# Attributes one by one: calls of __init__ with all of them would cost each packet a third more.


def _request(payload: bytes, match: re.Match[bytes], head: bytes) -> Request:
    request = _new_request(Request)
    request.head = head
    request.body = payload[len(head) + 4 :]
    request._fields = None
    request.defects = ()
    (
        request.method, request.uri, _, _, vias, via, branch, unsure, request.from_, tag, doubtful,
        request.to, request.call_id, request.cseq, _, _, request.agent, request.allow, auths, auth,
    ) = match.groups()  # fmt: skip
    request.via = via
    request.vias = vias is not None or _COMMA in via
    request.branch = branch if branch is not None and unsure is None else fast_branch(via) or b""
    request.tag = tag if doubtful is None else None
    request.auth = () if auth is None else (auth,) if auths is None else _auth(request)
    return request


def _response(payload: bytes, match: re.Match[bytes], head: bytes, status: int) -> Response:
    response = _new_response(Response)
    response.status = status
    response.call_id, response.cseq, branch, unsure, auth, auths = match.group(*_PAIRING)
    if branch is None or unsure is not None:
        branch = fast_branch(match["via"]) or b""
    response.branch = branch
    response.head = head
    response._fields = None
    response.defects = ()
    response._rest = payload, match
    response.auth = () if auth is None else (auth,) if auths is None else _auth(response)
    return response


def _fill_rest(response: Response) -> None:
    payload, match = response._rest
    response.body = payload[match.end() :]
    (
        _, _, _, response.reason, vias, via, _, _, response.from_, tag, doubtful, response.to,
        _, _, _, _, response.agent, response.allow, _, _,
    ) = match.groups()  # fmt: skip
    response.via = via
    response.tag = tag if doubtful is None else None
    response.vias = vias is not None or _COMMA in via


_COMMA = ord(",")  # a number is found in bytes six times as fast as a text of one byte
_new_request = Request.__new__
_new_response = Response.__new__
_AUTH = {
    True: frozenset((b"Authorization", b"Proxy-Authorization")),
    False: frozenset((b"WWW-Authenticate", b"Proxy-Authenticate")),
}


def _auth(message: Request | Response) -> tuple[bytes, ...]:
    names = _AUTH[message.is_request]
    return tuple(value for name, value in message.headers if name in names)


def parse_fully(payload: bytes) -> Request | Response:
    """Read one message of any spelling; raises RemoteError without a SIP start line.

    Accepted beyond RFC 3261, since servers accept it: leading empty lines, bare LF, blanks around
    the colon, a missing final empty line, several blanks in the start line.
    """
    parts = read_fully(payload)
    start, defects = parts.start, parts.defects
    # Only blank and tab part words, as in the short way: bytes.split() would take more.
    words = [word for word in start.replace(b"\t", b" ").split(b" ") if word]
    if len(words) >= 2 and words[0].upper() == b"SIP/2.0":
        status = words[1]
        if not (status.isdigit() and len(status) == 3 and 100 <= int(status) <= 699):
            raise RemoteError("bad_status_line", start[:60].decode("latin-1"))
        response = Response()
        _fill(response, parts)
        response.status = int(status)
        response.reason = start[7:].lstrip(BLANK)[3:].lstrip(BLANK)
        return response
    if len(words) < 2 or not TOKEN_BYTES.issuperset(words[0]):
        raise RemoteError("no_start_line", start[:60].decode("latin-1"))
    if words[-1].upper() != b"SIP/2.0":
        if b"SIP/" not in words[-1].upper() and not parts.via:
            raise RemoteError("no_start_line", start[:60].decode("latin-1"))
        defects.append("bad_version")
    if len(words) != 3:
        defects.append("bad_request_line")
    if words[0] not in METHODS:
        defects.append("unknown_method")
    elif parts.cseq and parts.cseq.partition(b" ")[2] != words[0]:
        defects.append("cseq_method_differs")
    request = Request()
    _fill(request, parts)
    request.method = words[0]
    request.uri = words[1]
    return request


def _fill(message: Request | Response, parts: Parts) -> None:
    fields = parts.fields
    message.head, message.body, message._fields = parts.head, parts.body, fields
    message.via = via = parts.via
    message.vias = parts.more_vias or b"," in via
    message.branch = fast_branch(via) or b""
    message.from_, message.tag, message.to = fields.get(b"From", b""), None, fields.get(b"To", b"")
    message.call_id, message.cseq = fields.get(b"Call-ID", b""), parts.cseq
    message.agent, message.allow = fields.get(b"User-Agent"), fields.get(b"Allow")
    message.auth = () if _AUTH[message.is_request].isdisjoint(fields) else _auth(message)
    message.defects = tuple(parts.defects)
