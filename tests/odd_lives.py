"""Good users whose telephones and programs are broken, old or strange: what lives in each town as well.

Each shows several marks of tools (docs/detection.md), fails now and then, or always, and attacks nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from tests.town import BUSY, CHALLENGED, REFUSED, UNKNOWN, Line, Town

__all__ = ["ODD_LIVES"]

Spell = Callable[[str], str]


class Odd(Line):
    """A dialog of a client that writes messages in its own way."""

    def __init__(
        self, town: Town, client: bytes, account: str, spelling: Spell, port: int = 5060
    ) -> None:
        super().__init__(town, client, account)
        self.spelling, self.port = spelling, port

    def spell(self, text: str) -> str:
        return self.spelling(text)


def instead(*pairs: tuple[str, str]) -> Spell:
    """A spelling: expressions and what stands there instead."""

    def spell(text: str) -> str:
        for old, new in pairs:
            text = re.sub(old, new, text)
        return text

    return spell


LOOPBACK = (r"UDP [^;]+:5060", "UDP 127.0.0.1:5060")
BARE = (r"Contact: <([^>]+)>", r"Contact: \1")
BEFORE_RFC_3261 = instead(
    (r"branch=z9hG4bK", "branch="), (r";rport", ""), (r"(From: [^\r]+);tag=[^\r;]+", r"\1"),
    (r"Max-Forwards: 70\r\n", ""), (r"UDP [^;]+:5060", "UDP 192.168.1.20:5060"), BARE,
    (r"Allow: [^\r]+\r\n", ""), (r"User-Agent: [^\r]+", "User-Agent: ATA 186 v2.16"),
)  # fmt: skip
SCRIPT = instead(
    LOOPBACK, BARE, (r"Contact: sip:([^@]+)@[^\r]+", r"Contact: sip:\1@127.0.0.1:5060"),
    (r"(Max-Forwards)", r"Content-Length: 0\r\n\1"), (r"\r\nContent-Length: 0\r\n\r\n", r"\r\n\r\n"),
    (r"Allow: [^\r]+\r\n", ""), (r"User-Agent: [^\r]+", "User-Agent: check-sip 1.2"),
)  # fmt: skip
SIPP = instead(
    BARE, (r"User-Agent: [^\r]+\r\n", ""), (r"Allow: [^\r]+\r\n", ""),
    (r"From: <sip:[^>]+>", "From: sipp <sip:sipp@192.168.1.9:5060>"), (r";rport", ""),
)  # fmt: skip


def old_adapter(town: Town, at: float) -> None:
    """An analogue adapter of the year 2001, with one or two lines; a password of it may be old."""
    address = town.house()
    for _ in range(town.random.randrange(1, 3)):
        user = town.user()
        answer = town.random.choice(["200 OK", "200 OK", REFUSED, UNKNOWN])
        line = Odd(town, address, user, BEFORE_RFC_3261)
        for _ in range(town.random.randrange(2, 20)):
            if answer == UNKNOWN:
                line.ask(at, "REGISTER", answer)
            else:
                line.log_in(at, answer)
            at += town.gap(20, 600)


def gateway(town: Town, at: float) -> None:
    """A router that rewrites half of each message of some telephones, which may have old passwords."""
    address = town.house()
    rewrites = town.random.choice(
        [
            instead((r"Contact: <sip:([^@]+)@[^>]+>", r"Contact: <sip:\1@203.0.113.77:5060>")),
            instead((r"UDP [^;]+:5060", "UDP 203.0.113.77:5060")),
            instead((r"UDP [^;]+:5060", "UDP 192.168.0.9:5060"), (r";rport", "")),
            instead((r"From: ", "From:  "), (r"To: ", "To:  ")),
        ]
    )
    for number in range(town.random.randrange(1, 4)):
        line = Odd(town, address, town.user(), rewrites, port=40_000 + number)
        answer = town.random.choice(["200 OK", REFUSED])
        for turn in range(town.random.randrange(1, 8)):
            line.log_in(at + turn * 60.0, answer)


def updated(town: Town, at: float) -> None:
    """A telephone that has a new name after each update of its firmware; its account is gone."""
    address, user, names = town.house(), town.user(), ("Acme Desk 3.2", "Brava 4.0", "Brava Desk 4.1")
    answer = town.random.choice(["200 OK", REFUSED, UNKNOWN])
    for name in names[: town.random.randrange(1, 4)]:
        line = Odd(town, address, user, instead((r"User-Agent: [^\r]+", f"User-Agent: {name}")))
        for _ in range(town.random.randrange(1, 6)):
            if answer == UNKNOWN:
                line.ask(at, "REGISTER", answer)
            else:
                line.log_in(at, answer)
            at += town.gap(30, 300)


def script(town: Town, at: float) -> None:
    """OPTIONS from a shell script, by the clock: a new socket each time, and loopback in Via."""
    address, user, gap = town.house(), town.user(), town.random.choice([5.0, 30.0, 60.0])
    answer = town.random.choice(["200 OK", UNKNOWN, REFUSED, "405 Method Not Allowed"])
    for number in range(town.random.randrange(10, 100)):
        port = town.random.randrange(30_000, 60_000)
        Odd(town, address, user, SCRIPT, port).ask(at + number * gap, "OPTIONS", answer)


def load_test(town: Town, at: float) -> None:
    """The operator's own sipp calls one number, some times a second, and is turned away."""
    address, user, gap = town.house(), town.user(), town.random.choice([0.1, 1.0, 10.0])
    answer = town.random.choice([BUSY, "480 Temporarily Unavailable", UNKNOWN, REFUSED])
    for number in range(town.random.randrange(5, 60)):
        Odd(town, address, user, SIPP).ask(at + number * gap, "INVITE", answer)


def own_number(town: Town, at: float) -> None:
    """A PBX asks for itself to keep its NAT open and calls its own number for voice mail."""
    address, user = town.house(), town.user()
    other = instead((r"To: <sip:[^>]+>", "To: <sip:voicemail@pbx.example>"))
    answer = town.random.choice(["200 OK", UNKNOWN, REFUSED])
    for number in range(town.random.randrange(5, 60)):
        Odd(town, address, user, other if number % 5 == 4 else str).ask(at, "OPTIONS", answer)
        if number % 7 == 6:
            Odd(town, address, user, str).ask(at + 5, "INVITE", BUSY)
        at += 20.0


def outage(town: Town, at: float) -> None:
    """An office whose provider cannot let anybody in for an hour: all try again and again."""
    address = town.house()
    lines = [Line(town, address, town.user()) for _ in range(town.random.randrange(2, 30))]
    answer = town.random.choice(["500 Server Internal Error", "503 Service Unavailable"])
    for turn in range(town.random.randrange(1, 10)):
        for number, line in enumerate(lines):
            line.port = 30_000 + number
            line.ask(at + 30 * turn + number * 0.05, "REGISTER", answer)


def half_a_login(town: Town, at: float) -> None:
    """A telephone that takes each challenge for a refusal and begins anew, ever slower."""
    address, user = town.house(), town.user()
    for number in range(town.random.randrange(2, 5)):
        Line(town, address, user).ask(at, "REGISTER", CHALLENGED)
        at += 30.0 * 2**number


ODD_LIVES: dict[str, Callable[[Town, float], None]] = {
    life.__name__: life
    for life in (old_adapter, gateway, updated, script, load_test, own_number, outage, half_a_login)
}
"""Name of a life to what it sends."""
