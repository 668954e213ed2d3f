"""The full way of reading a message: any spelling that RFC 3261 section 7.3.1 or a real server allows.

``read_fully`` gives the parts of a message with what is wrong in them; ``shield.sip.message`` makes a
Request or a Response of these.
"""

from __future__ import annotations

from typing import NamedTuple

from shield.sip.names import MAX_HEADER_BYTES, MAX_HEADER_LINES, TOKEN_BYTES, usual_name

__all__ = ["BLANK", "Parts", "read_fully", "split_header"]

BLANK = b" \t"
_SINGLE = (b"From", b"To", b"Call-ID", b"CSeq", b"Max-Forwards", b"Content-Length")
_MANDATORY = (b"Via", b"From", b"To", b"Call-ID", b"CSeq")


class Parts(NamedTuple):
    """One message, its start line not looked at yet."""

    start: bytes
    head: bytes
    """Start line and header as received, at most MAX_HEADER_BYTES."""
    fields: dict[bytes, bytes]
    """First value of each header field by its usual name."""
    body: bytes
    values: tuple[bytes, bytes, bytes, bytes, bytes]
    """Via, From, To, Call-ID, CSeq; empty when missing."""
    defects: list[str]


def read_fully(payload: bytes) -> Parts:
    """Cut one message of any spelling into its parts; any bytes give some.

    Accepted beyond RFC 3261, since servers accept it: leading empty lines, bare LF, blanks around
    the colon, a missing final empty line, several blanks in the start line.
    """
    text = payload.lstrip(b"\r\n \t\0")
    head, body, ended = _cut(text)
    defects: list[str] = [] if ended else ["no_end_of_header"]
    if len(head) > MAX_HEADER_BYTES:
        head = head[:MAX_HEADER_BYTES]
        defects.append("header_too_long")
    start, headers, faults = split_header(head)
    defects += faults
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _SINGLE and name in fields and fields[name] != value:
            defects.append("duplicate_" + name.decode().lower().replace("-", "_"))
        fields.setdefault(name, value)
    for name in _MANDATORY:
        if not fields.get(name):
            defects.append("no_" + name.decode().lower().replace("-", "_"))
    if not fields.get(b"Call-ID", b"").isascii():
        defects.append("bad_call_id")
    cseq = _normal_cseq(fields.get(b"CSeq", b""), defects)
    body = _cut_body(fields.get(b"Content-Length"), body, defects)
    values = (
        fields.get(b"Via", b""),
        fields.get(b"From", b""),
        fields.get(b"To", b""),
        fields.get(b"Call-ID", b""),
        cseq,
    )
    return Parts(start, head, fields, body, values, defects)


def _cut(text: bytes) -> tuple[bytes, bytes, bool]:
    """Header, body and whether an empty line stood between them."""
    crlf, lf = text.find(b"\r\n\r\n"), text.find(b"\n\n")
    mixed = text.find(b"\n\r\n")
    ends = [(at, size) for at, size in ((crlf, 4), (lf, 2), (mixed, 3)) if at >= 0]
    if not ends:
        return text.rstrip(b"\r\n"), b"", False
    at, size = min(ends)
    return text[:at], text[at + size :], True


def split_header(head: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], list[str]]:
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
            headers[-1] = (name, (value + b" " + line.strip(BLANK)).strip(BLANK))
            continue
        name, colon, value = line.partition(b":")
        name = name.strip(BLANK)
        if not colon or not name or not TOKEN_BYTES.issuperset(name):
            defects.append("bad_header_line")
            continue
        headers.append((usual_name(name), value.strip(BLANK)))
    return lines[0].strip(BLANK), headers, defects


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
