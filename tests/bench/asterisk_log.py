"""The log that an Asterisk would have written about a capture, for fail2ban to read.

Debian 12 has no Asterisk, so its lines are written here: those of chan_pjsip that go to
``/var/log/asterisk/messages`` (level NOTICE), which is the file that fail2ban's asterisk jail reads.
Formats follow what the jail's own filter expects (``filter.d/asterisk.conf``). Asterisk gets the
benefit of the doubt: each failure has a line of its own, as its security log would have, and the limit
that chan_pjsip has for such lines ("after 5 tries") is left out.

| request | answer of the server | line |
| --- | --- | --- |
| INVITE | 404, with or without credentials | ``Call from ... rejected because extension not found`` |
| any other, no credentials | 404 | ``Request ... failed for ... - No matching endpoint found`` |
| credentials that answer a fresh challenge | 401, 407, 403 | ``Request ... - Failed to authenticate`` |
| any | challenge without credentials before it; stale nonce; 2xx; others | none |

A server that challenges everybody tells nobody which users exist, so nothing is logged of those that
ask and go away. Messages that cannot be read leave no line either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from shield.errors import RemoteError
from shield.net import Datagram, unpack
from shield.sip.event import Kind, SipEvent
from shield.sip.message import Request, parse_message
from shield.sip.servers import Servers
from shield.sip.transactions import Tracker
from shield.sip.uri import fast_user

__all__ = ["Line", "asterisk_log"]

LONGEST = 200
"""Octets of a field of the message that the line repeats."""
DISTRIBUTOR, SESSION = "res_pjsip/pjsip_distributor.c", "res_pjsip_session.c"
TRANSPORTS = ("UDP", "TCP", "TLS", "WS", "WSS")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log."""

    time: float
    """Event time; the text has whole seconds of it, UTC."""
    source: str
    text: str


def asterisk_log(datagrams: Iterable[Datagram]) -> Iterator[Line]:
    """Lines about the messages of one capture, both directions, in order of time."""
    tracker = Tracker(Servers(frozenset()))
    for datagram in datagrams:
        tracker.tick(datagram.time)
        try:
            message = parse_message(datagram.payload)
        except RemoteError:
            continue
        if isinstance(message, Request):
            tracker.request(datagram, message)
            continue
        event = tracker.response(datagram, message)
        said = _said(event) if event is not None else ""
        if event is not None and said:
            stamp = datetime.fromtimestamp(event.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
            yield Line(event.time, unpack(event.client), f"[{stamp}] NOTICE[1060] {said}")


def _said(event: SipEvent) -> str:
    """What follows the level; empty when nothing is logged."""
    request = event.request
    assert request is not None
    unknown = event.status == 404 and event.kind is Kind.ANSWER
    source = f"{_host(event.client)}:{event.client_port}"
    if unknown and event.method == b"INVITE":
        caller, called = _text(fast_user(request.from_) or b""), _text(fast_user(request.uri) or b"")
        return (
            f"{SESSION}: Call from '{caller}' ({TRANSPORTS[event.transport]}:{source}) to extension "
            f"'{called}' rejected because extension not found in context 'default'."
        )
    if event.kind is Kind.REFUSED:
        reason = "Failed to authenticate"
    elif unknown and event.auth is None:
        reason = "No matching endpoint found"
    else:
        return ""
    name, bracket, uri = request.from_.partition(b"<")
    who = name + bracket + uri.partition(b">")[0] + b">" if bracket else name.partition(b";")[0]
    return (
        f"{DISTRIBUTOR}: Request '{_text(event.method)}' from '{_text(who)}' failed for '{source}' "
        f"(callid: {_text(request.call_id)}) - {reason}"
    )


def _host(address: bytes) -> str:
    return unpack(address) if len(address) == 4 else f"[{unpack(address)}]"


def _text(value: bytes) -> str:
    """A part of a message as one line of text."""
    return " ".join(value[:LONGEST].decode("utf-8", "replace").split())
