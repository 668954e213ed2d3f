"""shield.cdr.report: what is packed is read again; anything else is an error."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.cdr.report import MAX_REPORT, Kind, Report, call_key, pack_report, read_report
from shield.errors import RemoteError
from shield.wire import pack_value
from tests.cdr.calls import stop

TEXTS = st.binary(max_size=200)
TIMES = st.floats(0, 1e10, allow_nan=False)


@given(
    st.builds(
        Report, st.sampled_from(Kind), TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS,
        TIMES, TIMES, TIMES, TIMES, st.integers(0, 999), st.booleans(),
    )
)  # fmt: skip
def test_a_report_comes_out_as_it_went_in(report: Report) -> None:
    """Any octets in any text."""
    assert read_report(pack_report(report)) == report


def test_long_texts_are_cut() -> None:
    """A report stays small whatever a header field holds."""
    long = stop()._replace(caller=b"x" * 9999, call_id=b"y" * 9999)
    packed = pack_report(long)
    assert len(packed) < MAX_REPORT
    assert len(read_report(packed).caller) == 256


def test_a_key_needs_both_call_id_and_tag() -> None:
    """And tells where one ends."""
    assert call_key(b"ab", b"c") != call_key(b"a", b"bc")
    assert stop(1).key == stop(1).key != stop(2).key


@pytest.mark.parametrize(
    "value",
    [7, (), (1, b"c"), (9, *stop()[1:]), (1, "text", *stop()[2:]), (*stop()[:13], 1000, False),
     (*stop()[:9], -1.0, *stop()[10:]), (*stop()[:9], float("nan"), *stop()[10:])],
)  # fmt: skip
def test_what_is_no_report_is_refused(value: object) -> None:
    """One error, whatever it is."""
    with pytest.raises(RemoteError):
        read_report(pack_value(value))
    with pytest.raises(RemoteError):
        read_report(b"x" * (MAX_REPORT + 1))
