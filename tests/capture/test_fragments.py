"""IP fragments are joined in any order; overlaps, floods and leftovers are bounded and counted."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.capture import fragments
from shield.capture.fragments import Joined, Reassembler
from shield.capture.packet import Fragment
from shield.net import pack

A, B = pack("192.0.2.1"), pack("192.0.2.2")
A6, B6 = pack("2001:db8::1"), pack("2001:db8::2")
BODY = bytes(range(256)) * 8


def piece(
    start: int, stop: int, *, more: bool = True, version: int = 4, ident: int = 1, source: bytes = A,
    body: bytes = BODY, protocol: int = 17,
) -> Fragment:  # fmt: skip
    if version == 6:
        return Fragment(A6, B6, 6, protocol, ident, start, more, body[start:stop])
    return Fragment(source, B, 4, protocol, ident, start, more, body[start:stop])


def cut(body: bytes, at: list[int], version: int = 4) -> list[Fragment]:
    """All pieces of a body, cut at multiples of 8."""
    edges = [0, *sorted({place * 8 for place in at if 0 < place * 8 < len(body)}), len(body)]
    return [
        piece(one, two, more=two < len(body), version=version, body=body) for one, two in pairwise(edges)
    ]


@given(
    st.binary(min_size=9, max_size=700),
    st.lists(st.integers(1, 87), min_size=1, max_size=12),
    st.randoms(use_true_random=False),
    st.sampled_from((4, 6)),
)
def test_any_cut_in_any_order_gives_the_packet(
    body: bytes, at: list[int], random: object, version: int
) -> None:
    """The packet comes out once, with the last piece, whatever the order; repeats change nothing."""
    pieces = cut(body, at, version)
    if len(pieces) < 2:
        return
    random.shuffle(pieces)  # type: ignore[attr-defined]
    errors: Counter[str] = Counter()
    reassembler = Reassembler(errors)
    for fragment in pieces[:-1]:
        assert reassembler.add(1.0, fragment) is None
        assert reassembler.add(1.0, fragment) is None
    joined = reassembler.add(1.0, pieces[-1])
    assert joined == Joined(pieces[0].source, pieces[0].destination, 17, body)
    assert not errors
    assert len(reassembler) == 0


def test_atomic_fragment_is_the_packet() -> None:
    """A fragment header without fragmentation (RFC 6946) passes at once."""
    joined = Reassembler(Counter()).add(1.0, piece(0, 16, more=False, version=6))
    assert joined is not None
    assert joined.body == BODY[:16]


def test_ipv6_protocol_comes_from_the_first_piece() -> None:
    """Later fragments may claim another next header (RFC 8200 section 4.5)."""
    reassembler = Reassembler(Counter())
    reassembler.add(1.0, piece(16, 24, more=False, version=6, protocol=99))
    joined = reassembler.add(1.0, piece(0, 16, version=6, protocol=17))
    assert joined is not None
    assert joined.protocol == 17


@pytest.mark.parametrize("version", [4, 6])
def test_partial_overlap_condemns_the_packet(version: int) -> None:
    """RFC 5722: the packet is dropped with all fragments still to come, and it is counted."""
    errors: Counter[str] = Counter()
    reassembler = Reassembler(errors)
    reassembler.add(1.0, piece(0, 16, version=version))
    reassembler.add(1.0, piece(8, 24, version=version))
    assert errors == {"fragment_overlap": 1}
    for fragment in (piece(0, 16, version=version), piece(16, 24, more=False, version=version)):
        assert reassembler.add(1.0, fragment) is None


def test_ipv4_repeat_with_other_content_does_not_count() -> None:
    """As in Linux the first one stands."""
    reassembler = Reassembler(Counter())
    reassembler.add(1.0, piece(0, 16))
    reassembler.add(1.0, piece(0, 16, body=bytes(2048)))
    joined = reassembler.add(1.0, piece(16, 24, more=False))
    assert joined is not None
    assert joined.body == BODY[:24]


def test_ipv6_repeat_with_other_content_condemns() -> None:
    """For IPv6 only an exact duplicate may be passed over (RFC 8200 section 4.5)."""
    errors: Counter[str] = Counter()
    reassembler = Reassembler(errors)
    reassembler.add(1.0, piece(0, 16, version=6))
    reassembler.add(1.0, piece(0, 16, version=6, body=bytes(2048)))
    assert reassembler.add(1.0, piece(16, 24, more=False, version=6)) is None
    assert errors == {"fragment_overlap": 1}


@pytest.mark.parametrize(
    ("fragment", "reason"),
    [
        (piece(0, 0), "fragment_empty"),
        (piece(0, 13), "fragment_length"),
        (Fragment(A, B, 4, 17, 1, 65528, more=False, data=bytes(100)), "fragment_length"),
    ],
)
def test_impossible_fragments(fragment: Fragment, reason: str) -> None:
    """Empty, oddly long and too far pieces (ping of death) are counted."""
    errors: Counter[str] = Counter()
    assert Reassembler(errors).add(1.0, fragment) is None
    assert errors == {reason: 1}


def test_two_ends_contradict() -> None:
    """A second last piece elsewhere, or data behind the end, condemns the packet."""
    for second in (piece(32, 48, more=False), piece(32, 48)):
        errors: Counter[str] = Counter()
        reassembler = Reassembler(errors)
        reassembler.add(1.0, piece(16, 24, more=False))
        reassembler.add(1.0, second)
        assert errors == {"fragment_conflict": 1}


def test_an_end_before_known_data_contradicts() -> None:
    """The last piece cannot end before what is there already."""
    errors: Counter[str] = Counter()
    reassembler = Reassembler(errors)
    reassembler.add(1.0, piece(16, 32))
    reassembler.add(1.0, piece(8, 16, more=False))
    assert errors == {"fragment_conflict": 1}


def test_unfinished_packets_time_out() -> None:
    """After 30 s of event time a late piece starts anew, and the loss is counted."""
    errors: Counter[str] = Counter()
    reassembler = Reassembler(errors)
    reassembler.add(1.0, piece(0, 16))
    assert reassembler.add(1.0 + fragments.TIMEOUT + 1, piece(16, 24, more=False)) is None
    assert errors == {"fragment_timeout": 1}
    assert len(reassembler) == 1


def test_one_source_cannot_push_out_the_others() -> None:
    """A flood of first pieces from one address keeps only its own share."""
    errors: Counter[str] = Counter()
    reassembler = Reassembler(errors)
    other = pack("192.0.2.99")
    reassembler.add(1.0, piece(0, 16, source=other))
    for ident in range(5000):
        reassembler.add(1.0, piece(0, 16, ident=ident))
    assert len(reassembler) == fragments.MAX_PACKETS_OF_SOURCE + 1
    assert errors["fragment_limit"] == 5000 - fragments.MAX_PACKETS_OF_SOURCE
    assert reassembler.add(1.0, piece(16, 24, more=False, source=other)) is not None


def test_forged_sources_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million sources cost no more than the limits in number and in bytes."""
    reassembler = Reassembler(Counter())
    for number in range(fragments.MAX_PACKETS + 500):
        reassembler.add(1.0, piece(0, 16, source=number.to_bytes(4, "big")))
    assert len(reassembler) == fragments.MAX_PACKETS
    monkeypatch.setattr(fragments, "MAX_BYTES", 1600)
    reassembler.add(1.0, piece(0, 16, source=b"zzzz"))
    assert len(reassembler) == 100


def test_too_many_pieces_condemn_the_packet() -> None:
    """A packet in confetti is refused."""
    errors: Counter[str] = Counter()
    reassembler = Reassembler(errors)
    for number in range(fragments.MAX_PIECES + 1):
        reassembler.add(1.0, piece(number * 8, number * 8 + 8))
    assert errors == {"fragment_limit": 1}
