"""nf_tables messages, byte for byte."""

from __future__ import annotations

import math
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.firewall import nft_messages as nft
from shield.firewall.nft_messages import Message, RawElement

pytestmark = pytest.mark.skipif(sys.byteorder != "little", reason="expected bytes are little-endian")

START, END = False, True
KEY = b"\xc0\x00\x02\x01"


def test_element_bytes() -> None:
    """An element: list item, key, data value, then the timeout in milliseconds."""
    assert nft.element(KEY, 60.0).hex() == (
        "1c000180"  # 28 bytes, NFTA_LIST_ELEM, nested
        "0c000180"  # NFTA_SET_ELEM_KEY, nested
        "08000100c0000201"  # NFTA_DATA_VALUE, 192.0.2.1
        "0c000400000000000000ea60"  # NFTA_SET_ELEM_TIMEOUT, 60,000
    )


def test_interval_end_bytes() -> None:
    """The first address behind an interval carries a flag and no timeout."""
    assert nft.element(KEY, end=True).hex() == "180001800c00018008000100c00002010800030000000001"


def test_timeout_is_never_zero() -> None:
    """The kernel takes 0 as for ever, so a timeout is rounded up to 1 ms."""
    assert nft.element(KEY, 0.0).endswith(b"\x01")
    assert nft.element(KEY, 0.0001).endswith(b"\x01")
    assert nft.element(KEY, math.inf) == nft.element(KEY)


def test_transaction_bytes() -> None:
    """Begin, one message that asks for an acknowledgement, end; numbered one after the other."""
    sent = nft.transaction([nft.flush_set("shield", "allow4")], 7)
    expected = (
        "14000000 1000 0100 07000000 00000000 0000000a"  # NFNL_MSG_BATCH_BEGIN, subsystem 10
        "2c000000 0e0a 0500 08000000 00000000 01000000"  # NFT_MSG_DELSETELEM, inet, ACK
        "0b000100 736869656c640000 0b000200 616c6c6f77340000"  # table, set
        "14000000 1100 0100 09000000 00000000 0000000a"  # NFNL_MSG_BATCH_END
    )
    assert sent == bytes.fromhex(expected)


def test_only_the_last_is_acknowledged() -> None:
    """Of several messages only the last asks for an answer."""
    sent = nft.transaction(
        [Message(nft.NEW_ELEMENT, nft.CREATE, b""), Message(nft.NEW_ELEMENT, 0, b"")], 1
    )
    flags = [reply.flags for reply in nft.replies(sent)]
    assert flags == [1, 1 | nft.CREATE, 1 | nft.ACK, 1]


def test_long_lists_are_cut() -> None:
    """No attribute is longer than its 16-bit length can say, and no element is lost."""
    elements = [nft.element(i.to_bytes(16, "big"), 60.0) for i in range(5000)]
    messages = list(nft.element_messages(nft.NEW_ELEMENT, "shield", "hosts6", elements, 72))
    assert len(messages) > 1
    found = [raw for message in messages for raw in nft.parse_elements(message.payload)]
    assert [int.from_bytes(raw.key, "big") for raw in found] == list(range(5000))


def kernel_element(key: bytes, left: float, *, pad: bool = False) -> bytes:
    """An element as the kernel tells it: with timeout and expiration."""
    parts = nft.attribute(1, nft.attribute(1, key))
    parts += nft.attribute(nft.TIMEOUT, struct.pack(">Q", 60_000))
    parts += nft.attribute(nft.EXPIRATION, struct.pack(">Q", int(left * 1000)))
    return nft.attribute(1, parts + (nft.attribute(8, b"") if pad else b""))


@pytest.mark.parametrize("size", [4, 16])
@pytest.mark.parametrize("pad", [False, True])
def test_both_readers_agree(size: int, pad: bool) -> None:
    """Elements of one shape take the fast reader, others the slow one; both give the same."""
    keys = [i.to_bytes(size, "big") for i in range(1, 40)]
    listed = b"".join(kernel_element(key, i, pad=pad) for i, key in enumerate(keys))
    answer = nft.attribute(nft.LIST_ELEMENTS, listed)
    expected = [RawElement(key, START, float(i)) for i, key in enumerate(keys)]
    assert nft.parse_elements(answer) == expected
    assert bool(nft._parse_alike(listed)) is not pad


def test_answer_of_linux() -> None:
    """Elements as Linux 6.18 told them are read by the fast reader."""
    listed = bytes.fromhex(
        "28000100 0c000100 08000100 c0000201 0c000400 00000000000f4240 0c000500 00000000000f4240"
        "28000100 0c000100 08000100 c0000203 0c000400 00000000000f4254 0c000500 00000000000f4240"
    )
    expected = [RawElement(KEY, START, 1000.0), RawElement(b"\xc0\x00\x02\x03", START, 1000.0)]
    assert nft._parse_alike(listed) == expected


def test_mixed_elements() -> None:
    """Interval ends, elements without a timeout and elements without a key are read as such."""
    listed = nft.element(KEY) + nft.element(KEY, end=True) + nft.attribute(1 | nft.NESTED, b"")
    answer = nft.attribute(nft.LIST_ELEMENTS | nft.NESTED, listed)
    assert nft.parse_elements(answer) == [
        RawElement(KEY, START, math.inf),
        RawElement(KEY, END, math.inf),
    ]


def test_error_reply() -> None:
    """An error names the message by its number and gives the errno."""
    data = struct.pack("=IHHII", 36, nft.ERROR, 0, 9, 0) + struct.pack("=i", -2) + bytes(16)
    [reply] = nft.replies(data)
    assert (reply.kind, reply.sequence, reply.error) == (nft.ERROR, 9, 2)


@given(st.binary(max_size=200))
def test_any_bytes_are_read(data: bytes) -> None:
    """Whatever comes, the readers end without an exception."""
    list(nft.replies(data))
    list(nft.attributes(data))
    nft.parse_elements(nft.attribute(nft.LIST_ELEMENTS | nft.NESTED, data))
