"""Registration: what a REGISTER and its 200 say about a user, and how that travels.

A registrar answers with all bindings that the user has now (RFC 3261 section 10.3 step 8), so each 200
replaces what was known of the user. One that lists none although the request had some is taken by
the request; after ``Contact: *`` or ``Expires: 0`` nothing is left.
"""

from __future__ import annotations

from typing import NamedTuple

from shield.errors import RemoteError
from shield.net import unpack
from shield.sip.event import Kind, SipEvent
from shield.sip.grammar import parse_number, split_values
from shield.sip.headers import parse_name_addr
from shield.sip.message import Message
from shield.sip.uri import parse_uri, split_name_addr
from shield.wire import pack_value, unpack_value

__all__ = [
    "MAX_CONTACTS",
    "Binding",
    "Registration",
    "aor_of",
    "pack_registration",
    "read_registration",
    "registered",
    "shown",
]

MAX_AOR = 256
"""Octets of an address-of-record."""
MAX_CONTACT = 512
"""Octets of a contact's URI; longer ones are left out."""
MAX_CONTACTS = 16
"""Devices of one user."""
MAX_EXPIRES = 7 * 86_400
"""Seconds; a registrar that grants more is believed for a week."""
MOST_EXPIRES = (1 << 32) - 1
"""RFC 3261 section 20.19."""
DEFAULT_EXPIRES = 3_600
"""When neither says (RFC 3261 section 10.3 step 7 leaves it to the registrar)."""
MAX_VALUE = 4_096
MAX_SERVER = 255


class Binding(NamedTuple):
    """One contact of a user."""

    contact: bytes
    """Its URI as the registrar wrote it."""
    left: float
    """Seconds until it ends."""


class Registration(NamedTuple):
    """The bindings of one user at one server; none: not registered there any more."""

    aor: bytes
    """``user@host``: user as it is with escapes decoded, host in lower case."""
    server: str
    """``host:port`` or a SIP URI at which the server is reached."""
    transport: str
    """``udp``, ``tcp``, ``tls``, ``ws`` or ``wss``."""
    time: float
    """Wall time of the registration, seconds since the epoch."""
    bindings: tuple[Binding, ...]

    @property
    def left(self) -> float:
        """Seconds until the last binding ends; 0 without one."""
        return max((binding.left for binding in self.bindings), default=0.0)


def registered(event: SipEvent) -> Registration | None:
    """What an event says about a user's place; None when it says nothing that can be believed.

    Only a REGISTER whose credentials were accepted counts: everything else could be forged.
    """
    request, response = event.request, event.response
    if event.kind is not Kind.ACCEPTED or event.method != b"REGISTER":
        return None
    if request is None or response is None or not 200 <= event.status < 300:
        return None
    aor = aor_of(request.to)
    if aor is None:
        return None
    asked, granted = _contacts(request), _contacts(response)
    default = _expires(response, _expires(request, DEFAULT_EXPIRES))
    if not granted and not any(contact.uri == b"*" for contact in asked):
        granted = asked
    bindings: dict[bytes, Binding] = {}
    for contact in granted:
        left = min(default if contact.expires is None else contact.expires, MAX_EXPIRES)
        if left > 0 and len(contact.uri) <= MAX_CONTACT and len(bindings) < MAX_CONTACTS:
            bindings[contact.uri] = Binding(contact.uri, float(left))
    host = unpack(event.server)
    server = f"[{host}]:{event.server_port}" if ":" in host else f"{host}:{event.server_port}"
    return Registration(aor, server, event.transport.name.lower(), event.time, tuple(bindings.values()))


def aor_of(value: bytes) -> bytes | None:
    """Address-of-record of a To value or a URI (RFC 3261 section 10.3 step 5); None without a user."""
    try:
        _, text, _ = split_name_addr(value)
        uri = parse_uri(text)
    except RemoteError:
        return None
    if not uri.user or not uri.host:
        return None
    aor = uri.user + b"@" + uri.host
    return aor if len(aor) <= MAX_AOR else None


def shown(octets: bytes) -> str:
    """Text of an address or contact for people and JSON: what is no printable text is %-escaped."""
    text = octets.decode("utf-8", "surrogateescape")
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else "".join(f"%{o:02X}" for o in c.encode("utf-8", "surrogateescape"))
        for c in text
    )


def pack_registration(registration: Registration) -> bytes:
    """Value of a record: the last binding ends with the record, the others so many seconds sooner."""
    whole = registration.left
    bindings = tuple((b.contact, round(whole - b.left, 1)) for b in registration.bindings)
    return pack_value((registration.server, registration.transport, registration.time, bindings))


def read_registration(aor: bytes, value: bytes, left: float) -> Registration:
    """Read a record that ends in ``left`` seconds; raises RemoteError("value")."""
    if len(value) > MAX_VALUE:
        raise RemoteError("value")
    fields = unpack_value(value)
    if type(fields) is not tuple or len(fields) < 4:
        raise RemoteError("value")
    server, transport, time, bindings = fields[:4]
    if (
        type(server) is not str
        or len(server) > MAX_SERVER
        or type(transport) is not str
        or len(transport) > 8
        or type(time) not in (int, float)
        or type(bindings) is not tuple
        or len(bindings) > MAX_CONTACTS
    ):
        raise RemoteError("value")
    found = []
    for binding in bindings:
        if type(binding) is not tuple or len(binding) < 2:
            raise RemoteError("value")
        contact, sooner = binding[:2]
        if type(contact) is not bytes or type(sooner) not in (int, float):
            raise RemoteError("value")
        if left - sooner > 0:
            found.append(Binding(contact, left - sooner))
    return Registration(aor, server, transport, float(time), tuple(found))


class _Contact(NamedTuple):
    uri: bytes
    """As it is written; ``*`` for all."""
    expires: int | None


def _contacts(message: Message) -> list[_Contact]:
    """All Contact values; what cannot be read counts as none."""
    found: list[_Contact] = []
    for field in message.all(b"Contact"):
        for value in split_values(field)[: 4 * MAX_CONTACTS]:
            try:
                params = parse_name_addr(value).params
                uri = split_name_addr(value)[1]
            except RemoteError:
                continue
            expires = parse_number(params.get(b"expires") or b"", MOST_EXPIRES)
            found.append(_Contact(uri, expires))
    return found


def _expires(message: Message, default: int) -> int:
    value = message.get(b"Expires")
    found = None if value is None else parse_number(value.strip(), MOST_EXPIRES)
    return default if found is None else found
