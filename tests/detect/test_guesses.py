"""shield.detect.guesses: who guesses at which account, in bounded memory."""

from __future__ import annotations

import pytest

from shield.detect import guesses as module
from shield.detect.guesses import Account, Guesses
from shield.detect.rulefiles import load_rules

ALICE = Account(b"alice", b"example.com")


def add(made: Guesses, number: int, time: float, source: int = 1, account: Account = ALICE) -> None:
    made.add(account, bytes([192, 0, 2, source]), b"call-%d" % number, time, proofs=1, agent=b"x")


def test_one_source_guesses_alone() -> None:
    """Five in ten minutes, or ten in two hours; four times as many where it is trusted."""
    made = Guesses()
    for number in range(5):
        add(made, number, 100.0 + number)
    guesser = made.at(ALICE).guessers[bytes([192, 0, 2, 1])]  # type: ignore[union-attr]
    assert guesser.alone(110.0, 1)
    assert not guesser.alone(110.0, 4)
    assert not guesser.alone(100.0 + 700.0, 1)
    for number in range(5, 10):
        add(made, number, 1_000.0 + 600.0 * number)
    assert guesser.alone(6_500.0, 1)


def test_the_limits_of_crowds_are_those_of_the_rules() -> None:
    """An account is called guessed at by a crowd exactly when a rule would accuse that crowd."""
    rules = {rule.name: rule for rule in load_rules()}
    for name, crowd in zip(
        ("distributed-guessing", "distributed-trickle", "distributed-slow-guessing"), module.CROWDS,
        strict=True,
    ):  # fmt: skip
        rule = rules[name]
        assert (rule.sources, rule.each, rule.find_time) == crowd
    assert dict(rules["password-guessing"].tiers) == {module.SLOW: module.SLOW_TIME}


def test_a_crowd_needs_call_ids_of_its_own() -> None:
    """Five sources with two each are one; a phone that takes its Call-ID along is not."""
    made = Guesses()
    for source in range(5):
        add(made, 0, 100.0, source)
        add(made, 1, 101.0, source)
    assert not made.at(ALICE).crowded(110.0)  # type: ignore[union-attr]
    for source in range(5):
        add(made, 10 + 2 * source, 102.0, source)
        add(made, 11 + 2 * source, 103.0, source)
    assert made.at(ALICE).crowded(110.0)  # type: ignore[union-attr]


def test_realms_are_apart() -> None:
    """Extension 100 of one customer is not that of another."""
    made = Guesses()
    add(made, 1, 1.0)
    assert made.any_at(b"alice")
    assert made.at(Account(b"alice", b"example.org")) is None


def test_forged_guesses_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Users, realms, sources and Call-IDs have limits; the oldest go."""
    monkeypatch.setattr(module, "MAX_GUESSERS", 8)
    monkeypatch.setattr(module, "MAX_ALL_GUESSERS", 50)
    monkeypatch.setattr(module, "MAX_REALMS", 3)
    made = Guesses()
    for number in range(40):
        add(made, number, 1.0, number)
    assert len(made.at(ALICE).guessers) == 8  # type: ignore[union-attr]
    for number in range(200):
        add(made, number, 1.0, 1, Account(b"u%d" % number, b"r"))
    assert len(made._users) <= 110
    for number in range(9):
        add(made, number, 1.0, 1, Account(b"many", b"r%d" % number))
    assert len(made._users.get(b"many") or {}) == 3
