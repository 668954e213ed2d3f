"""The table of commands: everything in it exists, starts fast, and a slip gets a hint."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest

from shield.blocklist.filters import FIELDS
from shield.cli.app import COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_table_has_help(name: str, shield: Any) -> None:
    """Each name leads to a command that explains itself."""
    assert hasattr(import_module(COMMANDS[name].module), COMMANDS[name].name)
    result = shield(name, "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.stdout


def test_help_lists_every_command(shield: Any) -> None:
    """`shield --help` names them all."""
    result = shield("--help")
    assert [name for name in COMMANDS if name not in result.stdout] == []


def test_a_slip_names_the_nearest_command(shield: Any) -> None:
    """A wrong command is wrong usage, told in one line with what was meant."""
    result = shield("lsit")
    assert result.exit_code == 2
    assert "did you mean 'list'?" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_wrong_option_is_one_line(shield: Any) -> None:
    """No box and no traceback for a wrong option."""
    result = shield("list", "--limt", "3")
    assert result.exit_code == 2
    assert result.stderr.startswith("shield: ")
    assert result.stderr.count("\n") == 1


def test_starting_loads_nothing_slow() -> None:
    """What `shield list` needs to start is typer and the control client."""
    code = (
        "import sys, shield.cli.app, shield.cli.blocklist;"
        "print([m for m in ('scapy', 'rich.table', 'asyncio', 'sqlite3') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_version_is_told(shield: Any) -> None:
    """`shield --version` is one line."""
    result = shield("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("shield ")


def test_help_names_every_field_of_the_filter_grammar(shield: Any) -> None:
    """The grammar is documented where it is looked for, and its text fills the terminal."""
    out = shield("list", "--help", env={"COLUMNS": "70", "TERM": "dumb"}).stdout
    words = re.findall(r"\w+", out)
    assert set(FIELDS) <= set(words)
    text = [line for line in out.split("Arguments")[0].splitlines() if line.strip()]
    short = [line for line in text if len(line.strip()) < 45]
    assert len(short) <= 6  # usage, and the last line of each paragraph
