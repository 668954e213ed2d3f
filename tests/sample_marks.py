"""Samples of the rule about small marks, for ``scripts/make-rule-samples``."""

from __future__ import annotations

from collections.abc import Callable

from tests.sample_traffic import ATTACKER, PHONE, SERVER, Talk

__all__ = ["RECIPES", "guessing"]

NAMES = ("Brava", "quxel", "Torvi", "Plunk", "wexo", "Ozmi", "Kandu", "Irbel")


def replaced(*pairs: tuple[str, str]) -> Callable[[str], str]:
    """Spoils a message: each old text gives way to a new one."""

    def spoil(text: str) -> str:
        for old, new in pairs:
            text = text.replace(old, new)
        return text

    return spoil


def shuffled(number: int) -> Callable[[str], str]:
    """The header fields of a message in another order each time."""

    def spoil(text: str) -> str:
        head, _, body = text.partition("\r\n\r\n")
        start, *lines = head.split("\r\n")
        lines = lines[number % len(lines) :] + lines[: number % len(lines)]
        return "\r\n".join([start, *lines]) + "\r\n\r\n" + body

    return spoil


def attacks() -> None:
    """A program with the name of a phone, and one with a new face for each request."""
    talk = Talk("disguised-tool", "attack")
    here = replaced(
        (f"UDP {ATTACKER}:5060", "UDP 127.0.1.1:5060"),
        (f"<sip:100@{ATTACKER}:5060>", f"sip:100@{SERVER}"),
    )
    for _ in range(4):
        talk.ask("INVITE", answers=(403,), client=ATTACKER, agent="Yealink SIP-T46S 66.85", spoil=here)
    talk.close()
    talk = Talk("disguised-tool", "attack-habits")
    for number, name in enumerate(NAMES):
        talk.ask(
            "INVITE", str(200 + number), answers=(486,), client=ATTACKER, agent=name,
            from_user="100", spoil=shuffled(number), wait=40 + 7 * (number % 3),
        )  # fmt: skip
    talk.close()


def near_misses() -> None:
    """A telephone adapter of before RFC 3261 with an old password, and a monitor in a shell script."""
    talk = Talk("disguised-tool", "benign")
    for number in range(8):
        old = replaced(
            (f"UDP {PHONE}:5060;branch=z9hG4bK", "UDP 192.168.1.20:5060;branch="), (";rport", ""),
            (";tag=t", ";x=t"), ("Max-Forwards: 70\r\n", ""),
            (f"<sip:100@{PHONE}:5060>", "sip:100@192.168.1.20"),
        )  # fmt: skip
        talk.ask("REGISTER", answers=(403,), agent="ATA 186", spoil=old, wait=50 + 9 * (number % 4))
    talk.close()
    talk = Talk("disguised-tool", "benign-monitor")
    for number in range(30):
        script = replaced(
            (f"UDP {PHONE}:", "UDP 127.0.0.1:"),
            (f"<sip:monitor@{PHONE}:{40_000 + number}>", f"sip:monitor@127.0.0.1:{50_000 + number}"),
            ("Content-Length: 0\r\n", ""), ("Max-Forwards", "Content-Length: 0\r\nMax-Forwards"),
        )  # fmt: skip
        talk.ask("OPTIONS", "pbx", answers=(404,), from_user="monitor", port=40_000 + number, wait=60,
                 agent="check-sip 1.2", spoil=script)  # fmt: skip
    talk.close()


def guessing() -> None:
    """One password after the other, each in a dialog of its own, by a program without any mark."""
    talk = Talk("password-guessing", "attack")
    for number in range(16):
        talk.login("100", ok=False, wait=2 + number % 3, client=ATTACKER)
    talk.close()


def disguised_tool() -> None:
    attacks()
    near_misses()


RECIPES: dict[str, Callable[[], None]] = {"disguised-tool": disguised_tool}
