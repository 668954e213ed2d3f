"""shield.sip.names: one spelling for each header name."""

from __future__ import annotations

import pytest

from shield.sip.grammar import COMPACT
from shield.sip.names import USUAL, USUAL_NAMES, usual_name


@pytest.mark.parametrize(
    ("sent", "usual"),
    [
        (b"Via", b"Via"),
        (b"v", b"Via"),
        (b"V", b"Via"),
        (b"call-id", b"Call-ID"),
        (b"I", b"Call-ID"),
        (b"CSEQ", b"CSeq"),
        (b"www-authenticate", b"WWW-Authenticate"),
        (b"X-Odd-Name", b"x-odd-name"),
    ],
)
def test_every_spelling_has_one_name(sent: bytes, usual: bytes) -> None:
    """Compact forms and any case give the RFC's spelling; unknown names lower case."""
    assert usual_name(sent) == usual


def test_every_compact_form_stands_for_a_known_name() -> None:
    """A compact form whose long name is unknown would be kept under two spellings."""
    assert {usual_name(short) for short in COMPACT} <= USUAL_NAMES


def test_no_two_names_differ_in_case_only() -> None:
    """Each known name has its own lower-case key."""
    assert len(USUAL) == len(USUAL_NAMES)
