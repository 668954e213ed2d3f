"""Every key of a rule document with what it takes and means: the reference in docs/rules.md.

``scripts/generate-docs`` writes it, and a test compares this list with what ``parse_rule`` reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from shield.detect.habits import HABITS, MOST_TRACES
from shield.detect.oddities import ODDITIES
from shield.detect.rule import ALGORITHMS, GROUPS, KINDS, PROOFS, Rule

__all__ = ["KEYS", "Key", "marks_of", "marks_reference", "reference"]


class Key(NamedTuple):
    """One key."""

    name: str
    takes: str
    default: str
    meaning: str


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(f"`{name}`" for name in names)


_TEST = "[test](#tests)"
_FIELD_TESTS = (
    Key("field.NAME", _TEST, "none", "A test on a [field](#fields)."),
    Key("header.NAME", _TEST, "none", "A test on any header field, by its full name."),
)

KEYS: dict[str, tuple[Key, ...]] = {
    "": (
        Key("description", "text", "required", "What the client does, for people."),
        Key("name", "text", "file name", "If given, must be the file name without `.toml`."),
        Key("kind", _names(KINDS), "`scan`", "Class of behaviour."),
        Key("severity", "1 to 4", "2", "How bad it is; 4 is worst."),
        Key("confidence", "1 to 3", "2", "How sure the sign is; 3 is surest."),
        Key("score", "1 to 100", "1", "Weight that the marks must reach together."),
        Key("mark", "list of tables", "none", "See [weighted signs](#mark-weighted-signs-of-a-tool)."),
    ),
    "match": (
        Key("event", "list of events", '`["request"]`', "See [events](#events)."),
        Key("method", "list of methods", "every one", "Method of the request, in capitals."),
        Key(
            "status", 'list of `404` or `"480-489"`', "every one",
            "Status of the response; for `abandoned` that of the challenge.",
        ),
        Key("credentials", "true, false", "either", "Whether it carries (Proxy-)Authorization."),
        Key(
            "trusted", "true, false", "either",
            "Whether the client logged in or completed a call within `detect.trust_time`.",
        ),
        Key(
            "repeat", "true, false", "either",
            "Whether a refused try is a phone repeating its stored password: same Call-ID and From tag, "
            "rising CSeq, and no second answer to one nonce.",
        ),
        Key("mismatch", "true", "off", "The account differs from the user of From and of To."),
        Key(
            "foreign", "true", "off",
            "Neither From nor Request-URI names one of `detect.domains` (or a part of one) or the "
            "server's address. Silent while `detect.domains` is empty. Name public addresses of servers "
            "behind NAT there too.",
        ),
        Key(
            "rate", "0 to 1,000,000", "0", "Requests that the client made in the last minute, at least."
        ),
        *_FIELD_TESTS,
    ),
    "exempt": (
        Key(
            "trusted", "true", "off",
            "Clients that are trusted; one that has become so is not accused with others either.",
        ),
        Key("network", "list of addresses and networks", "none", "Clients in one of these."),
        *_FIELD_TESTS,
    ),
    "count": (
        Key(
            "group_by", f"one or a list of {_names(GROUPS)}", "`client`",
            "One counter for each. Without `client`, all sources are counted together: see "
            "[many sources](#many-sources-one-target). `by` is the same key.",
        ),
        Key("by", "as `group_by`", "`client`", "Short for `group_by`."),
        Key("distinct", "a field", "none", "Count different values of it instead of events."),
        Key("max_retry", "1 to 10,000", "1", "The alert comes with this one."),
        Key("find_time", "duration up to 24 h", '`"10m"`', "Within this time."),
        Key(
            "tiers", 'table of duration to number, `{ "1h" = 8, "1d" = 10 }`', "none",
            "Longer windows of the same counter, for clients without success: what came before the last "
            "success of the client does not count in them. 2 to 64 things, at most four.",
        ),
        Key(
            "trusted_factor", "1 to 100", "4",
            "`max_retry` times this for trusted clients, and for networks with good neighbours.",
        ),
        Key(
            "algorithm", _names(ALGORITHMS), "`window`",
            "Exact sliding window; a leaky bucket that loses `max_retry` per `find_time`; or a score "
            "that halves every `half_life`. The last two count events of one client.",
        ),
        Key("half_life", "duration up to 24 h", '`"1h"`', "Of a `score`."),
        Key(
            "forgive", "true, false", "true",
            'With `distinct = "user"`: a success for a user takes that user out again. Where many '
            "sources are counted together, a success takes out what its source did.",
        ),
    ),
    "require": (
        Key(
            "proof", f"list of {_names(tuple(PROOFS))}", "none",
            "Only messages with one of these signs count, which nobody can forge from another address: "
            "our nonce came back, our To tag came back, a TCP handshake.",
        ),
        Key("sources", "1 to 256", "1", "So many sources must take part."),
        Key("each", "1 to 16", "1", "Who takes part has shown so many things of its own."),
    ),
    "decision": (
        Key("ban_time", "duration up to 30 days", '`"1h"`', "First ban; repeated ones grow by policy."),
        Key(
            "network", "two numbers, such as `[24, 64]`", "the address",
            "Ban the prefix of this length (IPv4, IPv6) instead, if nobody in its /24 or /64 "
            "ever logged in, made a call that was answered, or is allowlisted. 24 to 32 and 64 to 128.",
        ),
    ),
}  # fmt: skip
"""Name of a table to its keys; the first one is the document itself."""

TITLES = {
    "": "Top level",
    "match": "[match]: which events count",
    "exempt": "[exempt]: which do not",
    "count": "[count]: how many, of what, in which time",
    "require": "[require]: what must be shown",
    "decision": "[decision]: what is asked for",
}
NOTES = {
    "match": "Every key that is given must fit.",
    "exempt": "An event does not count if one of these fits.",
    "count": "With `max_retry = 1`, `event` including `request` and no `rate`, one message is enough: "
    "a *fingerprint*.",
    "decision": "A duration is a number of seconds or a text such as "
    '`"90s"`, `"10m"`, `"1h30m"`, `"7d"`.',
}

MARK_KEYS = (
    Key("field", "a [field](#fields)", "none", "One [test](#tests) on it stands beside."),
    Key("oddity", "one of the first table below", "none", "What is odd about the message."),
    Key("habit", "one of the second table below", "none", "What its source does over several requests."),
    Key("least", f"2 to {MOST_TRACES}", "2", "So much of the habit is a mark."),
    Key("weight", "1 to 100", "1", "What it adds to the sum."),
)


def _table(head: str, rows: Iterable[Sequence[object]]) -> list[str]:
    names = head.split(" | ")
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return [f"| {head} |", "|" + " --- |" * len(names), *lines]


def marks_reference() -> str:
    """Keys of a mark, oddities and habits as Markdown."""
    habits = [(f"`{name}`", meaning) for name, (meaning, _) in HABITS.items()]
    return "\n".join(
        [
            *_table("key | takes | default | meaning", [(f"`{key[0]}`", *key[1:]) for key in MARK_KEYS]),
            "",
            *_table("oddity | meaning", [(f"`{name}`", text) for name, text in ODDITIES.items()]),
            "",
            *_table("habit | what is counted", habits),
        ]
    )


def marks_of(rule: Rule) -> str:
    """The marks of a rule with their weights and meanings as Markdown, the heaviest first."""
    rows = []
    for mark in sorted(rule.marks, key=lambda mark: -mark.weight):
        kind, _, name = mark.text.partition(" ")
        name = name.partition(",")[0]
        meaning = ODDITIES[name] if mark.oddity else HABITS[name][0] if mark.habit else ""
        least = f", {mark.least} or more" if mark.habit else ""
        rows.append((mark.weight, f"{kind} `{name}`{least}", meaning))
    return "\n".join(_table("weight | mark | meaning", rows))


def reference() -> str:
    """All keys as Markdown."""
    parts: list[str] = []
    for table, keys in KEYS.items():
        parts += [f"## {TITLES[table]}", ""]
        if table in NOTES and table != "decision":
            parts += [NOTES[table], ""]
        parts += ["| key | takes | default | meaning |", "| --- | --- | --- | --- |"]
        parts += [f"| `{key.name}` | {key.takes} | {key.default} | {key.meaning} |" for key in keys]
        parts.append("")
    return "\n".join([*parts, NOTES["decision"]])
