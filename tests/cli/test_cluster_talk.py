"""cluster ask and broadcast: texts to other nodes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shield.errors import InputError

REPLIES = {"pbx-2": "alice at 192.0.2.7", "gw": "unknown"}


def asked(result: str = "sent", **values: Any) -> dict[str, Any]:
    return {"result": result, "code": 1, "replies": {}, "failures": {}, "missing": [], **values}


def test_ask_prints_who_replied_what(shield: Any, daemon: Any) -> None:
    """A line for each node; it is asked with the text and the default patience."""
    daemon.answers["cluster.ask"] = asked(replies=REPLIES)
    result = shield("cluster", "ask", "where is alice")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "pbx-2  alice at 192.0.2.7\ngw     unknown\n"
    assert daemon.calls == [("cluster.ask", {"text": "where is alice", "timeout": 2.0})]


def test_ask_passes_its_options_on(shield: Any, daemon: Any) -> None:
    """Node, patience and whether this node is asked too."""
    daemon.answers["cluster.ask"] = asked(replies=REPLIES)
    shield("cluster", "ask", "x", "--node", "pbx-2", "--timeout", "500ms", "--include-self")
    expected = {"text": "x", "node": "pbx-2", "timeout": 0.5, "include_self": True}
    assert daemon.calls == [("cluster.ask", expected)]


def test_who_did_not_reply_is_told_beside(shield: Any, daemon: Any) -> None:
    """Failures and silence go to standard error; one reply is enough for exit code 0."""
    daemon.answers["cluster.ask"] = asked(
        replies={"pbx-2": "yes"}, failures={"gw": "nobody listens on this node"}, missing=["old"]
    )
    result = shield("cluster", "ask", "x")
    assert result.exit_code == 0
    assert result.stdout == "pbx-2  yes\n"
    assert result.stderr == (
        "shield: gw: nobody listens on this node\nshield: old: no reply within 2s\n"
    )


def test_without_a_reply_ask_fails(shield: Any, daemon: Any) -> None:
    """A script can go by the exit code."""
    daemon.answers["cluster.ask"] = asked(missing=["old"])
    result = shield("cluster", "ask", "x", "--timeout", "1s")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "shield: old: no reply within 1s\n"


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("local_disabled", "this node takes no part (shield cluster enable)"),
        ("unreachable", "no other node can be reached"),
        ("failed", "too long, or too much waits to be sent already"),
        ("strange_new", "strange new"),
    ],
)
def test_why_nothing_was_sent(shield: Any, daemon: Any, code: str, why: str) -> None:
    """The words of the cluster become a sentence, for ask and broadcast alike."""
    daemon.answers["cluster.ask"] = asked(code)
    daemon.answers["cluster.broadcast"] = {"result": code, "code": -1}
    for command in ("ask", "broadcast"):
        result = shield("cluster", command, "x")
        assert result.exit_code == 1
        assert result.stderr == f"shield: not sent: {why}\n"


def test_a_slip_in_the_name_of_a_node_is_found(shield: Any, daemon: Any) -> None:
    """The nearest member is named; a member that is there cannot be reached."""
    daemon.answers["cluster.members"] = [{"name": "pbx-1"}, {"name": "pbx-2"}]
    daemon.answers["cluster.ask"] = asked("unreachable")
    daemon.answers["cluster.broadcast"] = {"result": "unreachable", "code": -2}
    for command in ("ask", "broadcast"):
        slip = shield("cluster", command, "x", "--node", "pbx2").stderr
        assert slip == "shield: not sent: no member 'pbx2', did you mean 'pbx-2'?\n"
        gone = shield("cluster", command, "x", "--node", "pbx-2").stderr
        assert gone == "shield: not sent: pbx-2 cannot be reached\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("ask",),
        ("ask", "x", "--timeout", "soon"),
        ("ask", "x", "--timeout", "10m"),
        ("ask", "x", "--node", "A B"),
        ("broadcast",),
        ("broadcast", "x", "--node", "A B"),
        ("broadcast", "x", "--nod", "a"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line(shield: Any, daemon: Any, arguments: tuple[str, ...]) -> None:
    """Exit code 2, and nobody is asked."""
    result = shield("cluster", *arguments)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert daemon.calls == []


def test_ask_for_scripts(shield: Any, daemon: Any) -> None:
    """JSON is the whole answer, plain a line for each reply."""
    answer = asked(replies=REPLIES, missing=["old"])
    daemon.answers["cluster.ask"] = answer
    assert json.loads(shield("cluster", "ask", "x", "-o", "json").stdout) == answer
    plain = shield("cluster", "ask", "x", "-o", "plain").stdout
    assert plain == "pbx-2\talice at 192.0.2.7\ngw\tunknown\n"


def test_ask_fits_a_narrow_terminal_and_is_harmless(shield: Any, daemon: Any) -> None:
    """A long reply goes on below itself, whole; control characters of a peer are shown as ?."""
    daemon.answers["cluster.ask"] = asked(replies={"pbx-2": "word " * 30 + "\x1b[2J"})
    lines = shield("cluster", "ask", "x", env={"COLUMNS": "60"}).stdout.splitlines()
    assert max(map(len, lines)) <= 60
    assert all(line.startswith(" " * 7) for line in lines[1:])
    assert lines[-1].endswith("?[2J")


def test_broadcast_says_what_became_of_it(shield: Any, daemon: Any) -> None:
    """The word for people and for scripts; only sent is exit code 0."""
    daemon.answers["cluster.broadcast"] = {"result": "sent", "code": 1}
    result = shield("cluster", "broadcast", "hello", "--include-self")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "sent\n", "")
    assert daemon.calls == [("cluster.broadcast", {"text": "hello", "include_self": True})]
    daemon.answers["cluster.broadcast"] = {"result": "local_disabled", "code": -1}
    assert shield("cluster", "broadcast", "x").stdout == "local disabled\n"
    result = shield("cluster", "broadcast", "x", "-o", "plain")
    assert (result.exit_code, result.stdout) == (1, "local_disabled\n")
    shown = json.loads(shield("cluster", "broadcast", "x", "-o", "json").stdout)
    assert shown == {"result": "local_disabled", "code": -1}


@pytest.mark.parametrize("command", ["ask", "broadcast"])
def test_a_dash_reads_standard_input(shield: Any, daemon: Any, command: str) -> None:
    """Without the line end that echo adds."""
    daemon.answers[f"cluster.{command}"] = asked(replies=REPLIES)
    assert shield("cluster", command, "-", stdin="two words\n").exit_code == 0
    assert daemon.calls[0][1]["text"] == "two words"


def test_a_text_that_is_too_long_is_refused_here(shield: Any, daemon: Any) -> None:
    """In one line, before it is sent; what the daemon refuses is one line too."""
    result = shield("cluster", "broadcast", "-", stdin="x" * 60_000)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert daemon.calls == []
    daemon.answers["cluster.ask"] = InputError("a text is at most 16384 octets long")
    assert shield("cluster", "ask", "x").stderr == "shield: a text is at most 16384 octets long\n"
