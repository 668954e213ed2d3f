"""What the cluster's commands share: names for the shell, names of slips, a last yes."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from shield.cli import cluster_daemon
from shield.cli.cluster_daemon import ask_cluster, checked_node, confirm, no_member
from shield.errors import InputError

MEMBERS = [{"name": "pbx-1"}, {"name": "pbx-2"}, {"name": "proxy"}]


@pytest.mark.parametrize(
    "line",
    ["shield cluster revoke pb", "shield cluster ask --node pb", "shield cluster invite --node pb"],
)
def test_the_shell_completes_names_of_nodes(shield: Any, daemon: Any, line: str) -> None:
    """As arguments and as values of options."""
    daemon.answers["cluster.members"] = MEMBERS
    asked = {"_SHIELD_COMPLETE": "complete_bash", "COMP_WORDS": line}
    result = shield(env={**asked, "COMP_CWORD": str(len(line.split()) - 1)})
    assert result.stdout.split() == ["pbx-1", "pbx-2"]


def test_completion_without_a_daemon_is_silent(shield: Any) -> None:
    """A shell shows no error in the middle of a command line."""
    asked = {"_SHIELD_COMPLETE": "complete_bash", "COMP_WORDS": "shield cluster drop p"}
    result = shield(env={**asked, "COMP_CWORD": "3"})
    assert result.stdout.strip() == ""
    assert result.stderr == ""


def test_an_older_daemon_is_told_as_what_it_is(daemon: Any) -> None:
    """A daemon that does not know the command must be restarted; other errors stay as they are."""
    daemon.answers["cluster.status"] = InputError("unknown command: 'cluster.status'")
    with pytest.raises(InputError, match="restart `shield run`"):
        ask_cluster(daemon.socket, "cluster.status")
    daemon.answers["cluster.status"] = InputError("something else")
    with pytest.raises(InputError, match=r"^something else$"):
        ask_cluster(daemon.socket, "cluster.status")


def test_a_wrong_name_finds_the_nearest(daemon: Any) -> None:
    """Only where there is a near one; a name that is right gives nothing."""
    daemon.answers["cluster.members"] = MEMBERS
    assert no_member(daemon.socket, "pbx-2") == ""
    assert no_member(daemon.socket, "pbx2") == "no member 'pbx2', did you mean 'pbx-2'?"
    assert no_member(daemon.socket, "zzz") == "no member 'zzz'"


def test_what_can_be_no_name_is_wrong_usage() -> None:
    """Before anybody is asked."""
    assert checked_node("pbx-1.example") == "pbx-1.example"
    with pytest.raises(typer.BadParameter, match="node name"):
        checked_node("PBX 1")


def test_yes_needs_no_terminal_and_a_script_needs_yes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers for somebody who is not there."""
    monkeypatch.setattr(cluster_daemon, "_at_terminal", lambda: False)
    confirm("Sure?", "it would be gone", yes=True)
    with pytest.raises(typer.BadParameter, match="it would be gone; --yes says"):
        confirm("Sure?", "it would be gone", yes=False)
