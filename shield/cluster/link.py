"""Link: one connection to another member: hello, signs of life, what waits to be sent.

The states are few: we have said hello (OPENING), both have (UP), it is over (CLOSED). Who the peer is
was proven by its certificate before the first byte came here; its hello may only repeat that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from shield.cluster.messages import (
    ALIVE,
    HIGHEST_VERSION,
    LOWEST_VERSION,
    Alive,
    Hello,
    MemberNews,
    Message,
    Ping,
    Pong,
    Refuse,
    Revoked,
    Routed,
    decode,
    encode_message,
)
from shield.errors import RemoteError
from shield.wire import MAX_FRAME, MAX_GREETING, Frames

__all__ = ["Link", "LinkState", "LinkStats"]

Signed = MemberNews | Routed | Revoked

SIGNED_WORK = 20
"""Frames that cost as much as looking at one signature."""

SMOOTHING = 0.2
"""Weight of the newest round trip in the average."""

ROUND_TRIPS = 8
"""Intervals after which the other side pings as well, to know its round trip."""

GRACE_SECONDS = 0.5
"""How late the peer's ping may be until we ping."""

HELLO_SECONDS = 5.0
"""A peer that connects and says nothing is closed after this time."""


class LinkState(Enum):
    """Where a link stands."""

    OPENING = "opening"
    UP = "up"
    CLOSED = "closed"


@dataclass(slots=True)
class LinkStats:
    """Counters of one link."""

    frames_in: int = 0
    frames_out: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    unknown: int = 0
    """Messages with a number that we do not know."""
    dropped: int = 0
    """Frames that were not sent because the peer does not read."""
    overflows: int = 0


@dataclass(slots=True, eq=False)
class Link:
    """One connection."""

    peer: str
    """Name in the peer's certificate."""
    issued: float
    """When that certificate was issued, seconds since the epoch."""
    dialed: bool
    """We connected to it."""
    hello: Hello
    """What we say."""
    opened: float
    """Node time."""
    budget: int
    """Octets that may wait."""
    state: LinkState = LinkState.OPENING
    theirs: Hello | None = None
    rtt: float | None = None
    """Smoothed round trip, seconds."""
    clock_offset: float | None = None
    """How far its wall clock is ahead of ours, seconds, about; for people."""
    why: str = ""
    """Why it was closed."""
    stats: LinkStats = field(default_factory=LinkStats)
    work: int = 0
    """About what its frames have cost, in frames of the cheap kind."""
    ready: dict[Link, None] = field(default_factory=dict, repr=False)
    """All links of the node on which something was queued, in that order; this one joins them."""
    lost: bool = False
    """Frames were dropped since the last look: whoever sends state must compare again."""
    _frames: Frames = field(default_factory=lambda: Frames(MAX_GREETING))
    _out: list[bytes] = field(default_factory=list)
    _waiting: int = 0
    _heard: float = 0.0
    _ping: tuple[int, float] = (0, float("-inf"))
    _pinged: float = float("-inf")

    def __post_init__(self) -> None:
        self._heard = self.opened
        self.send(self.hello)

    # --- bytes ------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float) -> list[tuple[Message, int]]:
        """Take bytes; gives the messages that are for somebody else than the link, and their octets.

        Raises RemoteError when the peer breaks the protocol; the caller then closes the link.
        """
        self._heard = now
        self.stats.bytes_in += len(data)
        frames, found = self._frames, list[tuple[Message, int]]()
        frames.feed(data)
        while self.state is not LinkState.CLOSED and (frame := frames.next_frame()) is not None:
            self.stats.frames_in += 1
            self.work += 1
            message = decode(frame)
            if message is None:
                self.stats.unknown += 1
            elif self.state is LinkState.OPENING:
                self._greeted(message)
            elif isinstance(message, Pong):
                self._answered(message.sequence, now)
            elif isinstance(message, Hello):
                raise RemoteError("second_hello")
            else:
                if isinstance(message, Ping):
                    self._pinged = now
                elif isinstance(message, Alive):
                    self._answered(message.sequence, now)
                elif isinstance(message, Signed):
                    self.work += SIGNED_WORK
                found.append((message, frames.size))
        return found

    def data_to_send(self, most: int = 256 * 1024) -> bytes:
        """Give up to about ``most`` octets that wait."""
        if not self._out:
            return b""
        taken, size = 0, 0
        for frame in self._out:
            if size >= most:
                break
            taken += 1
            size += len(frame)
        data = b"".join(self._out[:taken])
        del self._out[:taken]
        self._waiting -= size
        self.stats.bytes_out += size
        return data

    @property
    def version(self) -> int:
        """Version of the protocol that both speak; 0 before the hello."""
        return 0 if self.theirs is None else min(HIGHEST_VERSION, self.theirs.highest)

    @property
    def features(self) -> tuple[str, ...]:
        """What both can beyond the version."""
        theirs = () if self.theirs is None else self.theirs.features
        return tuple(feature for feature in self.hello.features if feature in theirs)

    @property
    def waiting(self) -> int:
        """Octets that wait to be sent."""
        return self._waiting

    # --- messages ---------------------------------------------------------------------------

    def send(self, message: Message) -> bool:
        """Queue a message; False when it was dropped because too much waits already."""
        if self.state is LinkState.CLOSED:
            return False
        return self.send_frame(encode_message(message))

    def send_frame(self, frame: bytes) -> bool:
        """Queue a packed message; False when it was dropped because too much waits already."""
        if self._waiting + len(frame) > self.budget:
            self.stats.dropped += 1
            self.stats.overflows += not self.lost
            self.lost = True
            return False
        self._out.append(frame)
        self.ready[self] = None
        self._waiting += len(frame)
        self.stats.frames_out += 1
        return True

    def ping(self, now: float, reports: dict[str, bytes]) -> None:
        """Ask for a sign of life."""
        self._ping = self._ping[0] + 1, now
        self.send(Ping(self._ping[0], reports))

    def answer(self, ping: Ping, reports: dict[str, bytes]) -> None:
        """Give a sign of life."""
        mutual = ALIVE in self.features
        self.send(Alive(ping.sequence, reports) if mutual else Pong(ping.sequence))

    def ping_due(self, now: float, interval: float) -> bool:
        """Whether it is time for the next ping: that of the peer will do, but for the round trip."""
        asked = ALIVE in self.features and now - self._pinged < interval + GRACE_SECONDS
        wait = ROUND_TRIPS * interval if asked else interval
        return self.state is LinkState.UP and now - self._ping[1] >= wait

    def silent(self, now: float) -> float:
        """Seconds since anything came."""
        return now - self._heard

    def overdue(self, now: float, timeout: float) -> str:
        """Why the link should be given up, or an empty text."""
        if self.state is LinkState.OPENING and now - self.opened > HELLO_SECONDS:
            return "no hello"
        if self.state is LinkState.UP and self.silent(now) > timeout:
            return f"silent for {timeout:g} s"
        return ""

    def close(self, why: str) -> None:
        """Be over; what is queued may still be sent."""
        if self.state is not LinkState.CLOSED:
            self.state = LinkState.CLOSED
            self.why = why

    def refuse(self, reason: str, text: str = "") -> None:
        """Tell the peer why, and be over."""
        self.send(Refuse(reason, text[:200]))
        self.close(f"{reason}: {text}" if text else reason)

    def as_json(self, now: float) -> dict[str, Any]:
        """The link for people."""
        return {
            "peer": self.peer,
            "state": self.state.value,
            "dialed": self.dialed,
            "version": self.version,
            "features": list(self.features),
            "age": round(now - self.opened, 3),
            "silent": round(self.silent(now), 3),
            "rtt": None if self.rtt is None else round(self.rtt, 6),
            "clock_offset": None if self.clock_offset is None else round(self.clock_offset, 3),
            "waiting": self._waiting,
            **{name: getattr(self.stats, name) for name in LinkStats.__slots__},
        }

    def _greeted(self, message: Message) -> None:
        if isinstance(message, Refuse):
            raise RemoteError("refused", f"{message.reason} {message.text}".strip())
        if not isinstance(message, Hello):
            raise RemoteError("no_hello", f"{type(message).__name__} before the hello")
        if message.cluster != self.hello.cluster:
            raise RemoteError("wrong_cluster", f"it belongs to {message.cluster!r}")
        if message.node != self.peer:
            raise RemoteError("forged_name", f"{message.node!r} with the certificate of {self.peer!r}")
        if message.lowest > HIGHEST_VERSION or message.highest < LOWEST_VERSION:
            raise RemoteError(
                "version",
                f"it speaks {message.lowest} to {message.highest}, "
                f"we {LOWEST_VERSION} to {HIGHEST_VERSION}",
            )
        self.theirs = message
        self.clock_offset = message.wall - self.hello.wall
        self.state = LinkState.UP
        self._frames.limit = MAX_FRAME

    def _answered(self, answered: int, now: float) -> None:
        sequence, sent = self._ping
        if answered != sequence:
            return  # of an earlier ping
        took = now - sent
        self.rtt = took if self.rtt is None else self.rtt + SMOOTHING * (took - self.rtt)
