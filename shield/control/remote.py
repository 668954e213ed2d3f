"""Commands that other nodes may have this one run: which there are, how they are written, who may.

``SAFE`` is the whole list; what is not in it can never be run from elsewhere. A node runs none of them
unless its own configuration names them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

from shield.control.commands import COMMANDS, Argument, Kind
from shield.durations import parse_duration
from shield.errors import ConfigError, InputError

__all__ = ["READING", "SAFE", "RemoteSettings", "Safe", "read_words"]


class Safe(NamedTuple):
    """A command of the control socket, and which of its arguments are written without their name."""

    command: str
    positional: tuple[str, ...] = ()


SAFE: Mapping[str, Safe] = {
    "status": Safe("status"),
    "stats": Safe("stats"),
    "list": Safe("list", ("filter",)),
    "show": Safe("show", ("value",)),
    "rules": Safe("rules"),
    "firewall status": Safe("firewall.status"),
    "allow list": Safe("allow.list", ("filter",)),
    "cluster status": Safe("cluster.status"),
    "cluster members": Safe("cluster.members"),
    "cluster topology": Safe("cluster.topology"),
    "cluster events": Safe("cluster.events"),
    "capability list": Safe("cluster.capability.list", ("node",)),
    "tag list": Safe("cluster.tag.list"),
    "tag history": Safe("cluster.tag.history", ("tag",)),
    "ban": Safe("ban", ("values",)),
    "unban": Safe("unban", ("values",)),
    "allow": Safe("allow.add", ("values",)),
    "unallow": Safe("allow.remove", ("values",)),
    "reload": Safe("reload"),
    "capability enable": Safe("cluster.capability.enable", ("capability",)),
    "capability disable": Safe("cluster.capability.disable", ("capability",)),
    "tag set": Safe("cluster.tag.set", ("tag", "state")),
}
"""By the words that are written. None of them reads or writes files of the caller's choice, starts a
program, admits or removes members, or runs commands elsewhere; ``cluster disable`` is missing because
the node could not answer any more."""

READING = "@read"
"""In ``remote.allow``: all that change nothing."""


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """What other nodes may have this one run (``shield cluster run``). Nothing, unless it is named here.

    Whoever holds the key of a member that is named can run what is named; ``ban`` and ``unban`` go far.
    """

    allow: tuple[str, ...] = ()
    """Commands, such as ``["status", "show", "ban"]``; ``"@read"`` means all that change nothing."""
    nodes: tuple[str, ...] = ()
    """Names of the nodes that may have them run; empty means none."""
    authority: bool = False
    """Whether nodes that hold the authority may too, whatever their name."""
    rate: int = 30
    """Commands of one node in a minute."""

    def __post_init__(self) -> None:
        problems = []
        for name in self.allow:
            if name != READING and name not in SAFE:
                close = get_close_matches(name, SAFE, n=1)
                meant = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(SAFE)}"
                problems.append(f"remote.allow: no command {name!r}{meant}")
        if not 1 <= self.rate <= 10_000:
            problems.append("remote.rate: must be between 1 and 10000")
        if problems:
            raise ConfigError(*problems)

    def allows(self, name: str) -> bool:
        """Whether a command may be run here."""
        if name in self.allow:
            return True
        return READING in self.allow and not COMMANDS[SAFE[name].command].changes


def read_words(words: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """Read ``ban 192.0.2.1 duration=1h`` into its name and arguments; raises InputError.

    What the arguments may be is checked where they are used.
    """
    for count in (2, 1):
        name = " ".join(words[:count])
        if len(words) >= count and name in SAFE:
            return name, _arguments(name, SAFE[name], words[count:])
    close = get_close_matches(" ".join(words[:2]), SAFE, n=1)
    meant = f", did you mean {close[0]!r}?" if close else f"; there are {', '.join(SAFE)}"
    raise InputError(f"{' '.join(words[:2])[:80]!r} cannot be run on other nodes{meant}")


def _arguments(name: str, safe: Safe, words: Sequence[str]) -> dict[str, Any]:
    known = {argument.name: argument for argument in COMMANDS[safe.command].arguments}
    found: dict[str, Any] = {}
    rest: list[str] = []
    for word in words:
        key, equals, value = word.partition("=")
        if equals and key in known and key not in safe.positional:
            found[key] = _value(name, known[key], value)
        else:
            rest.append(word)
    for place, key in enumerate(safe.positional):
        last = place == len(safe.positional) - 1
        taken, rest = (rest, []) if last and key in ("values", "filter") else (rest[:1], rest[1:])
        if taken:
            found[key] = taken if known[key].kind is Kind.TEXTS else " ".join(taken)
    if rest:
        raise InputError(f"{name}: {rest[0][:80]!r} is too much")
    return found


def _value(name: str, argument: Argument, text: str) -> Any:
    if argument.kind is Kind.NUMBER:
        return parse_duration(text)
    if argument.kind is Kind.INTEGER and text.isdecimal():
        return int(text)
    if argument.kind is Kind.FLAG and text in ("true", "false"):
        return text == "true"
    if argument.kind is Kind.TEXT:
        return text
    raise InputError(f"{name}: {argument.name} must be {argument.kind.value}")
