"""IP fragments are joined in any order; overlaps, floods and leftovers are bounded and counted."""

from __future__ import annotations

import struct
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.capture import fragments
from shield.capture.fragments import Joined, Reassembler
from shield.capture.packet import Fragment
from shield.capture.readings import PIECE_COST
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
        assert not reassembler.add(1.0, fragment)
        assert not reassembler.add(1.0, fragment)
    (joined,) = reassembler.add(1.0, pieces[-1])
    assert joined == Joined(pieces[0].source, pieces[0].destination, 17, body)
    assert not errors
    assert len(reassembler) == 0


def test_atomic_fragment_is_the_packet() -> None:
    """A fragment header without fragmentation (RFC 6946) passes at once."""
    (joined,) = Reassembler(Counter()).add(1.0, piece(0, 16, more=False, version=6))
    assert joined.body == BODY[:16]


def test_ipv6_protocol_comes_from_the_first_piece() -> None:
    """Later fragments may claim another next header (RFC 8200 section 4.5)."""
    reassembler = Reassembler(Counter())
    reassembler.add(1.0, piece(16, 24, more=False, version=6, protocol=99))
    (joined,) = reassembler.add(1.0, piece(0, 16, version=6, protocol=17))
    assert joined.protocol == 17


def bodies(reassembler: Reassembler, *fragments: Fragment) -> list[bytes]:
    """All that comes out."""
    return [joined.body for each in fragments for joined in reassembler.add(1.0, each)]


OTHER = bytes(range(255, -1, -1)) * 8


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("decoy_first", [True, False])
def test_a_repeat_that_says_something_else_gives_both(version: int, decoy_first: bool) -> None:
    """Some receivers keep the first copy and some the last: neither hides, and it is counted."""
    errors: Counter[str] = Counter()
    one, two = (OTHER, BODY) if decoy_first else (BODY, OTHER)
    out = bodies(
        Reassembler(errors),
        piece(0, 16, version=version, body=one),
        piece(0, 16, version=version, body=two),
        piece(16, 24, more=False, version=version),
    )
    assert out == [one[:16] + BODY[16:24], two[:16] + BODY[16:24]]
    assert errors == {"fragment_differs": 1}


@pytest.mark.parametrize("version", [4, 6])
def test_partial_overlap_gives_both_readings(version: int) -> None:
    """The packet is not condemned, as RFC 5722 asks: a receiver that keeps it must not be alone."""
    errors: Counter[str] = Counter()
    out = bodies(
        Reassembler(errors),
        piece(0, 16, version=version),
        piece(8, 24, version=version, body=OTHER),
        piece(24, 32, more=False, version=version),
    )
    assert out == [BODY[:16] + OTHER[16:24] + BODY[24:32], BODY[:8] + OTHER[8:24] + BODY[24:32]]
    assert errors == {"fragment_overlap": 1}


@pytest.mark.parametrize("version", [4, 6])
def test_what_linux_joins_after_an_overlap_is_seen(version: int) -> None:
    """Linux drops the pieces so far, and the offending one, and begins anew with the next."""
    errors: Counter[str] = Counter()
    out = bodies(
        Reassembler(errors),
        piece(0, 16, version=version, body=OTHER),
        piece(8, 24, version=version, body=OTHER),
        piece(0, 16, version=version),
        piece(0, 16, version=version, body=OTHER),
        piece(16, 32, more=False, version=version),
    )
    assert BODY[:32] in out
    assert errors == {"fragment_overlap": 2, "fragment_differs": 1}


def test_what_linux_waits_for_survives_another_reading() -> None:
    """When the packet is complete to others, its new beginning in Linux is still completed."""
    reassembler = Reassembler(Counter())
    out = bodies(
        reassembler, piece(0, 16, body=OTHER), piece(8, 24, body=OTHER), piece(24, 32, more=False)
    )
    assert len(out) == 1
    assert bodies(reassembler, piece(0, 24)) == [BODY[:32]]
    assert len(reassembler) == 0


def test_a_repeat_over_two_runs_is_an_overlap_to_linux() -> None:
    """Pieces that did not arrive in order are runs of their own; it begins anew after a copy of both."""
    errors: Counter[str] = Counter()
    out = bodies(
        Reassembler(errors),
        piece(8, 16, body=OTHER),
        piece(0, 8, body=OTHER),
        piece(0, 16, body=OTHER),
        piece(0, 16),
        piece(0, 16, body=OTHER),
        piece(16, 24, more=False),
    )
    assert BODY[:24] in out


def test_an_overlap_within_one_run_changes_nothing() -> None:
    """Pieces that came in order are one run, so Linux passes over a copy that spans them."""
    errors: Counter[str] = Counter()
    out = bodies(Reassembler(errors), piece(0, 8), piece(8, 16), piece(0, 16), piece(16, 24, more=False))
    assert out == [BODY[:24]]
    assert not errors


def test_a_protocol_that_changes_with_the_copy_hides_nothing() -> None:
    """In IPv6 the first fragment names the protocol, and a second first fragment another one."""
    reassembler = Reassembler(Counter())
    reassembler.add(1.0, piece(0, 16, version=6, protocol=59))
    reassembler.add(1.0, piece(0, 16, version=6, protocol=17))
    joined = reassembler.add(1.0, piece(16, 24, more=False, version=6))
    assert [each.protocol for each in joined] == [59, 17]


@pytest.mark.parametrize("sound_first", [True, False])
def test_a_right_checksum_decides_between_readings(sound_first: bool) -> None:
    """What a receiver drops is not judged: leftovers of an earlier packet with the same number."""
    real = datagram(b"OPTIONS sip:a SIP/2.0\r\n\r\n" * 3)
    junk = real[:8] + bytes(len(real) - 8)
    one, two = (real, junk) if sound_first else (junk, real)
    out = bodies(
        Reassembler(Counter()),
        piece(0, 64, body=one),
        piece(0, 64, body=two),
        piece(64, len(real), more=False, body=real),
    )
    assert out == [real]


def datagram(payload: bytes) -> bytes:
    """A UDP datagram with its checksum."""
    head = struct.pack("!HHH", 5062, 5060, 8 + len(payload))
    summed = A + B + b"\0\x11" + head[4:] + head + payload + bytes(len(payload) % 2)
    return head + struct.pack("!H", 0xFFFF - int.from_bytes(summed, "big") % 0xFFFF) + payload


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
    assert not Reassembler(errors).add(1.0, fragment)
    assert errors == {reason: 1}


def test_two_ends_contradict() -> None:
    """A second last piece elsewhere, or data behind the end, is counted, and the packet begins anew."""
    for second in (piece(32, 48, more=False), piece(32, 48)):
        errors: Counter[str] = Counter()
        reassembler = Reassembler(errors)
        reassembler.add(1.0, piece(16, 24, more=False))
        reassembler.add(1.0, second)
        assert errors == {"fragment_conflict": 1}
        assert bodies(reassembler, piece(0, 16), piece(16, 40, more=False))[-1] == BODY[:40]


def test_an_end_before_known_data_contradicts() -> None:
    """The last piece cannot end before what is there already."""
    errors: Counter[str] = Counter()
    reassembler = Reassembler(errors)
    reassembler.add(1.0, piece(16, 32))
    reassembler.add(1.0, piece(8, 16, more=False))
    assert errors == {"fragment_conflict": 1}


def test_unfinished_packets_time_out() -> None:
    """A minute after its last fragment a packet is forgotten, and the loss is counted."""
    errors: Counter[str] = Counter()
    reassembler = Reassembler(errors)
    reassembler.add(1.0, piece(0, 16))
    assert not reassembler.add(1.0 + fragments.TIMEOUT + 1, piece(16, 24, more=False))
    assert errors == {"fragment_timeout": 1}
    assert len(reassembler) == 1


def test_each_fragment_keeps_the_others() -> None:
    """A receiver that began later than shield still waits for its pieces, so shield has them too."""
    reassembler = Reassembler(Counter())
    reassembler.add(1.0, piece(0, 16))
    reassembler.add(1.0 + fragments.TIMEOUT * 0.9, piece(0, 16))
    assert reassembler.add(1.0 + fragments.TIMEOUT * 1.5, piece(16, 24, more=False))


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
    assert reassembler.add(1.0, piece(16, 24, more=False, source=other))


def test_forged_sources_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million sources cost no more than the limits in number and in bytes."""
    reassembler = Reassembler(Counter())
    for number in range(fragments.MAX_PACKETS + 500):
        reassembler.add(1.0, piece(0, 16, source=number.to_bytes(4, "big")))
    assert len(reassembler) == fragments.MAX_PACKETS
    monkeypatch.setattr(fragments, "MAX_BYTES", 100 * (16 + PIECE_COST))
    reassembler.add(1.0, piece(0, 16, source=b"zzzz"))
    assert len(reassembler) == 100


def test_confetti_is_joined() -> None:
    """The smallest pieces there are hide no message, in whatever order, however long it is."""
    body = bytes(65000)
    pieces = cut(body, list(range(1, 8125)))
    errors: Counter[str] = Counter()
    out = bodies(Reassembler(errors), *pieces[::2], *pieces[1::2])
    assert out == [body]
    assert not errors


def test_a_flood_of_copies_costs_only_the_copies() -> None:
    """Beyond a limit later copies are forgotten, and the first ones stay."""
    errors: Counter[str] = Counter()
    reassembler = Reassembler(errors)
    reassembler.add(1.0, piece(0, 16))
    for number in range(1, 10_000):
        reassembler.add(1.0, piece(0, 16, body=number.to_bytes(8, "big") * 2))
    assert errors["fragment_limit"] == 1
    assert BODY[:24] in bodies(reassembler, piece(16, 24, more=False))
    assert len(reassembler) == 0


def test_a_packet_that_costs_too_much_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """When there are no copies to forget, the packet itself goes."""
    monkeypatch.setattr(fragments, "MAX_COST", 1000)
    errors: Counter[str] = Counter()
    reassembler = Reassembler(errors)
    for number in range(25):
        reassembler.add(1.0, piece(number * 8, number * 8 + 8))
    assert errors["fragment_limit"] == 2
    assert len(reassembler) == 1


@given(st.data())
def test_any_pieces_are_accounted_for(data: st.DataObject) -> None:
    """Whatever comes, the cost that is counted is the cost of what is held, and nothing is left over."""
    errors: Counter[str] = Counter()
    reassembler = Reassembler(errors)
    for _ in range(data.draw(st.integers(1, 25))):
        start = data.draw(st.integers(0, 6)) * 8
        end = start + data.draw(st.integers(1, 4)) * 8
        body = data.draw(st.sampled_from((BODY, OTHER)))
        reassembler.add(1.0, piece(start, end, more=data.draw(st.integers(0, 3)) > 0, body=body))
        held = list(reassembler._partials.values())
        assert reassembler._bytes == sum(each.cost for each in held)
        for reading in (one for each in held for one in (each.all, each.anew) if one is not None):
            assert reading.size == sum(len(part) for _, part, _ in reading.pieces)
            edges = [(at, at + len(part)) for at, part, _ in reading.pieces]
            assert all(one[1] <= two[0] for one, two in pairwise(edges))
    reassembler.add(1000.0, piece(0, 16, ident=9))
    assert len(reassembler) == 1
    assert len(reassembler._of_source) == 1
