"""shield.sip.full: the parts of a message of any spelling (more in test_message)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.sip.full import read_fully, split_header
from shield.sip.names import MAX_HEADER_BYTES, MAX_HEADER_LINES


def test_compact_folded_and_odd_case_names_are_one_header() -> None:
    """RFC 3261 section 7.3.1: case, compact forms, folding and blanks before the colon do not matter."""
    parts = read_fully(b"OPTIONS sip:a SIP/2.0\nv : SIP/2.0/UDP h\n ;branch=b\nCALL-ID:x\n\nbody")
    assert parts.fields == {b"Via": b"SIP/2.0/UDP h ;branch=b", b"Call-ID": b"x"}
    assert (parts.via, parts.more_vias, parts.cseq) == (b"SIP/2.0/UDP h ;branch=b", False, b"")
    assert parts.body == b"body"


def test_what_is_missing_or_doubled_is_named() -> None:
    """Each fault is a short name that can be counted."""
    parts = read_fully(b"X y SIP/2.0\r\nFrom: a\r\nFrom: b\r\nno colon\r\nCSeq: z\r\nContent-Length: -1")
    assert set(parts.defects) == {
        "no_end_of_header",
        "duplicate_from",
        "bad_header_line",
        "bad_cseq",
        "bad_content_length",
        "no_via",
        "no_to",
        "no_call_id",
    }
    assert parts.fields[b"From"] == b"a"


@pytest.mark.parametrize(
    ("length", "body", "defects"),
    [(b"2", b"bo", []), (b"9", b"body", ["body_too_short"]), (b"x", b"body", ["bad_content_length"])],
)
def test_the_body_is_cut_to_its_length(length: bytes, body: bytes, defects: list[str]) -> None:
    """What follows the stated length is no part of the message; a wrong length is a defect."""
    head = b"A b SIP/2.0\nv: 1\nf: 2\nt: 3\ni: 4\nCSeq:  7   A\nl: " + length
    parts = read_fully(head + b"\n\nbody")
    assert (parts.body, parts.defects) == (body, defects)
    assert parts.cseq == b"7 A"


def test_long_headers_are_cut() -> None:
    """Bytes and lines beyond the limits are left out and said to be."""
    parts = read_fully(b"A b SIP/2.0\r\nSubject: " + b"x" * MAX_HEADER_BYTES + b"\r\n\r\n")
    assert len(parts.head) == MAX_HEADER_BYTES
    assert "header_too_long" in parts.defects
    _, headers, defects = split_header(b"A b SIP/2.0" + b"\nm: x" * (MAX_HEADER_LINES + 5))
    assert len(headers) == MAX_HEADER_LINES - 1
    assert defects == ["too_many_header_lines"]


@given(st.binary(max_size=300))
def test_any_bytes_have_parts(payload: bytes) -> None:
    """Nothing from the network raises here, and nothing is invented."""
    parts = read_fully(payload)
    assert parts.head in payload
    assert parts.body in payload
