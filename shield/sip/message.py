"""One SIP message: ``parse_message`` turns bytes into a Request or a Response.

There are two ways through this module with one result. The short way takes messages in the
usual spelling (canonical header names, ``Name: value``, CRLF) and costs a few microseconds. It
gives up at the first sign of anything unusual: compact forms, odd case, folding, blanks before
the colon, bare LF, missing header fields. Then ``parse_fully`` reads the same bytes with all the
freedom of RFC 3261 section 7.3.1 and more, because an attacker chooses the spelling and real servers accept it.
A property test feeds both ways the same bytes and compares.

A message that breaks RFC 3261 is still returned, with ``defects`` naming what is wrong; only
bytes without any SIP start line raise RemoteError.
"""

from __future__ import annotations

from shield.errors import RemoteError
from shield.sip.grammar import COMPACT

__all__ = ["METHODS", "Message", "Request", "Response", "parse_fully", "parse_message", "usual_name"]

MAX_HEADER_BYTES = 16_384
"""A header longer than this is cut: Kamailio and Asterisk refuse such messages over UDP."""
MAX_HEADER_LINES = 256
"""RFC 3261 has no limit; real messages stay below 60."""
MAX_LEARNED_NAMES = 2_048
"""Unknown header names (X-..., P-...) whose spelling was checked once; beyond, the full parser."""

METHODS = frozenset(
    b"INVITE ACK BYE CANCEL OPTIONS REGISTER PRACK SUBSCRIBE NOTIFY PUBLISH INFO REFER MESSAGE UPDATE".split()
)
"""RFC 3261 and its extensions (3262, 3311, 3428, 3515, 3903, 6086, 6665)."""

_USUAL_NAMES = (
    b"Via From To Call-ID CSeq Contact Max-Forwards Content-Length Content-Type User-Agent Server Allow"
    b" Supported Require Proxy-Require Expires Min-Expires Authorization Proxy-Authorization"
    b" WWW-Authenticate Proxy-Authenticate Authentication-Info Route Record-Route Accept Accept-Encoding"
    b" Accept-Language Alert-Info Call-Info Date Error-Info In-Reply-To MIME-Version Organization Priority"
    b" Reply-To Retry-After Subject Timestamp Unsupported Warning Content-Disposition Content-Encoding"
    b" Content-Language Event Allow-Events Subscription-State Refer-To Referred-By Replaces Session-Expires"
    b" Min-SE RAck RSeq Path Service-Route P-Asserted-Identity P-Preferred-Identity Privacy Diversion Reason"
    b" Identity Identity-Info Accept-Contact Reject-Contact Request-Disposition SIP-ETag SIP-If-Match Join"
).split()
_USUAL = {name.lower(): name for name in _USUAL_NAMES}
_USUAL_SET = frozenset(_USUAL_NAMES)
_REPEATABLE = (b"Via", b"Record-Route", b"Route", b"Contact", b"Allow", b"Supported", b"Accept")
_SINGLE = (b"From", b"To", b"Call-ID", b"CSeq", b"Max-Forwards", b"Content-Length")
_BLANK = b" \t"
_MANDATORY = (b"Via", b"From", b"To", b"Call-ID", b"CSeq")
_TOKEN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~")

# Names that the short way may take as they stand: usual spellings, and spellings of unknown
# names that were looked at once. Grows by _learn only.
_known: set[bytes] = set(_USUAL_NAMES)


def usual_name(name: bytes) -> bytes:
    """The spelling under which ``Message.fields`` holds a header field.

    Compact forms and odd case of known names give the usual spelling; unknown names lower case.
    """
    low = name.lower()
    low = COMPACT.get(low, low)
    return _USUAL.get(low, low)


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
        if usual in _USUAL_SET:
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
        return _split_header(self.head)[1]

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


def parse_message(payload: bytes) -> Request | Response:
    """Read one message; raises RemoteError when there is no SIP start line in it."""
    head, end, body = payload.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    start = lines[0]
    try:
        # From the last line to the first, so that of equal names the topmost stays.
        fields: dict[bytes, bytes] = dict([line.split(b": ", 1) for line in lines[:0:-1]])  # type: ignore[misc]
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
        if not name or low in _USUAL or low in COMPACT or not _TOKEN.issuperset(name):
            return False
        if len(_known) >= MAX_LEARNED_NAMES + len(_USUAL):
            return False
        _known.add(name)
    return True


def parse_fully(payload: bytes) -> Request | Response:
    """Read one message of any spelling; raises RemoteError without a SIP start line.

    Accepted beyond RFC 3261, since servers accept it: leading empty lines, bare LF, blanks around
    the colon, a missing final empty line, several blanks in the start line.
    """
    text = payload.lstrip(b"\r\n \t\0")
    head, body, ended = _cut(text)
    defects: list[str] = [] if ended else ["no_end_of_header"]
    if len(head) > MAX_HEADER_BYTES:
        head = head[:MAX_HEADER_BYTES]
        defects.append("header_too_long")
    start, headers, faults = _split_header(head)
    defects += faults
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _SINGLE and name in fields and fields[name] != value:
            defects.append("duplicate_" + name.decode().lower().replace("-", "_"))
        fields.setdefault(name, value)
    for name in _MANDATORY:
        if not fields.get(name):
            defects.append("no_" + name.decode().lower().replace("-", "_"))
    cseq = _normal_cseq(fields.get(b"CSeq", b""), defects)
    body = _cut_body(fields.get(b"Content-Length"), body, defects)
    values = (
        fields.get(b"Via", b""),
        fields.get(b"From", b""),
        fields.get(b"To", b""),
        fields.get(b"Call-ID", b""),
        cseq,
    )
    return _with_start_line(start, head, fields, body, values, defects)


def _with_start_line(
    start: bytes,
    head: bytes,
    fields: dict[bytes, bytes],
    body: bytes,
    values: tuple[bytes, bytes, bytes, bytes, bytes],
    defects: list[str],
) -> Request | Response:
    # Only blank and tab part words, as in the short way: bytes.split() would take more.
    words = [word for word in start.replace(b"\t", b" ").split(b" ") if word]
    if len(words) >= 2 and words[0].upper() == b"SIP/2.0":
        status = words[1]
        if not (status.isdigit() and len(status) == 3 and 100 <= int(status) <= 699):
            raise RemoteError("bad_status_line", start[:60].decode("latin-1"))
        response = Response(head, fields, body, values, tuple(defects))
        response.status = int(status)
        response.reason = start[7:].lstrip(_BLANK)[3:].lstrip(_BLANK)
        return response
    if len(words) < 2 or not _TOKEN.issuperset(words[0]):
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


def _cut(text: bytes) -> tuple[bytes, bytes, bool]:
    """Header, body and whether an empty line stood between them."""
    crlf, lf = text.find(b"\r\n\r\n"), text.find(b"\n\n")
    mixed = text.find(b"\n\r\n")
    ends = [(at, size) for at, size in ((crlf, 4), (lf, 2), (mixed, 3)) if at >= 0]
    if not ends:
        return text.rstrip(b"\r\n"), b"", False
    at, size = min(ends)
    return text[:at], text[at + size :], True


def _split_header(head: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], list[str]]:
    """Start line, header fields with unfolded values, defects of single lines."""
    lines = head.replace(b"\r\n", b"\n").split(b"\n")
    headers: list[tuple[bytes, bytes]] = []
    defects: list[str] = []
    if len(lines) > MAX_HEADER_LINES:
        del lines[MAX_HEADER_LINES:]
        defects.append("too_many_header_lines")
    for line in lines[1:]:
        if line[:1] in (b" ", b"\t") and headers:
            name, value = headers[-1]
            headers[-1] = (name, (value + b" " + line.strip(_BLANK)).strip(_BLANK))
            continue
        name, colon, value = line.partition(b":")
        name = name.strip(_BLANK)
        if not colon or not name or not _TOKEN.issuperset(name):
            defects.append("bad_header_line")
            continue
        headers.append((usual_name(name), value.strip(_BLANK)))
    return lines[0].strip(_BLANK), headers, defects


def _normal_cseq(value: bytes, defects: list[str]) -> bytes:
    number, _, method = value.partition(b" ")
    words = value.split()
    if len(words) == 2 and words[0].isdigit() and len(words[0]) <= 10:
        number, method = words
    elif value:
        defects.append("bad_cseq")
    return number + b" " + method if value else b""


def _cut_body(length: bytes | None, body: bytes, defects: list[str]) -> bytes:
    if length is None:
        return body
    if not length.isdigit() or len(length) > 8:
        defects.append("bad_content_length")
        return body
    wanted = int(length)
    if wanted > len(body):
        defects.append("body_too_short")
    return body[:wanted]
