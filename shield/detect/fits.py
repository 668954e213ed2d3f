"""Whether an event is one that a rule counts, as far as single conditions say it."""

from __future__ import annotations

from shield.detect.counters import KEY_BITS
from shield.detect.rule import Rule
from shield.net import Network, unpack
from shield.sip.event import SipEvent
from shield.sip.uri import fast_host, fast_user

__all__ = ["fits", "key_of"]


def fits(rule: Rule, event: SipEvent, domains: frozenset[bytes], *, trusted: bool) -> bool:  # noqa: PLR0911
    """Whether everything holds that ``match`` asks for, and nothing that ``exempt`` names."""
    if rule.statuses and event.status not in rule.statuses:
        return False
    if rule.credentials is not None and rule.credentials is not (event.auth is not None):
        return False
    if rule.repeat is not None and rule.repeat is not event.repeat:
        return False
    if rule.trusted is not None and rule.trusted is not trusted:
        return False
    if rule.mismatch and not _mismatch(event):
        return False
    if rule.foreign and not _foreign(event, domains):
        return False
    for condition in rule.conditions:
        if not condition.holds(event):
            return False
    return not rule.exempts or not _exempt(rule, event, trusted=trusted)


def _exempt(rule: Rule, event: SipEvent, *, trusted: bool) -> bool:
    if trusted and rule.exempt_trusted:
        return True
    if rule.exempt_networks:
        host = Network.host(event.client)
        if any(network.contains(host) for network in rule.exempt_networks):
            return True
    return any(condition.holds(event) for condition in rule.exempt)


def _foreign(event: SipEvent, domains: frozenset[bytes]) -> bool:
    """Neither From nor Request-URI names one of our domains or servers."""
    if not domains or event.request is None:
        return False
    for value in (event.request.from_, event.request.uri):
        host = fast_host(value)
        if not host or host in domains or any(host.endswith(b"." + d) for d in domains):
            return False
        if host == unpack(event.server).encode():
            return False
    return True


def _mismatch(event: SipEvent) -> bool:
    """The digest user differs from the user in From and in To (RFC 3261 section 22.1)."""
    if event.auth is None or event.request is None:
        return False
    name = event.auth[0].partition(b"@")[0]
    return bool(name) and name not in (fast_user(event.request.from_), fast_user(event.request.to))


def key_of(rule: Rule, event: SipEvent) -> int | None:
    """Which counter of the rule an event belongs to; None when a part of ``group_by`` is missing."""
    if not rule.key_fields:
        return rule.key
    others = [read(event) for read in rule.key_fields]
    return None if None in others else rule.key | hash(tuple(others)) & KEY_BITS
