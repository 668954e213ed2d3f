"""The usual spelling of a message as one expression: what the short way of ``shield.sip.message`` reads.

Usual means: canonical header names and ``Name: value`` in any order, CRLF, no folding, no blank too
many, each field once that may stand only once, nothing missing. The expression checks all of it while
it picks out the fields that are needed of every message, so a message that matches has no defects but
those of its body's length. Whatever does not match is read by ``shield.sip.full``, which knows every
spelling. Building objects for all header lines costs three times as much as this expression.

All repetitions are possessive and no two alternatives begin alike for more than a name, so a message
is walked over once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

from shield.sip.grammar import COMPACT
from shield.sip.headers import BEFORE_BRANCH, BEFORE_TAG, WORD
from shield.sip.names import MAX_HEADER_LINES, METHODS, USUAL_NAMES

__all__ = ["GROUPS", "match_usual"]

# A value without blanks at its ends and without control characters; one range is walked over twice as
# fast as a set of bytes. Only blank, tab and line ends mean something to the full parser, so a value
# with another control character takes the full way in vain.
_MORE = rb"[ -\xff]*+(?<! )"
_VALUE = rb"[!-\xff]" + _MORE
_TOKEN = rb"[A-Za-z0-9\-.!%*_+`'~]++"

_START = (
    rb"(?:(?P<method>" + b"|".join(sorted(METHODS)) + rb") (?P<uri>[!-\xff]++) SIP/2\.0"
    rb"|SIP/2\.0 (?P<status>[1-6][0-9][0-9]) (?P<reason>" + _VALUE + rb"))"
)
# Behind a group nothing of its alternative may fail: ``re`` would keep the group. So what is unusual
# behind a branch or a tag is noted as another group.
_VIA = (
    rb"(?P<via>"
    + BEFORE_BRANCH
    + rb"(?P<branch>"
    + WORD
    + rb")(?:(?=[;,\r])|(?P<unsure>))"
    + _MORE
    + rb"|"
    + _VALUE
    + rb")"
)
_FROM = (
    rb"(?P<from>(?!\s)"
    + BEFORE_TAG
    + rb"(?P<tag>"
    + WORD
    + rb")(?:(?=\r)|(?P<doubtful>))"
    + _MORE
    + rb"|"
    + _VALUE
    + rb")"
)
_CALL_ID = rb"(?P<call_id>[!-~][ -~]*+(?<! ))"
_CSEQ = rb"(?P<cseq>[0-9]{1,10} (?(method)(?P=method)|[A-Z]++)(?=\r))"
_SPECIAL = frozenset((b"Via", b"From", b"To", b"Call-ID", b"CSeq", b"Content-Length", b"Max-Forwards"))


def _once(group: bytes, value: bytes) -> bytes:
    """A value that may stand only once: a second line of the name does not match."""
    return b"(?(%s)(?!)|%s)" % (group, value)


def _first(group: bytes) -> bytes:
    """The value of the first line of a name."""
    return b"(?(%s)%s|(?P<%s>%s))" % (group, _VALUE, group, _VALUE)


def _any_of(names: Iterable[bytes]) -> bytes:
    """One of the names; those with one first letter together, so that most are never tried."""
    return b"|".join(
        b"%c(?:%s)" % (letter, b"|".join(name[1:] for name in group))
        for letter, group in groupby(sorted(names), lambda name: name[0])
    )


_LINES = (
    rb"Via: " + b"(?(via)(?P<vias>)" + _VALUE + b"|" + _VIA + b")",
    rb"From: " + _once(b"from", _FROM),
    rb"To: " + _once(b"to", rb"(?P<to>" + _VALUE + b")"),
    rb"Call-ID: " + _once(b"call_id", _CALL_ID),
    rb"CSeq: " + _once(b"cseq", _CSEQ),
    rb"Content-Length: " + _once(b"length", rb"(?P<length>[0-9]{1,7})"),
    rb"Max-Forwards: " + _once(b"hops", rb"(?P<hops>)" + _VALUE),
    rb"User-Agent: " + _first(b"agent"),
    rb"Allow: " + _first(b"allow"),
    rb"(?(method)(?:Proxy-)?Authorization|(?:WWW|Proxy)-Authenticate): "
    rb"(?(auth)(?P<auths>)" + _VALUE + rb"|(?P<auth>" + _VALUE + rb"))",
    rb"(?:" + _any_of(USUAL_NAMES - _SPECIAL) + rb"): " + _VALUE,
    # A name that no RFC knows, and that is no known one in an odd spelling.
    rb"(?!(?i:" + _any_of((*USUAL_NAMES, *COMPACT)) + rb"):)" + _TOKEN + rb": " + _VALUE,
)
_END = rb"\r\n\r\n" + b"".join(
    b"(?(%s)|(?!))" % group for group in (b"via", b"from", b"to", b"call_id", b"cseq")
)


def _numbered(text: bytes) -> re.Pattern[bytes]:
    """Compile; ``(?(name)`` may stand before its group here, which ``re`` allows for numbers only."""
    names = re.findall(rb"\(\?P<(\w+)>", text)
    text = re.sub(rb"\(\?\(([a-z_]+)\)", lambda found: b"(?(%d)" % (names.index(found[1]) + 1), text)
    return re.compile(text)


_message = _numbered(
    _START + rb"(?:\r\n(?:" + b"|".join(_LINES) + rb")){1,%d}+" % (MAX_HEADER_LINES - 1) + _END
)
match_usual = _message.match
"""Matches a message up to its body; the groups come in the order in which they stand above."""
GROUPS = _message.groupindex
"""Name of a group to its number, by which it is found sooner."""
