"""shield.detect.pooling_messages: what is packed is read again, as old as it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shield.detect.pooling_messages import key_mark, octets, pack_tally, read_clients, read_rules
from shield.detect.tallies import MAX_THINGS, Aim, OwnTally, Part, Thing
from shield.wire import pack_value, unpack_value

HASHES = st.integers(-(1 << 63), (1 << 63) - 1)
THINGS = st.lists(
    st.builds(Thing, HASHES, st.integers(0, 50_000).map(float), st.booleans()),
    max_size=MAX_THINGS,
    unique_by=lambda thing: thing.key,
)


@given(HASHES, HASHES, THINGS, st.lists(HASHES, max_size=MAX_THINGS))
def test_a_tally_comes_out_as_it_went_in(
    target: int, server: int, found: list[Thing], gone: list[int]
) -> None:
    """Times are ages on the way, so that clocks need not agree."""
    tally, part = OwnTally(), Part(b"\xc0\x00\x02\x01", server)
    tally.untold, tally.gone = found, gone
    packed = unpack_value(
        pack_value((("r", (pack_tally(Aim("r", target, b""), part, tally, 50_000.0),)),))
    )
    (told,) = read_rules(packed, 60_000.0)
    assert (told.rule, told.target, told.part, told.gone) == ("r", target, part, gone)
    later = [Thing(key, time + 10_000.0, proven) for key, time, proven in found]
    assert sorted(told.things) == sorted(later)
    assert len(pack_value(packed)) <= octets(len(found), len(gone)) + 20


def test_what_comes_from_the_future_is_as_old_as_now() -> None:
    """A packet's time stamp may be a moment ahead of the clock."""
    tally = OwnTally()
    tally.untold = [Thing(1, 100.5, proven=False)]
    packed = (("r", (pack_tally(Aim("r", 0, b""), Part(b"abcd", 0), tally, 100.0),)),)
    assert next(read_rules(packed, 200.0)).things == [Thing(1, 200.0, proven=False)]


def test_addresses_are_read_in_both_lengths() -> None:
    """IPv4 and IPv6."""
    clients = (b"\xc0\x00\x02\x01", b"\x20\x01" + bytes(14))
    assert read_clients(clients) == clients


def test_a_mark_tells_secrets_apart() -> None:
    """And is short."""
    assert key_mark(b"a" * 16) != key_mark(b"b" * 16)
    assert len(key_mark(b"a" * 16)) == 4
