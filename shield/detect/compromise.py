"""Compromise: an account whose password somebody has found out, with the calls that he makes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from shield.detect.alert import Proof
from shield.net import unpack
from shield.sip.calls import Call

__all__ = ["CallRecord", "Compromise", "How", "Participant", "record_of"]

SHOWN = 120
"""Characters of a text that the network sent."""


class How(StrEnum):
    """What makes the success look like theft, the surest first."""

    GUESSED = "guessed"
    """The source itself had guessed at the account enough for a ban."""
    CROWD = "crowd"
    """Many sources guessed at it together, and this one was among them."""
    ELSEWHERE = "elsewhere"
    """Many sources guessed at it, and then it was used from a place where it never was."""


@dataclass(frozen=True, slots=True)
class Participant:
    """One source that guessed."""

    source: bytes
    guesses: int
    first: float
    last: float
    proofs: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """One element of ``sources``."""
        return {
            "value": unpack(self.source),
            "guesses": self.guesses,
            "first": round(self.first, 6),
            "last": round(self.last, 6),
            "proofs": list(self.proofs),
        }


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call as it stood when it was told; times are event times, None for what has not happened."""

    call_id: str
    source: str
    account: str
    caller: str
    called: str
    state: str
    """``trying``, ``ringing``, ``answered``, ``ended`` or ``failed``."""
    status: int
    time: float
    rang: float | None
    answered: float | None
    ended: float | None
    duration: float
    """Seconds since the answer."""
    user_agent: str
    incomplete: bool
    """Parts of it were not seen: the source is banned, or the end did not come."""

    def as_json(self) -> dict[str, Any]:
        """One element of ``calls``."""
        return {name: getattr(self, name) for name in self.__slots__}


def record_of(call: Call, time: float) -> CallRecord:
    """How a call stands at ``time``."""
    return CallRecord(
        call_id=text(call.call_id),
        source=unpack(call.source) if call.source else "",
        account=text(call.account),
        caller=text(call.caller),
        called=text(call.called),
        state=call.state.value,
        status=call.status,
        time=round(call.started, 6),
        rang=round(call.rang, 6) or None,
        answered=round(call.answered, 6) or None,
        ended=round(call.ended, 6) or None,
        duration=round(call.duration(time), 3),
        user_agent=text(call.agent),
        incomplete=call.incomplete,
    )


def text(value: bytes) -> str:
    """What the network sent, for people and JSON."""
    return value[:SHOWN].decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class Compromise:
    """Account ``account`` was guessed at and then taken over; ``kind`` says what is new."""

    id: str
    kind: str
    """``found`` when it is reported first, ``call`` when its calls have changed."""
    time: float
    """Event time of what is new."""
    account: str
    realm: str
    how: How
    source: bytes
    """Who logged in."""
    server: bytes
    method: str
    user_agent: str
    succeeded: float
    """Event time of the success."""
    guesses: int
    guessers: int
    """Sources that guessed; ``sources`` names the first of them."""
    first_guess: float
    last_guess: float
    sources: tuple[Participant, ...]
    proof: Proof
    proofs: tuple[str, ...]
    incomplete: bool
    """The requests of the source were not read, since it is banned: told from the answers to them."""
    calls: tuple[CallRecord, ...] = ()
    calls_total: int = 0

    @property
    def address(self) -> str:
        """Text of the address that logged in."""
        return unpack(self.source)

    @property
    def reason(self) -> str:
        """One line for people."""
        many = f"{self.guesses} guesses from {self.guessers} source{'s' * (self.guessers != 1)}"
        seconds = max(0.0, self.last_guess - self.first_guess)
        line = f"{many} in {seconds:.0f} s, then a login from {self.address} ({self.how.value}"
        return f"{line}, {self.proof.value})"

    def as_json(self) -> dict[str, Any]:
        """The one shape in which a compromise is shown everywhere."""
        return {
            "id": self.id,
            "kind": self.kind,
            "time": round(self.time, 6),
            "account": self.account,
            "realm": self.realm,
            "how": self.how.value,
            "value": self.address,
            "server": unpack(self.server) if self.server else "",
            "method": self.method,
            "user_agent": self.user_agent,
            "succeeded": round(self.succeeded, 6),
            "guesses": self.guesses,
            "guessers": self.guessers,
            "first_guess": round(self.first_guess, 6),
            "last_guess": round(self.last_guess, 6),
            "sources": [one.as_json() for one in self.sources],
            "proof": self.proof.value,
            "proofs": list(self.proofs),
            "incomplete": self.incomplete,
            "reason": self.reason,
            "calls": [call.as_json() for call in self.calls],
            "calls_total": self.calls_total,
        }
