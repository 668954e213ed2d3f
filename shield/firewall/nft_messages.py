"""nf_tables netlink messages as bytes: set elements and transactions, nothing opened.

The layout is that of linux/netlink.h, linux/netfilter/nfnetlink.h and nf_tables.h: header and
attribute heads in the machine's byte order, values inside in network byte order. A transaction is
one buffer of BATCH_BEGIN, messages, BATCH_END that the kernel takes as a whole or not at all.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

__all__ = [
    "Message",
    "Reply",
    "attribute",
    "attributes",
    "delete_set",
    "element",
    "element_messages",
    "flush_set",
    "get",
    "parse_elements",
    "replies",
    "transaction",
]

NETLINK_NETFILTER = 12
NFPROTO_INET = 1
SUBSYSTEM = 10  # NFNL_SUBSYS_NFTABLES

ERROR, DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
BATCH_BEGIN, BATCH_END = 0x10, 0x11

GET_TABLE, GET_CHAIN, GET_RULE, GET_SET, DELETE_SET = 1, 4, 7, 10, 11
NEW_ELEMENT, GET_ELEMENT, DELETE_ELEMENT = 12, 13, 14
GET_GENERATION, GET_OBJECT = 16, 19
DESTROY_ELEMENT = 30  # since Linux 6.3: like DELETE, but an absent element is no error

REQUEST, ACK, DUMP, CREATE = 0x1, 0x4, 0x300, 0x400  # NLM_F_*
DUMP_INTERRUPTED = 0x10  # NLM_F_DUMP_INTR: something changed while the kernel was telling

LIST_TABLE, LIST_SET, LIST_ELEMENTS = 1, 2, 3  # NFTA_SET_ELEM_LIST_*
KEY, FLAGS, TIMEOUT, EXPIRATION = 1, 3, 4, 5  # NFTA_SET_ELEM_*
INTERVAL_END = 1  # NFT_SET_ELEM_INTERVAL_END
NESTED = 0x8000  # NLA_F_NESTED
KIND = 0x3FFF  # attribute kind without its flags

LIST_MOST = 60_000
"""Bytes of elements in one message: an attribute's length is 16 bits wide."""

_HEAD = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_FAMILY = struct.Struct(">BBH")  # nfgenmsg: family, version, resource
_ATTRIBUTE = struct.Struct("=HH")
_BODY = _HEAD.size + _FAMILY.size
_END_FLAG = struct.pack("=HH", 8, FLAGS) + struct.pack(">I", INTERVAL_END)


class Message(NamedTuple):
    """One message of a transaction."""

    kind: int
    flags: int
    payload: bytes
    about: str = ""
    """What it changes, for error texts."""


class Reply(NamedTuple):
    """One message from the kernel."""

    kind: int
    """Without the subsystem; ``ERROR`` (0 is an acknowledgement) and ``DONE`` as they are."""
    flags: int
    sequence: int
    error: int
    """errno, for ``ERROR`` and ``DONE``."""
    payload: bytes


class RawElement(NamedTuple):
    """An element as the kernel keeps it."""

    key: bytes
    is_end: bool
    """The first address behind an interval, not a member."""
    remaining: float
    """Seconds, ``inf`` without a timeout."""


def attribute(kind: int, value: bytes) -> bytes:
    """Encode one attribute, padded to 4 bytes."""
    return _ATTRIBUTE.pack(len(value) + 4, kind) + value + bytes(-len(value) % 4)


def text(kind: int, value: str) -> bytes:
    """Encode an attribute that holds a name."""
    return attribute(kind, value.encode() + b"\0")


def element(key: bytes, timeout: float = math.inf, *, end: bool = False) -> bytes:
    """Encode one element of a list; ``timeout`` in seconds, ``inf`` for none."""
    parts = attribute(KEY | NESTED, attribute(1, key))
    if end:
        parts += _END_FLAG
    if timeout != math.inf:
        # At least 1 ms: the kernel reads 0 as no timeout at all.
        parts += attribute(TIMEOUT, max(1, math.ceil(timeout * 1000)).to_bytes(8, "big"))
    return attribute(1 | NESTED, parts)


def element_messages(
    kind: int, table: str, name: str, elements: Iterable[bytes], each: int
) -> Iterator[Message]:
    """Make messages of ``kind`` for ``elements`` of at most ``each`` bytes, as few as fit."""
    head = text(LIST_TABLE, table) + text(LIST_SET, name)
    flags = CREATE if kind == NEW_ELEMENT else 0
    waiting = iter(elements)
    while part := b"".join(itertools.islice(waiting, LIST_MOST // each)):
        yield Message(kind, flags, head + attribute(LIST_ELEMENTS | NESTED, part), f"set {name}")


def flush_set(table: str, name: str) -> Message:
    """Empty a set: a deletion that names no element."""
    return Message(DELETE_ELEMENT, 0, text(LIST_TABLE, table) + text(LIST_SET, name), f"set {name}")


def delete_set(table: str, name: str) -> Message:
    """Remove a set that no rule uses."""
    return Message(DELETE_SET, 0, text(1, table) + text(2, name), f"set {name}")


def encode(kind: int, flags: int, sequence: int, payload: bytes, family: int = NFPROTO_INET) -> bytes:
    """Encode one nf_tables message."""
    head = _HEAD.pack(_BODY + len(payload), SUBSYSTEM << 8 | kind, REQUEST | flags, sequence, 0)
    return head + _FAMILY.pack(family, 0, 0) + payload


def get(kind: int, payload: bytes, sequence: int, *, dump: bool) -> bytes:
    """Encode a question; a dump ends with ``DONE``, anything else with an acknowledgement."""
    return encode(kind, DUMP if dump else ACK, sequence, payload)


def transaction(messages: Sequence[Message], sequence: int) -> bytes:
    """Encode all messages as one transaction; message i has sequence number ``sequence + 1 + i``.

    Only the last asks for an acknowledgement: errors of the others come without asking.
    """
    parts = [_edge(BATCH_BEGIN, sequence)]
    last = len(messages) - 1
    for i, message in enumerate(messages):
        flags = message.flags | ACK if i == last else message.flags
        parts.append(encode(message.kind, flags, sequence + 1 + i, message.payload))
    parts.append(_edge(BATCH_END, sequence + 1 + len(messages)))
    return b"".join(parts)


def _edge(kind: int, sequence: int) -> bytes:
    return _HEAD.pack(_BODY, kind, REQUEST, sequence, 0) + _FAMILY.pack(0, 0, SUBSYSTEM)


def replies(data: bytes) -> Iterator[Reply]:
    """Split one datagram from the kernel into its messages."""
    at = 0
    while at + _HEAD.size <= len(data):
        length, kind, flags, sequence, _ = _HEAD.unpack_from(data, at)
        if length < _HEAD.size or at + length > len(data):
            return
        error = 0
        if kind in (ERROR, DONE) and length >= _HEAD.size + 4:
            error = -struct.unpack_from("=i", data, at + _HEAD.size)[0]
        known = kind if kind < BATCH_BEGIN else kind & 0xFF
        yield Reply(known, flags, sequence, error, data[at + _BODY : at + length])
        at += (length + 3) & ~3


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield kind and value of each attribute in ``data``; stops at the first that is cut off."""
    at = 0
    while at + 4 <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < 4 or at + length > len(data):
            return
        yield kind & KIND, data[at + 4 : at + length]
        at += (length + 3) & ~3


def parse_elements(payload: bytes) -> list[RawElement]:
    """Read the elements in one answer to ``GET_ELEMENT``."""
    listed = dict(attributes(payload)).get(LIST_ELEMENTS, b"")
    return _parse_alike(listed) or [raw for _, item in attributes(listed) if (raw := _parse_one(item))]


def _parse_one(item: bytes) -> RawElement | None:
    fields = dict(attributes(item))
    key = dict(attributes(fields.get(KEY, b""))).get(1)
    if key is None:  # a catch-all element has none
        return None
    is_end = bool(int.from_bytes(fields.get(FLAGS, b""), "big") & INTERVAL_END)
    left = fields.get(EXPIRATION, fields.get(TIMEOUT))
    return RawElement(key, is_end, math.inf if left is None else int.from_bytes(left, "big") / 1000)


def _parse_alike(listed: bytes) -> list[RawElement]:
    """Take the fast way for a host set, whose elements all have key, timeout and expiration; else empty.

    Reading attribute by attribute takes several times as long.
    """
    for size in (4, 16):
        # element head, key head, data head, key, timeout (12), expiration (12)
        shape = struct.Struct(f"=12s{size}s4s8s4s8s")
        if len(listed) % shape.size or not listed:
            continue
        # The kernel's answers leave the NESTED flag out.
        head = struct.pack("=6H", shape.size, 1, size + 8, KEY, size + 4, 1)
        middle, end = struct.pack("=HH", 12, TIMEOUT), struct.pack("=HH", 12, EXPIRATION)
        found = []
        for a, key, b, _timeout, c, left in shape.iter_unpack(listed):
            if a != head or b != middle or c != end:
                break
            found.append(RawElement(key, False, int.from_bytes(left, "big") / 1000))  # noqa: FBT003
        else:
            return found
    return []
