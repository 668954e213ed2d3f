"""The table of cluster commands: each explains itself, starts alone, and a slip gets a hint."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest
import typer

from shield.cli.cluster import COMMANDS


def leaves() -> list[str]:
    """All commands as they are typed, those of groups with both words."""
    found = []
    for name, lazy in COMMANDS.items():
        target = getattr(import_module(lazy.module), lazy.name)
        if isinstance(target, typer.Typer):
            found += [f"{name} {command.name}" for command in target.registered_commands]
        else:
            found.append(name)
    return found


LEAVES = leaves()


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_has_help_with_an_example(name: str, shield: Any) -> None:
    """Each name leads to a command that shows how it is typed."""
    result = shield("cluster", *name.split(), "--help", env={"COLUMNS": "120", "TERM": "dumb"})
    assert result.exit_code == 0
    examples = result.stdout.split("Example:", 1)[1]
    assert f"shield cluster {name}" in examples


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_has_formats_for_scripts(name: str, shield: Any) -> None:
    """None of them is for people only."""
    assert "--output" in shield("cluster", *name.split(), "--help", env={"COLUMNS": "120"}).stdout


def test_help_lists_every_command(shield: Any) -> None:
    """Without a command the help names them all."""
    shown = shield("cluster").stdout
    assert "Nodes that share their blocklists" in shown
    assert [name for name in COMMANDS if name not in shown] == []


@pytest.mark.parametrize(
    ("typed", "meant"), [("membrs", "members"), ("brodcast", "broadcast"), ("topologie", "topology")]
)
def test_a_slip_names_the_nearest_command(shield: Any, daemon: Any, typed: str, meant: str) -> None:
    """A wrong command is wrong usage, told in one line with what was meant."""
    result = shield("cluster", typed)
    assert result.exit_code == 2
    assert f"did you mean {meant!r}?" in result.stderr
    assert "see 'shield cluster --help'" in result.stderr
    assert result.stderr.count("\n") == 1
    assert daemon.calls == []


def test_asking_loads_nothing_slow() -> None:
    """A routing script asks for every call: cryptography and asyncio are not loaded for that."""
    code = (
        "import sys, shield.cli.app, shield.cli.cluster, shield.cli.cluster_talk;"
        "names = ('cryptography', 'msgpack', 'asyncio', 'rich.table', 'shield.cli.cluster_listen');"
        "print([name for name in names if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("members",),
        ("topology",),
        ("capabilities",),
        ("events",),
        ("events", "--follow"),
        ("ask", "hello"),
        ("broadcast", "hello"),
        ("listen",),
        ("start",),
        ("leave", "--yes"),
        ("enable",),
        ("disable",),
        ("remove", "b"),
        ("release", "b"),
        ("drop", "b", "--yes"),
        ("tag", "list"),
        ("tag", "set", "cdr", "active"),
        ("tag", "history", "cdr"),
    ],
    ids=" ".join,
)
def test_without_a_daemon_each_command_is_one_line(shield: Any, arguments: tuple[str, ...]) -> None:
    """What to do is in it; nothing else is printed, and the exit code is 1."""
    result = shield("cluster", *arguments)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("shield: shield is not running")
    assert result.stderr.count("\n") == 1
