"""Methods, header names and limits that both ways of reading a message share.

Header fields are kept under one spelling each: the usual one for known names, lower case for others.
"""

from __future__ import annotations

from shield.sip.grammar import COMPACT

__all__ = [
    "MAX_HEADER_BYTES",
    "MAX_HEADER_LINES",
    "METHODS",
    "TOKEN_BYTES",
    "USUAL",
    "USUAL_NAMES",
    "usual_name",
]

MAX_HEADER_BYTES = 16_384
"""A header longer than this is cut: Kamailio and Asterisk refuse such messages over UDP."""
MAX_HEADER_LINES = 256
"""RFC 3261 has no limit; real messages stay below 60."""

METHODS = frozenset(
    b"INVITE ACK BYE CANCEL OPTIONS REGISTER PRACK SUBSCRIBE NOTIFY PUBLISH"
    b" INFO REFER MESSAGE UPDATE".split()
)
"""RFC 3261 and its extensions (3262, 3311, 3428, 3515, 3903, 6086, 6665)."""

USUAL_NAMES = frozenset(
    (
        b"Via From To Call-ID CSeq Contact Max-Forwards Content-Length Content-Type User-Agent Server"
        b" Allow Supported Require Proxy-Require Expires Min-Expires Authorization Proxy-Authorization"
        b" WWW-Authenticate Proxy-Authenticate Authentication-Info Route Record-Route Accept"
        b" Accept-Encoding Accept-Language Alert-Info Call-Info Date Error-Info In-Reply-To MIME-Version"
        b" Organization Priority Reply-To Retry-After Subject Timestamp Unsupported Warning"
        b" Content-Disposition Content-Encoding Content-Language Event Allow-Events Subscription-State"
        b" Refer-To Referred-By Replaces Session-Expires Min-SE RAck RSeq Path Service-Route"
        b" P-Asserted-Identity P-Preferred-Identity Privacy Diversion Reason Identity Identity-Info"
        b" Accept-Contact Reject-Contact Request-Disposition SIP-ETag SIP-If-Match Join"
    ).split()
)
"""Known names as RFCs spell them."""
USUAL: dict[bytes, bytes] = {name.lower(): name for name in USUAL_NAMES}
"""Lower case to the usual spelling."""
TOKEN_BYTES = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~")
"""Bytes of a token (RFC 3261 section 25.1)."""


def usual_name(name: bytes) -> bytes:
    """Give the spelling under which ``Message.fields`` holds a header field.

    Compact forms and odd case of known names give the usual spelling; unknown names lower case.
    """
    low = name.lower()
    low = COMPACT.get(low, low)
    return USUAL.get(low, low)
