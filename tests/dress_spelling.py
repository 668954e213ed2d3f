"""Dresses: how a message can be spelled, all of them read alike by servers."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["SPELLINGS"]

Spelling = Callable[[bytes], bytes]
_COMPACT = {
    b"via": b"v", b"from": b"f", b"to": b"t", b"call-id": b"i", b"contact": b"m", b"supported": b"k",
    b"content-length": b"l", b"content-type": b"c", b"subject": b"s",
}  # fmt: skip
_LISTS = {b"via", b"route", b"record-route", b"contact", b"allow", b"supported"}


def _lines(change: Callable[[bytes, bytes], bytes], message: bytes) -> bytes:
    """Change each header line, given its name and value."""
    head, blank, body = message.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    changed = [change(*line.split(b":", 1)) if b":" in line else line for line in lines]  # type: ignore[arg-type]
    return b"\r\n".join((first, *changed)) + blank + body


def _odd_case(name: bytes, value: bytes) -> bytes:
    odd = (chr(byte).upper() if at % 2 else chr(byte).lower() for at, byte in enumerate(name))
    return "".join(odd).encode() + b":" + value


def _folded(name: bytes, value: bytes) -> bytes:
    # A folded CSeq is not answered by Kamailio, and so of no use to an attacker.
    return name + b":" + (b"" if name.strip().lower() == b"cseq" else b"\r\n ") + value


def _line_feeds(message: bytes) -> bytes:
    head, blank, body = message.partition(b"\r\n\r\n")
    return head.replace(b"\r\n", b"\n") + blank.replace(b"\r", b"") + body


def _one_line_each(message: bytes) -> bytes:
    """Header fields that may be lists (RFC 3261 section 7.3.1) in one line."""
    head, blank, body = message.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    seen: dict[bytes, int] = {}
    out: list[bytes] = []
    for line in lines:
        name = line.partition(b":")[0].strip().lower()
        if name in _LISTS and name in seen:
            out[seen[name]] += b"," + line.partition(b":")[2]
        else:
            seen[name] = len(out)
            out.append(line)
    return b"\r\n".join((first, *out)) + blank + body


def _twice(name: bytes, value: bytes) -> bytes:
    """A second value of what may stand only once, before the first: which one counts differs."""
    line = name + b":" + value
    if name.lower() == b"user-agent":
        return b"User-Agent: Linphone/5.1\r\n" + line
    if name.lower() in {b"authorization", b"proxy-authorization"}:
        return name + b": Basic eDp5\r\n" + line
    return line


SPELLINGS: dict[str, Spelling] = {
    "twice": lambda message: _lines(_twice, message),
    "case": lambda message: _lines(_odd_case, message),
    "compact": lambda message: _lines(
        lambda name, value: _COMPACT.get(name.lower(), name) + b":" + value, message
    ),
    "lists": _one_line_each,
    "blanks": lambda message: _lines(lambda name, value: name + b" \t:" + b"  " + value, message),
    "no-blanks": lambda message: _lines(lambda name, value: name + b":" + value.strip(), message),
    "folded": lambda message: _lines(_folded, message),
    "line-feeds": _line_feeds,
    "leading-empty-lines": lambda message: b"\r\n\r\n\r\n" + message,
}
"""In the order in which they can be put over each other."""
