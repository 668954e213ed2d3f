"""Settings of hooks: who is told of which events."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from shield.errors import ConfigError, InputError

__all__ = ["EVENTS", "HooksSettings", "Program", "Webhook"]

EVENTS = ("compromised", "alert", "flood", "ban", "unban")
"""Names of events: an account was taken over (and its calls), an alert, one of kind flood, a ban or
limit began or grew, one ended."""
MAX_TARGETS = 16
"""Webhooks and programs together."""

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e]*")


@dataclass(frozen=True, slots=True)
class Webhook:
    """A web server that gets each event as JSON in a POST."""

    url: str = ""
    """Address of the receiver. Only https, or http to this machine."""
    events: tuple[str, ...] = ("compromised",)
    """Which events: compromised, alert, flood, ban, unban."""
    headers: tuple[str, ...] = ()
    """Further header fields, each written "Name: value"."""
    token_file: str = ""
    """File with a token that is sent as "Authorization: Bearer"."""
    secret_file: str = ""
    """File with a secret; the HMAC-SHA256 of the body is then sent in X-Shield-Signature."""
    ca_file: str = ""
    """File with certificates of the authority; empty means those that the system trusts."""
    timeout: float = 10.0
    """Seconds for one try."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InputError(f"url: {self.url[:80]!r} is no http or https address")
        if parts.scheme == "http" and parts.hostname not in ("localhost", "127.0.0.1", "::1"):
            raise InputError("url: must be https, except to this machine")
        for line in self.headers:
            if not _HEADER.fullmatch(line):
                raise InputError(f'headers: {line[:40]!r} must be "Name: value"')
        _check(self.events, self.timeout)

    @property
    def name(self) -> str:
        """The target without path and user, which may be secret."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


@dataclass(frozen=True, slots=True)
class Program:
    """A program that is started for each event, with its JSON on standard input."""

    command: tuple[str, ...] = ()
    """Program with its absolute path, and its arguments. No shell reads them."""
    events: tuple[str, ...] = ("compromised",)
    """Which events: compromised, alert, flood, ban, unban."""
    timeout: float = 30.0
    """Seconds after which it is killed, with all that it started."""

    def __post_init__(self) -> None:
        if not self.command or not self.command[0].startswith("/"):
            raise InputError("command: must be a list that begins with an absolute path")
        if any("\0" in word for word in self.command):
            raise InputError("command: no argument may hold a NUL")
        _check(self.events, self.timeout)

    @property
    def name(self) -> str:
        """The program."""
        return self.command[0]


@dataclass(frozen=True, slots=True)
class HooksSettings:
    """Who is told what happens: web servers and programs (see docs/hooks.md)."""

    webhook: tuple[Webhook, ...] = ()
    """Web servers, each a table of its own."""
    exec: tuple[Program, ...] = ()
    """Programs, each a table of its own."""
    queue: int = 1_000
    """Events that wait for one target; of more the oldest are dropped and counted."""
    parallel: int = 4
    """Processes of one program at a time."""
    retry_first: float = 1.0
    """Seconds until a webhook that failed is tried again; each further time twice as long."""
    retry_last: float = 300.0
    """Longest wait between two tries."""
    retry_time: float = 86_400.0
    """Seconds after which an event that a webhook does not take is given up."""

    def __post_init__(self) -> None:
        problems = []
        if len(self.webhook) + len(self.exec) > MAX_TARGETS:
            problems.append(f"hooks.webhook: at most {MAX_TARGETS} targets, with those of hooks.exec")
        for name, most in (("queue", 100_000), ("parallel", 32)):
            if not 1 <= getattr(self, name) <= most:
                problems.append(f"hooks.{name}: must be between 1 and {most}")
        if not 0 < self.retry_first <= self.retry_last:
            problems.append("hooks.retry_first: must be above 0, and at most retry_last")
        if self.retry_time <= 0:
            problems.append("hooks.retry_time: must be above 0")
        if problems:
            raise ConfigError(*problems)


def _check(events: tuple[str, ...], timeout: float) -> None:
    for event in events:
        if event not in EVENTS:
            raise InputError(f"events: {event[:40]!r} is not one of {', '.join(EVENTS)}")
    if not events:
        raise InputError("events: name at least one")
    if not 0 < timeout <= 600:
        raise InputError("timeout: must be above 0 and at most ten minutes")
