"""One SIP message: ``parse_message`` turns bytes into a Request or a Response.

There are two ways through this module with one result. The short way takes messages in the
usual spelling (canonical header names, ``Name: value``, CRLF) and costs a few microseconds. It
gives up at the first sign of anything unusual: compact forms, odd case, folding, blanks before
the colon, bare LF, missing header fields. Then ``parse_fully`` reads the same bytes with all the
freedom of RFC 3261 section 7.3.1 and more (``shield.sip.full``), because an attacker chooses the
spelling and real servers accept it. A property test feeds both ways the same bytes and compares.

A message that breaks RFC 3261 is still returned, with ``defects`` naming what is wrong; only
bytes without any SIP start line raise RemoteError.
"""

from __future__ import annotations

from shield.errors import RemoteError
from shield.sip.full import BLANK, read_fully, split_header
from shield.sip.grammar import COMPACT
from shield.sip.names import (
    MAX_HEADER_BYTES,
    MAX_HEADER_LINES,
    METHODS,
    TOKEN_BYTES,
    USUAL,
    USUAL_NAMES,
    usual_name,
)

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

MAX_LEARNED_NAMES = 2_048
"""Unknown header names (X-..., P-...) whose spelling was checked once; beyond, the full parser."""

_REPEATABLE = (b"Via", b"Record-Route", b"Route", b"Contact", b"Allow", b"Supported", b"Accept")

# Names that the short way may take as they stand: usual spellings, and spellings of unknown
# names that were looked at once. Grows by _learn only.
_known: set[bytes] = set(USUAL_NAMES)


class Message:
    """What Request and Response share. Header values are bytes, unfolded and stripped."""

    __slots__ = ("body", "call_id", "cseq", "defects", "fields", "from_", "head", "to", "via")

    head: bytes
    """Start line and header as received (at most MAX_HEADER_BYTES), without the empty line."""
    fields: dict[bytes, bytes]
    """First value of each header field; see ``get`` for look-ups by any spelling."""
    body: bytes
    """What follows the empty line, cut to Content-Length."""
    call_id: bytes
    cseq: bytes
    """``number SP method``; empty when missing."""
    from_: bytes
    to: bytes
    via: bytes
    """Topmost Via header field value; may hold several values separated by commas."""
    defects: tuple[str, ...]
    """What is wrong with the message, each a short counter name; empty for a sound message."""

    def __init__(
        self,
        head: bytes,
        fields: dict[bytes, bytes],
        body: bytes,
        values: tuple[bytes, bytes, bytes, bytes, bytes],
        defects: tuple[str, ...],
    ) -> None:
        self.head = head
        self.fields = fields
        self.body = body
        self.via, self.from_, self.to, self.call_id, self.cseq = values
        self.defects = defects

    def get(self, name: bytes) -> bytes | None:
        """First value of a header field, its name in any spelling; None when absent."""
        usual = usual_name(name)
        if usual in USUAL_NAMES:
            return self.fields.get(usual)
        spellings = [key for key in self.fields if key.lower() == usual]
        if len(spellings) > 1:
            return self.all(usual)[0]  # only the header itself tells which stands first
        return self.fields[spellings[0]] if spellings else None

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

    __slots__ = ("reason", "status")

    is_request = False
    status: int
    """100 to 699."""
    reason: bytes

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.cseq.decode('latin-1')}>"


def parse_message(payload: bytes) -> Request | Response:  # noqa: PLR0911 - a call more costs each packet
    """Read one message; raises RemoteError when there is no SIP start line in it."""
    head, end, body = payload.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    start = lines[0]
    try:
        # From the last line to the first, so that of equal names the topmost stays.
        fields: dict[bytes, bytes] = dict([line.split(b": ", 1) for line in lines[:0:-1]])
        via, from_, to, call_id, cseq = values = (
            fields[b"Via"],
            fields[b"From"],
            fields[b"To"],
            fields[b"Call-ID"],
            fields[b"CSeq"],
        )
    except (ValueError, KeyError):
        return parse_fully(payload)
    number, _, method = cseq.partition(b" ")
    if (
        not end
        or not (fields.keys() <= _known or _learn(fields))
        or head.count(b"\n") != len(lines) - 1
        or b":  " in head
        or b" \r\n" in head
        or head[-1:] == b" "
        or b"\t" in head
        or method not in METHODS
        or not number.isdigit()
        or len(number) > 10
        or len(head) > MAX_HEADER_BYTES
        or len(lines) > MAX_HEADER_LINES
        or (len(fields) != len(lines) - 1 and not _only_repeatable(head, len(lines) - 1 - len(fields)))
        or not (call_id and from_ and to and via)
        or not call_id.isascii()
    ):
        return parse_fully(payload)
    length = fields.get(b"Content-Length")
    if (body or length != b"0") and (
        (length is None and body) or (length is not None and not _length_is(length, body))
    ):
        return parse_fully(payload)
    if start.endswith(b" SIP/2.0"):
        parts = start.split(b" ")
        if len(parts) != 3 or parts[0] != method or not parts[1]:
            return parse_fully(payload)
        request = Request(head, fields, body, values, ())
        request.method = method
        request.uri = parts[1]
        return request
    status = start[8:11]
    if (
        start[:8] != b"SIP/2.0 "
        or not status.isdigit()
        or start[11:12] != b" "
        or start[12:13] == b" "
        or not b"100" <= status < b"700"
    ):
        return parse_fully(payload)
    response = Response(head, fields, body, values, ())
    response.status = int(status)
    response.reason = start[12:]
    return response


def _length_is(value: bytes, body: bytes) -> bool:
    return value.isdigit() and len(value) < 8 and int(value) == len(body)


def _only_repeatable(head: bytes, extra: int) -> bool:
    """Whether header fields that may stand several times explain all ``extra`` lines."""
    for name in _REPEATABLE:
        extra -= max(0, head.count(b"\r\n" + name + b": ") - 1)
    return extra == 0


def _learn(fields: dict[bytes, bytes]) -> bool:
    """Look at names that the short way has not met; False sends the message to the full parser."""
    for name in fields.keys() - _known:
        low = name.lower()
        if not name or low in USUAL or low in COMPACT or not TOKEN_BYTES.issuperset(name):
            return False
        if len(_known) >= MAX_LEARNED_NAMES + len(USUAL):
            return False
        _known.add(name)
    return True


def parse_fully(payload: bytes) -> Request | Response:
    """Read one message of any spelling; raises RemoteError without a SIP start line.

    Accepted beyond RFC 3261, since servers accept it: leading empty lines, bare LF, blanks around
    the colon, a missing final empty line, several blanks in the start line.
    """
    start, head, fields, body, values, defects = read_fully(payload)
    # Only blank and tab part words, as in the short way: bytes.split() would take more.
    words = [word for word in start.replace(b"\t", b" ").split(b" ") if word]
    if len(words) >= 2 and words[0].upper() == b"SIP/2.0":
        status = words[1]
        if not (status.isdigit() and len(status) == 3 and 100 <= int(status) <= 699):
            raise RemoteError("bad_status_line", start[:60].decode("latin-1"))
        response = Response(head, fields, body, values, tuple(defects))
        response.status = int(status)
        response.reason = start[7:].lstrip(BLANK)[3:].lstrip(BLANK)
        return response
    if len(words) < 2 or not TOKEN_BYTES.issuperset(words[0]):
        raise RemoteError("no_start_line", start[:60].decode("latin-1"))
    if words[-1].upper() != b"SIP/2.0":
        if b"SIP/" not in words[-1].upper() and not values[0]:
            raise RemoteError("no_start_line", start[:60].decode("latin-1"))
        defects.append("bad_version")
    if len(words) != 3:
        defects.append("bad_request_line")
    if words[0] not in METHODS:
        defects.append("unknown_method")
    elif values[4] and values[4].partition(b" ")[2] != words[0]:
        defects.append("cseq_method_differs")
    request = Request(head, fields, body, values, tuple(defects))
    request.method = words[0]
    request.uri = words[1]
    return request
