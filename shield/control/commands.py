"""The commands of the control socket: name, arguments, answer, and whether it changes anything.

COMMANDS is the whole table; both sides check a request against it before anything runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from shield.errors import InputError

__all__ = [
    "COMMANDS",
    "IMPORT_ITEMS",
    "Actor",
    "Answer",
    "Argument",
    "Command",
    "Dispatcher",
    "Kind",
    "Request",
    "check",
]

IMPORT_ITEMS = 1000
"""Decisions in one ``import``; a longer list is sent as several requests on one connection."""

TEXT_LENGTH = 4096
"""Longest text argument: a filter expression or a reason, never a document."""

TEXTS = 1000
"""Most entries of a list argument."""


class Kind(StrEnum):
    """Type of an argument; the value is how a message names it."""

    TEXT = "text"
    NUMBER = "a number"
    INTEGER = "a whole number"
    FLAG = "true or false"
    TEXTS = "a list of texts"
    OBJECTS = "a list of objects"


class Answer(StrEnum):
    """Shape of an answer."""

    VALUE = "value"
    """One line."""
    LIST = "list"
    """Finite, in chunks."""
    EVENTS = "events"
    """Lines until the client leaves."""


class Argument(NamedTuple):
    """One argument of a command. Lower bounds of numbers are 0: no command takes less."""

    name: str
    kind: Kind
    required: bool = False
    choices: tuple[str, ...] = ()


class Command(NamedTuple):
    """One command: what it takes, how it answers, and whether it changes anything."""

    name: str
    help: str
    arguments: tuple[Argument, ...]
    answer: Answer
    changes: bool


def _read(name: str, text: str, *arguments: Argument, answer: Answer = Answer.VALUE) -> Command:
    return Command(name, text, arguments, answer, changes=False)


def _change(name: str, text: str, *arguments: Argument) -> Command:
    return Command(name, text, arguments, Answer.VALUE, changes=True)


_FILTER = Argument("filter", Kind.TEXT)
_VALUES = Argument("values", Kind.TEXTS, required=True)
_DURATION = Argument("duration", Kind.NUMBER)
_REASON = Argument("reason", Kind.TEXT)
_NODE = Argument("node", Kind.TEXT, required=True)
_TO = Argument("node", Kind.TEXT)
_TEXT = Argument("text", Kind.TEXT, required=True)
_TIMEOUT = Argument("timeout", Kind.NUMBER)
_SELF = Argument("include_self", Kind.FLAG)
_CAPABILITY = Argument("capability", Kind.TEXT, required=True)
_NUMBER = Argument("number", Kind.TEXT, required=True)
_TAG = Argument("tag", Kind.TEXT, required=True)

_TABLE = (
    _read("status", "State of the daemon: mode, uptime, parts, warnings."),
    _read("stats", "All counters, by part."),
    _read("list", "Live decisions.", _FILTER, Argument("limit", Kind.INTEGER), answer=Answer.LIST),
    _read("export", "Live decisions, complete enough to import elsewhere.", _FILTER, answer=Answer.LIST),
    _read(
        "show",
        "Why an address is banned or not: decisions, alerts, evidence, history.",
        Argument("value", Kind.TEXT, required=True),
    ),
    _read("rules", "Rules in use and how often each one matched."),
    _read(
        "watch",
        "Alerts and changes as they happen.",
        _FILTER,
        Argument("kinds", Kind.TEXTS, choices=("alert", "change", "compromised", "cluster")),
        answer=Answer.EVENTS,
    ),
    _read(
        "compromised",
        "Accounts whose password was guessed, with their calls.",
        Argument("about", Kind.TEXT),
        Argument("limit", Kind.INTEGER),
        answer=Answer.LIST,
    ),
    _change(
        "compromised.clear",
        "Forget reports that are dealt with.",
        Argument("values", Kind.TEXTS),
        Argument("all", Kind.FLAG),
    ),
    _read("firewall.status", "Backend, elements in the kernel, failed commits."),
    _read("allow.list", "Entries of the allowlist.", _FILTER, answer=Answer.LIST),
    _change("allow.add", "Allow addresses, networks or names.", _VALUES, _DURATION, _REASON),
    _change("allow.remove", "Take entries out of the allowlist.", _VALUES),
    _change(
        "ban",
        "Ban addresses or networks, or limit addresses.",
        _VALUES,
        _DURATION,
        _REASON,
        Argument("limit", Kind.FLAG),
    ),
    _change(
        "unban",
        "End bans: by value, by filter, or all of them.",
        Argument("values", Kind.TEXTS),
        _FILTER,
        Argument("all", Kind.FLAG),
        _REASON,
    ),
    _change(
        "import",
        "Enter decisions made elsewhere.",
        Argument("decisions", Kind.OBJECTS, required=True),
        _DURATION,
        _REASON,
        Argument("dry_run", Kind.FLAG),
    ),
    _change("reload", "Read configuration and rules again."),
    _change(
        "inject",
        "Take the packets of a capture file as though an interface had seen them.",
        Argument("path", Kind.TEXT, required=True),
    ),
    _read(
        "whereis",
        "Where a user is registered, by what is known here or by asking all nodes.",
        Argument("user", Kind.TEXT, required=True),
        Argument("ask", Kind.FLAG),
        _TIMEOUT,
    ),
    _read("users", "All users that are registered at some node.", answer=Answer.LIST),
    _change("hooks.test", "Send a sample to each webhook and program."),
    _read("conference.list", "Conferences that are on, and their hosts.", answer=Answer.LIST),
    _read("conference.show", "One conference.", _NUMBER),
    _change("conference.release", "Take a conference away from its host.", _NUMBER),
    _read("calls", "Calls that ring or are answered at this node.", answer=Answer.LIST),
    _read(
        "cdr.list",
        "Calls of the journal, the newest first.",
        Argument("user", Kind.TEXT),
        Argument("state", Kind.TEXT),
        Argument("since", Kind.NUMBER),
        Argument("limit", Kind.INTEGER),
        answer=Answer.LIST,
    ),
    _read(
        "cdr.show",
        "One call: by number, key or Call-ID.",
        Argument("call", Kind.TEXT, required=True),
        answer=Answer.LIST,
    ),
    _read("cdr.stats", "Reports, spool, collectors, calls by state."),
    _read("cdr.watch", "Calls as the journal learns of them.", answer=Answer.EVENTS),
    _read("cluster.status", "This node's part in its cluster."),
    _read("cluster.list", "Further clusters of this node, and its bridges to them."),
    _read("cluster.members", "Members with state, way, round trip, and whether blocklists are equal."),
    _read("cluster.topology", "Connections between members and the ways of this node's messages."),
    _read("cluster.capabilities", "Features that take part, and what they have sent."),
    _read(
        "cluster.events", "What happened to members and connections.", Argument("limit", Kind.INTEGER)
    ),
    _read("cluster.listen", "Texts of other nodes as they come.", answer=Answer.EVENTS),
    _read("cluster.ask", "Ask nodes a text and wait for the replies.", _TEXT, _TO, _TIMEOUT, _SELF),
    _read("cluster.broadcast", "Send a text to all nodes, or to one.", _TEXT, _TO, _SELF),
    _read(
        "cluster.reply",
        "Reply to a request that was listened to.",
        Argument("id", Kind.INTEGER, required=True),
        _TEXT,
    ),
    _change("cluster.start", "Take part in the cluster whose identity this host has."),
    _change("cluster.leave", "Say goodbye and take part no more until the next start."),
    _change("cluster.enable", "Take part in the capabilities again."),
    _change("cluster.disable", "Stay connected, but neither send nor take anything."),
    _change("cluster.remove", "Forget a member that is not there any more, on all nodes.", _NODE),
    _change(
        "cluster.invite",
        "Make a token with which one host may join.",
        Argument("node", Kind.TEXT),
        Argument("valid", Kind.NUMBER),
        Argument("advertise", Kind.TEXT),
    ),
    _change("cluster.revoke", "Put a node out of the cluster for good.", _NODE),
    _change("cluster.release", "Apply what is held of a node beyond its budget.", _NODE),
    _change("cluster.drop", "Take back, on all nodes, what is held of a node.", _NODE),
    _read("cluster.capability.list", "Capabilities of all nodes: enabled, state of their data.", _TO),
    _change(
        "cluster.run",
        "Have another node, or all, run one of the commands that they allow.",
        _NODE,
        Argument("order", Kind.TEXT, required=True),
        Argument("arguments", Kind.TEXT, required=True),
        _TIMEOUT,
    ),
    _read(
        "cluster.audit",
        "Commands that this node had others run, and ran for others.",
        Argument("limit", Kind.INTEGER),
    ),
    _change("cluster.capability.enable", "Send and take messages of a capability again.", _CAPABILITY),
    _change("cluster.capability.disable", "Neither send nor take messages of one.", _CAPABILITY),
    _read("cluster.tag.list", "Sharing tags: what this node is for each, who is active, why."),
    _read("cluster.tag.history", "Changes of one sharing tag with their reasons.", _TAG),
    _change(
        "cluster.tag.set",
        "Be active for a sharing tag, or give it back.",
        _TAG,
        Argument("state", Kind.TEXT, required=True, choices=("active", "backup")),
        _REASON,
    ),
)


_OF_ALL = frozenset({"cluster.list", "cluster.run", "cluster.audit"})
"""Commands of clusters that are of no single one, or of the main one only."""


def _of_any(command: Command) -> Command:
    """Let a command of the cluster say which further cluster of this node it means."""
    if not command.name.startswith("cluster.") or command.name in _OF_ALL:
        return command
    return command._replace(arguments=(*command.arguments, Argument("cluster", Kind.TEXT)))


COMMANDS: Mapping[str, Command] = {command.name: _of_any(command) for command in _TABLE}


class Actor(NamedTuple):
    """Who sent a request, as the kernel says (SO_PEERCRED of unix(7))."""

    name: str
    """Login name, or the number when it has none."""
    uid: int
    pid: int

    def __str__(self) -> str:
        return f"{self.name} (uid {self.uid}, pid {self.pid})"


class Dispatcher(Protocol):
    """What runs the commands: the node."""

    async def handle(self, command: str, arguments: dict[str, Any], actor: Actor) -> Any:
        """Run a command whose arguments have been checked; absent optional ones are missing.

        Gives JSON data for ``Answer.VALUE`` and, for the other two, an iterable or an async
        iterable of JSON items. Items of a list are taken in steps with other work in between,
        so it must iterate over a copy. Any ShieldError becomes an error answer.
        """
        ...


class Request(NamedTuple):
    """One checked request."""

    command: Command
    arguments: dict[str, Any]


def check(name: str, arguments: Mapping[str, Any]) -> Request:
    """Check a command against the table; raises InputError naming the argument."""
    command = COMMANDS.get(name)
    if command is None:
        raise InputError(f"unknown command: {name[:40]!r}")
    known = {argument.name: argument for argument in command.arguments}
    for key in arguments:
        if key not in known:
            raise InputError(f"{name}: unknown argument {key[:40]!r}")
    given = {key: value for key, value in arguments.items() if value is not None}
    for argument in command.arguments:
        if argument.name in given:
            _check_argument(name, argument, given[argument.name])
        elif argument.required:
            raise InputError(f"{name}: argument {argument.name!r} is missing")
    return Request(command, given)


def _check_argument(command: str, argument: Argument, value: Any) -> None:
    """Raise InputError unless ``value`` fits."""
    where = f"{command}: argument {argument.name!r}"
    if not _fits(argument.kind, value):
        raise InputError(f"{where} must be {argument.kind.value}")
    if isinstance(value, list) and len(value) > (
        IMPORT_ITEMS if argument.kind is Kind.OBJECTS else TEXTS
    ):
        raise InputError(f"{where} has too many entries ({len(value)})")
    texts = value if argument.kind is Kind.TEXTS else [value] if argument.kind is Kind.TEXT else []
    for text in texts:
        if len(text) > TEXT_LENGTH:
            raise InputError(f"{where} is longer than {TEXT_LENGTH} characters")
        if argument.choices and text not in argument.choices:
            raise InputError(f"{where} must be one of {', '.join(argument.choices)}")


def _fits(kind: Kind, value: Any) -> bool:
    if kind is Kind.FLAG:
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind is Kind.NUMBER:
        # NaN compares false; infinity is no duration.
        return isinstance(value, int | float) and 0 <= value < float("inf")
    if kind is Kind.INTEGER:
        return isinstance(value, int) and value >= 0
    if kind is Kind.TEXT:
        return isinstance(value, str)
    inner: type = str if kind is Kind.TEXTS else dict
    return isinstance(value, list) and all(isinstance(entry, inner) for entry in value)
