"""The full way of reading a message: any spelling that RFC 3261 section 7.3.1 or a real server allows.

``read_fully`` gives the parts of a message with what is wrong in them; ``shield.sip.message`` makes a
Request or a Response of these.
"""

from __future__ import annotations

from typing import NamedTuple

from shield.sip.names import MAX_HEADER_BYTES, MAX_HEADER_LINES, TOKEN_BYTES, usual_name

__all__ = ["BLANK", "Parts", "read_fully", "split_header"]

BLANK = b" \t"
MAX_REMEMBERED = 4_096
"""Spellings of names whose meaning is remembered; working it out costs ten times a look-up."""
MAX_NAME = 64
"""Longer ones are not remembered."""
_SINGLE = frozenset((b"From", b"To", b"Call-ID", b"CSeq", b"Max-Forwards", b"Content-Length"))
_MANDATORY = (b"Via", b"From", b"To", b"Call-ID", b"CSeq")


class Parts(NamedTuple):
    """One message, its start line not looked at yet."""

    start: bytes
    head: bytes
    """Start line and header as received, at most MAX_HEADER_BYTES."""
    fields: dict[bytes, bytes]
    """First value of each header field by its usual name."""
    body: bytes
    via: bytes
    """Topmost Via; empty when missing."""
    more_vias: bool
    """There are several lines of Via."""
    cseq: bytes
    """``number SP method``; empty when missing."""
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
    more_vias = False
    for name, value in headers:
        if name not in fields:
            fields[name] = value
        elif name == b"Via":
            more_vias = True
        elif name in _SINGLE and fields[name] != value:
            defects.append("duplicate_" + name.decode().lower().replace("-", "_"))
    for name in _MANDATORY:
        if not fields.get(name):
            defects.append("no_" + name.decode().lower().replace("-", "_"))
    if not fields.get(b"Call-ID", b"").isascii():
        defects.append("bad_call_id")
    cseq = _normal_cseq(fields.get(b"CSeq", b""), defects)
    body = _cut_body(fields.get(b"Content-Length"), body, defects)
    return Parts(start, head, fields, body, fields.get(b"Via", b""), more_vias, cseq, defects)


def _cut(text: bytes) -> tuple[bytes, bytes, bool]:
    """Header, body and whether an empty line stood between them."""
    mixed = text.find(b"\n\r\n")
    lf = text.find(b"\n\n", 0, mixed + 1 if mixed >= 0 else len(text))
    if lf >= 0:
        return text[:lf], text[lf + 2 :], True
    if mixed < 0:
        return text.rstrip(b"\r\n"), b"", False
    crlf = mixed > 0 and text[mixed - 1] == 13
    return text[: mixed - crlf], text[mixed + 3 :], True


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
        text, colon, value = line.partition(b":")
        name = _names.get(text) or _learn(text)
        if not colon or not name:
            defects.append("bad_header_line")
            continue
        headers.append((name, value.strip(BLANK)))
    return lines[0].strip(BLANK), headers, defects


_names: dict[bytes, bytes] = {}
"""What stood before a colon, and the name that it means."""


def _learn(text: bytes) -> bytes:
    """The name that stands before a colon, blanks around it; empty when it is none."""
    name = text.strip(BLANK)
    if not name or not TOKEN_BYTES.issuperset(name):
        return b""
    name = usual_name(name)
    if len(_names) >= MAX_REMEMBERED:
        _names.clear()  # an attacker made them up
    if len(text) <= MAX_NAME:
        _names[text] = name
    return name


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
