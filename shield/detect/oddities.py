"""Oddities: what a request of a user agent rarely shows, and one of a program made to attack often does.

None of them proves anything: each has been shipped in some phone, and some are spellings that RFC 3261
allows. Rules weigh them and add the weights up. Tools change their User-Agent, tags and Call-IDs with an
option; how they put a message together, and that they never had to be reachable, stays.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address, ip_network

from shield.detect.sdp import dead_media, incomplete
from shield.errors import RemoteError
from shield.net import Transport, unpack
from shield.sip.event import SipEvent
from shield.sip.headers import parse_via
from shield.sip.message import Request
from shield.sip.uri import fast_address, fast_user

__all__ = ["ODDITIES", "names_of", "oddities_of", "oddity_bit"]

ODDITIES: dict[str, str] = {
    "no-cookie": "The branch does not begin with `z9hG4bK` (RFC 3261 section 8.1.1.7).",
    "no-branch": "The topmost Via has no branch (RFC 3261 section 8.1.1.7).",
    "no-from-tag": "From has no tag (RFC 3261 section 8.1.1.3).",
    "no-max-forwards": "Max-Forwards is missing (RFC 3261 section 8.1.1.6).",
    "odd-hops": "One Via, and Max-Forwards is not 70 (RFC 3261 section 8.1.1.6).",
    "no-contact": "INVITE, SUBSCRIBE or REFER without Contact (RFC 3261 section 8.1.1.8).",
    "bare-contact": "The URI of Contact stands without angle brackets.",
    "contact-here": "Contact is the address that the request went to.",
    "contact-elsewhere": "Contact is a loopback or public address that is not the source nor in Via.",
    "via-loopback": "Via names a loopback or unspecified address: answers cannot come there.",
    "via-elsewhere": "Via names a public address that is not the source.",
    "no-rport": "UDP, Via names another address or port than the source, and no rport (RFC 3581).",
    "bare-ipv6": "An IPv6 address in Via without brackets (RFC 3261 section 25.1).",
    "self-call": "INVITE, OPTIONS or MESSAGE of a user to the same user: From and To are one URI.",
    "to-elsewhere": "First request, and To is not the Request-URI (RFC 3261 section 8.1.1.1).",
    "register-user": "The Request-URI of a REGISTER has a user part (RFC 3261 section 10.2).",
    "register-for-other": "From and To of a REGISTER differ.",
    "short-id": "Call-ID below 8 or From tag below 4 characters: not random (RFC 3261 section 19.3).",
    "wide-blanks": "Two or more blanks before the value of Via, From, To or Contact.",
    "tight-name": "No blank between a display name and its URI.",
    "no-agent": "No User-Agent.",
    "odd-agent": "User-Agent is one word of up to 12 letters: no version.",
    "false-agent": "User-Agent names a product whose messages never look like this; see below.",
    "late-via": "From, To, Call-ID or CSeq is the first header field (RFC 3261 section 7.3.1).",
    "early-length": "Other header fields stand behind Content-Length.",
    "line-feeds": "Lines end in LF alone.",
    "no-end": "The empty line behind the header is missing.",
    "no-allow": "INVITE without Allow (RFC 3261 section 13.2.1).",
    "no-sdp": "First INVITE without a session description.",
    "bad-sdp": "The session description lacks a line that RFC 4566 demands.",
    "dead-sdp": "First INVITE, and media can go nowhere: port 0, or a loopback or unspecified address.",
}
"""Name of an oddity to what it means."""

_BITS = {name: 1 << number for number, name in enumerate(ODDITIES)}
COOKIE = b"z9hG4bK"
MIN_CALL_ID, MIN_TAG = 8, 4
"""RFC 3261 asks for 32 random bits in a tag, which take six letters, and for a unique Call-ID."""
MAX_HOST = 64
"""Bytes of a host that are looked at; an address is shorter."""
MAX_HOSTS = 1_024
"""Hosts whose kind is remembered."""

PRODUCTS = re.compile(
    rb"\b(?:aastra|asterisk|bria|csipsimple|eyebeam|fanvil|fpbx|freeswitch|fritz!?box|gigaset|grandstream"
    rb"|linksys|linphone|microsip|obihai|panasonic|polycom|sipura|snom|x-lite|yealink|zoiper|3cx)",
    re.IGNORECASE,
)
"""Products that came after RFC 3261 and keep to it in ``_SOUND``, in all versions: makers of telephones
that are older (Cisco, Siemens, Avaya) are missing here."""
_SOUND = (
    "no-cookie", "no-branch", "no-from-tag", "no-max-forwards", "bare-contact", "line-feeds", "no-end",
)  # fmt: skip
"""What no message of these products shows, and no network makes of it."""
_CONTACT = (b"INVITE", b"SUBSCRIBE", b"REFER")
"""Methods that open a dialog: Contact is where its requests go."""
_TALKS = (b"INVITE", b"OPTIONS", b"MESSAGE")
_OUTSIDE = (*_TALKS, b"SUBSCRIBE")
"""Methods of first requests; a phone subscribes to itself, for its voice mail."""
_UNSOUND = sum(_BITS[name] for name in _SOUND)

_sent_by = re.compile(
    rb"SIP/2\.0/[A-Za-z]+ ([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(?![^;,])"
)
_rport = re.compile(rb";\s*rport\b", re.IGNORECASE)
_wide = re.compile(rb"\n(?:Via|v|From|f|To|t|Contact|m)[ \t]*:[ \t]{2,}[^ \t\r\n]", re.IGNORECASE)
_late = re.compile(rb"[^\n]*\n(?:From|f|To|t|Call-ID|i|CSeq)[ \t]*:", re.IGNORECASE)
_early = re.compile(rb"\n(?:Content-Length|l)[ \t]*:[^\n]*\n[^\r\n]", re.IGNORECASE)
_word = re.compile(rb"[A-Za-z]{1,12}\Z")
_BEFORE_BRACKET = b" \t\n,"
_DISPLAY = rb'(?:"[^"<\\\r]*+" )?+<'
_sound_head = re.compile(
    rb"[^\r]++\r\nVia: SIP/2\.0/UDP (([0-9.]++|\[[0-9a-f:]++\]):[0-9]++)(?:;rport)?;branch="
    + COOKIE
    + rb"[^\r]*+(?:\r\n(?:"
    rb"From: " + _DISPLAY + rb'[^<>"\r]*+>;tag=[^;,"<>\s\\]{4}[^\r]*+'
    rb"|To: " + _DISPLAY + rb"[^\r]*+"
    rb"|Call-ID: [^\r]{8}[^\r]*+"
    rb"|Contact: <sips?:[^@<>?;:\r]*+@\2:(?P<contact>)[^\r]*+"
    rb"|Max-Forwards: 70(?P<hops>)"
    rb"|User-Agent: (?![A-Za-z]++(?:\r|\Z))(?P<agent>)[^\r]++"
    rb"|Content-Length: [0-9]++\Z"
    rb"|(?!(?:From|To|Call-ID|Contact|Max-Forwards|User-Agent|Content-Length): )[^\r]++"
    rb"))++\Z(?(contact)|(?!))(?(hops)|(?!))(?(agent)|(?!))"
)
"""Via first, Content-Length last, nothing odd between; the first group must be where it came from."""

_NAME, _PUBLIC, _PRIVATE, _NOWHERE = range(4)
_INSIDE = [
    ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16",
                 "fc00::/7", "fe80::/10")
]  # fmt: skip
"""Where phones live behind NAT (RFC 1918, 6598, 3927, 4193, 4291)."""


@lru_cache(MAX_HOSTS)
def _kind(host: bytes) -> int:
    """What a host is: a name, a public or private address, or one where nobody can be reached."""
    try:
        address = ip_address(host.decode("ascii"))
    except ValueError:  # UnicodeDecodeError is one
        return _NOWHERE if host == b"localhost" else _NAME
    if address.is_loopback or address.is_unspecified:
        return _NOWHERE
    return _PRIVATE if any(address in network for network in _INSIDE) else _PUBLIC


def oddity_bit(name: str) -> int:
    """The bit that stands for an oddity; raises KeyError for an unknown one."""
    return _BITS[name]


def names_of(bits: int) -> tuple[str, ...]:
    """Names of the oddities in a set of bits."""
    return tuple(name for name, bit in _BITS.items() if bits & bit)


def oddities_of(event: SipEvent) -> int:
    """Everything that is odd about the request of an event, one bit for each."""
    request = event.request
    if request is None:
        return 0
    if request.method != b"INVITE" and _sound(event, request):
        return _aim(request)
    contact = request.usual(b"\r\nContact: ")
    bits = (
        _identity(event, request)
        | _way(event, request, contact)
        | _aim(request)
        | _spelling(request, contact)
    )
    if request.method == b"INVITE":
        bits |= _session(request)
    if bits & _UNSOUND and request.agent is not None and PRODUCTS.search(request.agent[:MAX_HOST]):
        # Two names say nothing: which of them a reader takes differs.
        bits |= _BITS["false-agent"] * (len(request.all(b"User-Agent")) == 1)
    return bits


def _sound(event: SipEvent, request: Request) -> bool:
    """Whether ``_identity``, ``_way`` and ``_spelling`` find nothing, as far as a glance can say.

    True for what most phones and monitors send all day; False says nothing. The usual spelling has no
    wide blanks, bare line feeds or missing end, and no field twice that may stand once.
    """
    match = _sound_head.match(request.head) if request.is_usual else None
    if match is None:
        return False
    form = "%s:%d" if len(event.client) == 4 else "[%s]:%d"
    return match[1] == (form % (unpack(event.client), event.client_port)).encode()


def _identity(event: SipEvent, request: Request) -> int:
    """What tells one transaction and one dialog from another, and who made the message."""
    bits = 0
    if not request.branch.startswith(COOKIE):
        bits |= _BITS["no-cookie" if request.branch else "no-branch"]
    tag = event.tag
    if not tag:
        bits |= _BITS["no-from-tag"]
    if len(request.call_id) < MIN_CALL_ID or 0 < len(tag) < MIN_TAG:
        bits |= _BITS["short-id"]
    hops = request.usual(b"\r\nMax-Forwards: ")
    if hops is None:
        bits |= _BITS["no-max-forwards"]
    elif hops != b"70" and not request.vias:
        bits |= _BITS["odd-hops"]
    if request.agent is None:
        bits |= _BITS["no-agent"]
    elif _word.match(request.agent):
        bits |= _BITS["odd-agent"]
    return bits


def _way(event: SipEvent, request: Request, contact: bytes | None) -> int:
    """Whether answers and later requests find the way back."""
    bits, via = 0, request.via
    source = unpack(event.client).encode()
    host = source
    written = source if len(event.client) == 4 else b"[%b]" % source
    if not via.startswith(b"SIP/2.0/UDP %b:%d;" % (written, event.client_port)):
        host, port = _via(via)
        if host != source:
            kind = _kind(host[:MAX_HOST])
            bits |= _BITS["via-loopback"] * (kind == _NOWHERE) | _BITS["via-elsewhere"] * (
                kind == _PUBLIC
            )
        if b":" in host and b"[" not in via:
            bits |= _BITS["bare-ipv6"]
        elsewhere = host and (host, port) != (source, event.client_port)
        if elsewhere and event.transport is Transport.UDP and not _rport.search(via):
            bits |= _BITS["no-rport"]
    if contact is None:
        return bits | _BITS["no-contact"] * (request.method in _CONTACT)
    if contact.find(b"@%b:" % source) >= 0:
        return bits
    place = (fast_address(contact) or (None, b""))[1]
    if place == unpack(event.server).encode():
        return bits | _BITS["contact-here"]
    if place not in (host, source) and _kind(place[:MAX_HOST]) in (_NOWHERE, _PUBLIC):
        return bits | _BITS["contact-elsewhere"]
    return bits


def _via(value: bytes) -> tuple[bytes, int]:
    """Host and port of the sent-by; an empty host when it cannot be read."""
    match = _sent_by.match(value)
    if match is not None:
        host, port = match.groups()
        return host.strip(b"[]").lower(), int(port or b"5060")
    try:
        via = parse_via(value)
    except RemoteError:
        return b"", 0
    return via.host, via.port or 5060


def _aim(request: Request) -> int:
    """Who asks for whom."""
    bits = 0
    if request.method == b"REGISTER":
        if fast_user(request.uri):
            bits |= _BITS["register-user"]
        if fast_address(request.from_) != fast_address(request.to):
            bits |= _BITS["register-for-other"]
    elif request.method in _OUTSIDE:
        to, uri, callee = request.to, request.uri, None
        if to.find(uri) < 0 and to.find(b"tag=") < 0:
            callee = fast_address(to)
            bits |= _BITS["to-elsewhere"] * (callee != fast_address(uri))
        if request.method in _TALKS:
            callee = callee or fast_address(to)
            if callee and callee[0] and callee == fast_address(request.from_):
                bits |= _BITS["self-call"]
    return bits


def _spelling(request: Request, contact: bytes | None) -> int:
    """How the message is written."""
    bits, head = 0, request.head
    if (head.find(b":  ") >= 0 or head.find(b"\t") >= 0) and _wide.search(head):
        bits |= _BITS["wide-blanks"]
    for value in (request.from_, request.to, contact or b""):
        at = value.find(b"<")
        if at > 0 and value[at - 1] not in _BEFORE_BRACKET:
            bits |= _BITS["tight-name"]
        elif at < 0 and value is contact and value != b"*":
            bits |= _BITS["bare-contact"]
    if _late.match(head):
        bits |= _BITS["late-via"]
    if _early.search(head):
        bits |= _BITS["early-length"]
    if head.find(b"\r") < 0:
        bits |= _BITS["line-feeds"]
    if request.defects and "no_end_of_header" in request.defects:
        bits |= _BITS["no-end"]
    return bits


def _session(request: Request) -> int:
    """What an INVITE offers."""
    bits = _BITS["no-allow"] if request.allow is None else 0
    first = b"tag=" not in request.to
    if not request.body.strip():
        return bits | _BITS["no-sdp"] * first
    kind = request.usual(b"\r\nContent-Type: ") or b""
    if not kind.lower().startswith(b"application/sdp"):
        return bits
    if incomplete(request.body):
        bits |= _BITS["bad-sdp"]
    host = _via(request.via)[0]
    if first and dead_media(request.body, lambda place: place != host and _kind(place) == _NOWHERE):
        bits |= _BITS["dead-sdp"]
    return bits
