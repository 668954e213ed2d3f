"""Disguises: what somebody changes in a tool so that no list knows it any more.

Names, random parts and known constants are replaced in requests and in their answers alike; what a tool
does, and how it puts a message together, stays.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from shield.net import Datagram

__all__ = ["AGENTS", "DISGUISES", "PHONES", "disguised"]

PHONES = (
    b"Yealink SIP-T46S 66.85.0.5", b"Grandstream GXP2170 1.0.11.64", b"snomD785/10.1.54.13",
    b"Zoiper rv2.10.15.3", b"Asterisk PBX 16.28.0", b"FPBX-16.0.33(18.9-cert)", b"Linphone/5.1.65",
    b"PolycomVVX-VVX_411-UA/5.9.3", b"Acme Desk 3.2", b"MicroSIP/3.21.3", b"Cisco-CP7960G/8.0",
)  # fmt: skip
"""Names of good products."""
CONSTANTS = (
    (b'"sipvicious"', b'"Anna"'), (b"@1.1.1.1>", b"@198.18.7.7>"), (b'"Nmap NSE"', b'"Anna"'),
    (b"CSeq: 1234 ", b"CSeq: 102 "), (b"PRACK, INVITE ,ACK", b"INVITE, ACK, PRACK"),
    (b"From:  ", b"From: "), (b"To:  ", b"To: "), (b";expires=120", b";expires=3600"),
    (b"s=SIPPTS", b"s=phone1"), (b"s=svwar", b"s=talks"), (b"Max-Forwards: 20", b"Max-Forwards: 70"),
    (b"sip:nm2@nm2", b"sip:anna@anna.example"), (b"sip:nm@nm", b"sip:bert@bert.example"),
    (b"OPTIONS sip:nm ", b"OPTIONS sip:anna@anna.example "), (b"/UDP nm;", b"/UDP bert.example;"),
    (b"/TCP nm;", b"/TCP bert.example;"), (b"Subject: Performance Test\r\n", b""),
    (b"sip:officesip.local", b"sip:192.0.2.10"), (b"sipsak", b"callme"),
)  # fmt: skip
"""What lists of known tools look for, and something else in its place."""
_LETTERS = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_branch = re.compile(rb"(?<=branch=)[^;,\s]+")
_tag = re.compile(rb"(?<=\nFrom)[^\n]*?;\s?tag=([^;,\s]+)|(?<=\nf:)[^\n]*?;\s?tag=([^;,\s]+)")
_call_id = re.compile(rb"\n(?:Call-ID|i):[ ]*([^\r\n]+)")
_agent = re.compile(rb"\r\nUser-Agent:[^\r\n]*", re.IGNORECASE)

Change = Callable[[list[Datagram], random.Random], list[Datagram]]


def _word(dice: random.Random, low: int, high: int) -> bytes:
    return bytes(dice.choices(_LETTERS, k=dice.randint(low, high)))


def _request(message: Datagram) -> bool:
    return not message.payload.startswith(b"SIP/2.0") and b"SIP/2.0" in message.payload


def _replaced(messages: Sequence[Datagram], words: dict[bytes, bytes]) -> list[Datagram]:
    """Every message with these words replaced, the longest first."""
    if not words:
        return list(messages)
    pattern = re.compile(b"|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)))
    return [
        message._replace(payload=pattern.sub(lambda found: words[found[0]], message.payload))
        for message in messages
    ]


def random_parts(messages: list[Datagram], dice: random.Random) -> list[Datagram]:
    """Tags, branches and Call-IDs like those of phones, each of another length."""
    words: dict[bytes, bytes] = {}
    for message in messages:
        if not _request(message):
            continue
        for branch in _branch.findall(message.payload):
            words.setdefault(b"branch=" + branch, b"branch=z9hG4bK" + _word(dice, 10, 40))
        for tag in filter(None, (one for found in _tag.findall(message.payload) for one in found)):
            words.setdefault(b"tag=" + tag, b"tag=" + _word(dice, 8, 24))
        for call_id in _call_id.findall(message.payload):
            words.setdefault(call_id, _word(dice, 16, 40))
    return _replaced(messages, words)


def constants(messages: list[Datagram], dice: random.Random) -> list[Datagram]:
    """Nothing that a list of tools names."""
    del dice
    return _replaced(messages, dict(CONSTANTS))


def _named(messages: Sequence[Datagram], name: Callable[[], bytes]) -> list[Datagram]:
    """Each request with one User-Agent, also where it had none."""

    def change(message: Datagram) -> Datagram:
        head, blank, body = message.payload.partition(b"\r\n\r\n")
        if not _request(message) or not blank:
            return message
        line = b"\r\nUser-Agent: " + name()
        if _agent.search(head):
            return message._replace(payload=_agent.sub(lambda _: line, head, count=1) + blank + body)
        return message._replace(payload=head + line + blank + body)

    return [change(message) for message in messages]


def a_phone(messages: list[Datagram], dice: random.Random) -> list[Datagram]:
    """The name of one good product."""
    name = dice.choice(PHONES)
    return _named(messages, lambda: name)


def many_phones(messages: list[Datagram], dice: random.Random) -> list[Datagram]:
    """The name of another good product each time."""
    return _named(messages, lambda: dice.choice(PHONES))


def letters(messages: list[Datagram], dice: random.Random) -> list[Datagram]:
    """Random letters each time."""
    return _named(messages, lambda: _word(dice, 3, 12))


def _ordered(messages: Sequence[Datagram], order: Callable[[list[bytes]], object]) -> list[Datagram]:
    """Requests with their header fields in another order; what is folded, repeated or damaged stays."""

    def change(message: Datagram) -> Datagram:
        head, blank, body = message.payload.partition(b"\r\n\r\n")
        start, *lines = head.split(b"\r\n")
        names = [line.partition(b":")[0] for line in lines]
        folded = any(line[:1] in {b" ", b"\t"} for line in lines)
        if not _request(message) or not blank or folded or len(set(names)) < len(names):
            return message
        order(lines)
        return message._replace(payload=b"\r\n".join([start, *lines]) + blank + body)

    return [change(message) for message in messages]


def one_order(messages: list[Datagram], dice: random.Random) -> list[Datagram]:
    """Via first, the others in an order of its own, the same for all messages."""
    seed = dice.random()
    rank = lambda line: (not line.startswith(b"Via"), random.Random(f"{seed}{line[:6]!r}").random())  # noqa: E731
    return _ordered(messages, lambda lines: lines.sort(key=rank))


def any_order(messages: list[Datagram], dice: random.Random) -> list[Datagram]:
    """Another order for each message."""
    return _ordered(messages, dice.shuffle)


AGENTS: dict[str, Change] = {"a-phone": a_phone, "many-phones": many_phones, "letters": letters}
DISGUISES: dict[str, Change] = {
    "constants": constants,
    "random-parts": random_parts,
    "one-order": one_order,
    "any-order": any_order,
}


def disguised(messages: Sequence[Datagram], names: Sequence[str], seed: int) -> list[Datagram]:
    """The messages in all these disguises, always the same ones for a seed."""
    found = list(messages)
    for name in names:
        found = {**AGENTS, **DISGUISES}[name](found, random.Random(f"{name}{seed}"))
    return found
