"""Readings of one packet: what each receiver would have of the pieces so far."""

from __future__ import annotations

import pytest

from shield.capture.packet import Fragment
from shield.capture.readings import PIECE_COST, Partial, Reading

ONE, TWO = b"1" * 64, b"2" * 64


def piece(
    start: int, stop: int, body: bytes = ONE, *, more: bool = True, protocol: int = 17
) -> Fragment:
    return Fragment(b"aaaa", b"bbbb", 4, protocol, 1, start, more, body[start:stop])


def read(*pieces: Fragment) -> tuple[Reading, list[str]]:
    reading = Reading()
    return reading, [reading.add(each) for each in pieces]


def test_nothing_comes_out_before_all_is_there() -> None:
    """The end, the first piece and what lies between are all needed."""
    reading, reasons = read(piece(16, 24, more=False), piece(0, 8))
    assert reading.complete() == []
    reading.add(piece(8, 16))
    assert reading.complete() == [(17, ONE[:24])]
    assert reasons == ["", ""]


def test_exact_repeats_cost_nothing() -> None:
    """A repeat within what is known changes neither the body nor the cost."""
    reading, _ = read(piece(0, 16))
    before = reading.cost
    assert reading.add(piece(0, 8)) == reading.add(piece(8, 16)) == reading.add(piece(0, 16)) == ""
    assert reading.cost == before == 16 + PIECE_COST


@pytest.mark.parametrize(
    ("pieces", "reasons"),
    [
        ((piece(0, 16), piece(0, 16, TWO)), ["", "fragment_differs"]),
        ((piece(0, 16), piece(8, 24)), ["", "fragment_overlap"]),
        ((piece(8, 16), piece(0, 24)), ["", "fragment_overlap"]),
        ((piece(8, 16), piece(0, 8), piece(0, 16)), ["", "", "fragment_overlap"]),
        ((piece(0, 8), piece(8, 16), piece(0, 16)), ["", "", ""]),
        ((piece(0, 16), piece(0, 8, more=False)), ["", "fragment_conflict"]),
        ((piece(0, 16, more=False), piece(16, 24)), ["", "fragment_conflict"]),
        ((piece(0, 16, more=False), piece(16, 24, more=False)), ["", "fragment_conflict"]),
    ],
)
def test_contradictions_have_names(pieces: tuple[Fragment, ...], reasons: list[str]) -> None:
    """Overlap is what makes Linux drop the packet: also a copy over two runs, but not over one."""
    assert read(*pieces)[1] == reasons


def test_first_and_last_copies_are_two_readings() -> None:
    """Gaps are filled from whatever brings them."""
    reading, _ = read(piece(8, 16), piece(0, 24, TWO), piece(24, 32, more=False))
    assert reading.complete() == [
        (17, TWO[:8] + ONE[8:16] + TWO[16:24] + ONE[24:32]),
        (17, TWO[:24] + ONE[24:32]),
    ]


def test_forgotten_copies_leave_the_first_ones() -> None:
    """The cost of later copies is given back."""
    reading, _ = read(piece(0, 16), piece(0, 16, TWO), piece(16, 24, more=False))
    reading.forget_late()
    assert reading.cost == 24 + 2 * PIECE_COST
    assert reading.complete() == [(17, ONE[:24])]


def test_a_new_beginning_is_kept_beside_all() -> None:
    """After an overlap what follows is read with and without what came before; equal readings once."""
    partial = Partial()
    for each in (piece(0, 16, TWO), piece(8, 24, TWO), piece(0, 16), piece(16, 24, more=False)):
        partial.add(each)
    assert partial.complete() == [(17, TWO[:24]), (17, ONE[:24])]
    assert partial.anew is not None
    assert partial.cost == partial.all.cost + partial.anew.cost
