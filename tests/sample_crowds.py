"""Samples of rules about slow and distributed attacks, for ``scripts/make-rule-samples``."""

from __future__ import annotations

from collections.abc import Callable

from tests.sample_traffic import ATTACKER, PHONE, Talk

__all__ = ["RECIPES", "guessing_in_disguise", "slow_guessing"]

MINUTE, HOUR = 60.0, 3_600.0
BOTS = tuple(f"198.18.{number}.{7 * number % 250 + 1}" for number in range(1, 33))
"""Rented machines all over the world."""
HOMES = tuple(f"198.51.{number}.{11 * number % 250 + 1}" for number in range(1, 33))


def slow_guessing() -> None:
    """A guess each ten minutes, and phones with old passwords that go on for days."""
    talk = Talk("password-guessing", "attack-slow")
    for _ in range(14):
        talk.login("100", ok=False, wait=10 * MINUTE, client=ATTACKER)
    talk.close()
    talk = Talk("password-guessing", "benign-slow")
    for boot in range(3):  # for two days, and started anew now and then
        for number in range(40):
            talk.login("100", ok=False, wait=25 * MINUTE, dialog=f"boot-{boot}", cseq=2 * number + 1)
    for _ in range(20):  # a phone in a pocket: a new Call-ID each time that it is woken
        talk.login("101", ok=False, wait=30 * MINUTE, client="198.51.100.31")
    talk.close()


def guessing_in_disguise() -> None:
    """Like a phone, but with many answers to one nonce; and an office with two old phones."""
    talk = Talk("password-guessing", "attack-one-nonce")
    nonce = talk.ask(answers=(401,), dialog="one-dialog", client=ATTACKER)
    for number in range(12):
        talk.ask(
            answers=(403,), dialog="one-dialog", cseq=number + 2, nonce=nonce, wait=5, client=ATTACKER
        )
    talk.close()
    talk = Talk("password-guessing", "benign-office")
    for number in range(36):  # two of them begin a new Call-ID with each try
        talk.login(f"{200 + number % 12}", port=41_000 + number % 12, wait=20)
        talk.login(f"{100 + number % 2}", ok=False, port=40_000 + number % 2, wait=30)
    talk.close()


def old_devices(talk: Talk, boots: int, wait: float) -> None:
    """An account on four devices after its password was changed, and one of them on the move."""
    for boot in range(boots):
        for number in range(3):
            for device in HOMES[:4]:
                talk.login("100", ok=False, wait=wait, client=device, dialog=f"{device}-{boot}",
                           cseq=2 * number + 1)  # fmt: skip
    for number, place in enumerate(HOMES[4:24]):
        talk.login("100", ok=False, wait=wait, client=place, dialog="on-the-road", cseq=2 * number + 1)


def distributed_guessing() -> None:
    talk = Talk("distributed-guessing", "attack")
    for _ in range(3):
        for bot in BOTS[:8]:
            talk.login("100", ok=False, wait=20, client=bot)
    talk.close()
    talk = Talk("distributed-guessing", "benign")
    old_devices(talk, 2, 30)
    talk.close()


def distributed_trickle() -> None:
    talk = Talk("distributed-trickle", "attack")
    for bot in BOTS[:20]:
        talk.login("100", ok=False, wait=2 * MINUTE, client=bot)
    talk.close()
    talk = Talk("distributed-trickle", "benign")
    old_devices(talk, 1, 40)
    talk.close()


def distributed_slow_guessing() -> None:
    talk = Talk("distributed-slow-guessing", "attack")
    for _ in range(8):
        for bot in BOTS[:6]:
            talk.login("100", ok=False, wait=25 * MINUTE, client=bot)
    talk.close()
    talk = Talk("distributed-slow-guessing", "benign")
    old_devices(talk, 6, 10 * MINUTE)
    talk.close()


def distributed_enumeration() -> None:
    talk = Talk("distributed-enumeration", "attack")
    for number in range(42):
        talk.ask("REGISTER", f"{200 + number}", answers=(404,), wait=3 * MINUTE, client=BOTS[number % 7])
    talk.close()
    talk = Talk("distributed-enumeration", "benign")
    for number in range(72):  # eight homes whose three lines are gone, and the phones do not know
        home, line = number % 8, number // 8 % 3
        talk.ask("REGISTER", f"{home}-{line}", answers=(404,), wait=3 * MINUTE, client=HOMES[home])
    talk.close()


def distributed_toll_fraud() -> None:
    talk = Talk("distributed-toll-fraud", "attack")
    for bot in BOTS[:9]:
        talk.ask("INVITE", "00442079460123", answers=(407,), client=bot, from_user="100", wait=MINUTE)
    talk.ask(
        "OPTIONS", client=PHONE, wait=MINUTE
    )  # time passes: the challenges stay without credentials
    talk.close()
    talk = Talk("distributed-toll-fraud", "benign")
    for home in HOMES[:9]:  # everybody rings the number from the radio, which is a wrong one
        talk.call("00442079460123", answers=(404,), from_user="100", client=home, wait=MINUTE)
    talk.close()


def prefix_enumeration() -> None:
    talk = Talk("prefix-enumeration", "attack")
    for number in range(24):
        talk.ask("REGISTER", f"{200 + number}", answers=(404,), wait=4 * MINUTE,
                 client=f"203.0.113.{100 + number}")  # fmt: skip
    talk.close()
    talk = Talk("prefix-enumeration", "benign")
    talk.login("100", client="198.51.100.9")  # one of them is a customer still
    for number in range(48):
        talk.ask("REGISTER", f"{200 + number}", answers=(404,), wait=4 * MINUTE,
                 client=f"198.51.100.{100 + number}")  # fmt: skip
    talk.close()


def prefix_guessing() -> None:
    talk = Talk("prefix-guessing", "attack")
    for number in range(20):
        talk.login(f"{200 + number}", ok=False, wait=2 * MINUTE, client=f"203.0.113.{100 + number}")
    talk.close()
    talk = Talk("prefix-guessing", "benign")
    for number in range(40):  # a phone behind the NAT of its provider, each time with another address
        talk.login("100", ok=False, wait=MINUTE, dialog="phone-in-the-pool", cseq=2 * number + 1,
                   client=f"198.51.100.{100 + number}")  # fmt: skip
    talk.close()


RECIPES: dict[str, Callable[[], None]] = {
    "distributed-guessing": distributed_guessing,
    "distributed-trickle": distributed_trickle,
    "distributed-slow-guessing": distributed_slow_guessing,
    "distributed-enumeration": distributed_enumeration,
    "distributed-toll-fraud": distributed_toll_fraud,
    "prefix-enumeration": prefix_enumeration,
    "prefix-guessing": prefix_guessing,
}
