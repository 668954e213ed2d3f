"""cluster init, join, invite and revoke: from nothing to a node that takes part."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shield.cluster.identity_files import Directory
from shield.errors import InputError
from tests.cluster.test_join import Site


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Directory:
    """The configured directory of the cluster, which is not there yet."""
    config = tmp_path / "shield.toml"
    config.write_text(f'[cluster]\ndirectory = "{tmp_path / "cluster"}"\n')
    monkeypatch.setenv("SHIELD_CONFIG", str(config))
    monkeypatch.setattr("socket.gethostname", lambda: "PBX_1")
    return Directory(tmp_path / "cluster")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    for server in made.servers:
        server.close()


def test_init_makes_a_cluster_and_says_what_comes_next(shield: Any, place: Directory) -> None:
    """Without a daemon and without options: names have defaults, the next command is named."""
    result = shield("cluster", "init")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "made cluster shield; this is its first node, pbx-1",
        f"keys are in {place.path}; keep a copy of ca.key in a safe place",
        "start `shield run` to take part",
        "`shield cluster invite` prints the command that adds the next host",
    ]
    stored = place.load()
    assert (stored.identity.cluster, stored.identity.name) == ("shield", "pbx-1")
    assert stored.authority is not None
    assert stored.advertise is None
    stored.identity.own.check(time.time(), {})


def test_init_takes_names_and_address(shield: Any, place: Directory) -> None:
    """What the operator says is what is made."""
    result = shield(
        "cluster", "init", "--name", "voip", "--node", "a", "--advertise", "a.example.net", "-o", "json"
    )
    assert json.loads(result.stdout) == {
        "cluster": "voip",
        "node": "a",
        "directory": str(place.path),
        "daemon": "not running",
    }
    stored = place.load()
    assert (stored.identity.cluster, stored.identity.name) == ("voip", "a")
    assert stored.advertise == ("a.example.net", 7170)


def test_init_goes_where_it_is_told(shield: Any, tmp_path: Path) -> None:
    """--directory wins over the configuration."""
    result = shield("cluster", "init", "--directory", str(tmp_path / "other"), "-o", "plain")
    assert f"directory\t{tmp_path / 'other'}" in result.stdout.splitlines()
    assert Directory(tmp_path / "other").load()


def test_a_running_daemon_takes_part_at_once(shield: Any, daemon: Any, place: Directory) -> None:
    """No restart is needed after init."""
    result = shield("cluster", "init")
    assert daemon.calls == [("cluster.start", {})]
    assert "the daemon takes part from now on" in result.stdout


def test_an_older_daemon_must_be_restarted(shield: Any, daemon: Any, place: Directory) -> None:
    """A daemon that does not know the command is told about, and the identity is made all the same."""
    daemon.answers["cluster.start"] = InputError("unknown command: 'cluster.start'")
    result = shield("cluster", "init")
    assert result.exit_code == 0
    assert "restart `shield run` to take part" in result.stdout
    assert place.holds()


def test_a_daemon_with_another_name_must_be_restarted(
    shield: Any, daemon: Any, place: Directory
) -> None:
    """A daemon cannot change its name while it runs: it says so, and that is no failure."""
    why = "restart `shield run`: until now this node is pbx-9"
    daemon.answers["cluster.start"] = {"restart": why}
    result = shield("cluster", "init", "-o", "json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["daemon"] == "restart needed"
    result = shield("cluster", "init", "--directory", f"{place.path}2")
    assert result.exit_code == 0
    assert why in result.stdout.splitlines()


def test_a_daemon_that_cannot_take_part_fails_the_command(
    shield: Any, daemon: Any, place: Directory
) -> None:
    """The identity is made; why the daemon does not use it is the error."""
    daemon.answers["cluster.start"] = InputError("cluster.listen: cannot listen on 0.0.0.0:7170")
    result = shield("cluster", "init")
    assert result.exit_code == 1
    assert result.stderr.startswith("shield: the daemon does not take part: cluster.listen")
    assert result.stderr.count("\n") == 1
    assert place.holds()


def test_a_second_init_is_refused(shield: Any, place: Directory) -> None:
    """Nobody loses the keys of a cluster by a slip."""
    assert shield("cluster", "init").exit_code == 0
    before = place.load().identity
    result = shield("cluster", "init")
    assert result.exit_code == 1
    assert result.stderr == (
        f"shield: {place.path}/cluster.json exists: this host is in a cluster already; "
        f"to leave it for good, stop shield and move {place.path} away\n"
    )
    assert place.load().identity == before


@pytest.mark.parametrize(
    "arguments",
    [
        ("init", "--name", "Voip"),
        ("init", "--node", "a b"),
        ("init", "--advertise", "a:b:c d"),
        ("init", "--advertise", "a:99999"),
        ("join", "hello"),
        ("join", "shield1.AAAA"),
        ("invite", "--node", "A B"),
        ("invite", "--valid", "soon"),
        ("invite", "--advertise", "a:0"),
        ("revoke", "A B", "--yes"),
        ("revoke", "b"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_one_line_and_does_nothing(
    shield: Any, daemon: Any, place: Directory, arguments: tuple[str, ...]
) -> None:
    """Exit code 2 before anything is made or asked; without a terminal, revoke wants --yes."""
    result = shield("cluster", *arguments)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert daemon.calls == []
    assert not place.path.exists()


def test_join_makes_a_node(shield: Any, daemon: Any, place: Directory, site: Site) -> None:
    """The token is all that the new host needs; its daemon takes part at once."""
    server = site.serve()
    result = shield("cluster", "join", site.invite(server).encode())
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "joined cluster shield; this node is pbx-1",
        f"keys are in {place.path}",
        "the daemon takes part from now on",
    ]
    assert result.stderr == f"asking 127.0.0.1:{server.address[1]}\n"
    assert place.load().identity.name == "pbx-1"
    assert daemon.calls == [("cluster.start", {})]


def test_join_takes_the_name_of_the_token(shield: Any, place: Directory, site: Site) -> None:
    """An invite that names its node needs no --node; JSON says everything."""
    server = site.serve()
    result = shield("cluster", "join", site.invite(server, node="b").encode(), "-o", "json")
    assert json.loads(result.stdout) == {
        "cluster": "shield",
        "node": "b",
        "directory": str(place.path),
        "address": list(server.address),
        "daemon": "not running",
    }
    assert result.stderr == ""


def test_join_reads_a_token_that_nobody_else_sees(shield: Any, place: Directory, site: Site) -> None:
    """From standard input it shows up in no list of processes and no history."""
    token = site.invite(site.serve()).encode()
    result = shield("cluster", "join", "-", "--node", "b", stdin=token + "\n")
    assert result.exit_code == 0, result.stderr
    assert place.load().identity.name == "b"


def test_a_join_that_fails_is_one_line(shield: Any, place: Directory, site: Site) -> None:
    """A used token is told with who used it; nothing is left behind that would stop the next try."""
    token = site.invite(site.serve()).encode()
    assert shield("cluster", "join", token, "--node", "b", "-o", "json").exit_code == 0
    result = shield("cluster", "join", token, "--directory", f"{place.path}2", "-o", "json")
    assert result.exit_code == 1
    assert result.stderr == ("shield: refused (used_token): b has joined with it; make a new one\n")
    assert (
        shield(
            "cluster", "join", site.invite(site.servers[0]).encode(), "--directory", f"{place.path}2"
        ).exit_code
        == 0
    )


def test_invite_prints_the_command_for_the_new_host(shield: Any, daemon: Any) -> None:
    """It can be copied as one line, and says how long it is good."""
    daemon.answers["cluster.invite"] = lambda arguments: {
        "token": "shield1.abc",
        "expires": time.time() + 900,
        "node": arguments.get("node", ""),
    }
    result = shield("cluster", "invite", "--node", "b", "--valid", "1h", "--advertise", "a:7171")
    assert daemon.calls == [("cluster.invite", {"node": "b", "valid": 3600.0, "advertise": "a:7171"})]
    lines = result.stdout.splitlines()
    assert lines[0] == "run this as root on the new host within 15m; it works once for node b:"
    assert "shield cluster join shield1.abc" in lines
    assert shield("cluster", "invite", "-o", "plain").stdout == "shield1.abc\n"
    assert daemon.calls[-1] == ("cluster.invite", {"valid": 900.0})
    shown = json.loads(shield("cluster", "invite", "-o", "json").stdout)
    assert shown["command"] == "shield cluster join shield1.abc"


def test_invite_needs_a_daemon_that_knows_clusters(shield: Any, daemon: Any) -> None:
    """What is missing is told in one line, and so is what the daemon refuses."""
    daemon.answers["cluster.invite"] = InputError("unknown command: 'cluster.invite'")
    result = shield("cluster", "invite")
    assert result.exit_code == 1
    assert "restart `shield run`" in result.stderr
    daemon.answers["cluster.invite"] = InputError("this node cannot invite")
    assert shield("cluster", "invite").stderr == "shield: this node cannot invite\n"


def test_revoke_says_what_was_done(shield: Any, daemon: Any) -> None:
    """With --yes nobody is asked."""
    daemon.answers["cluster.revoke"] = {"node": "b"}
    result = shield("cluster", "revoke", "b", "--yes")
    assert daemon.calls == [("cluster.revoke", {"node": "b"})]
    assert result.stdout == "revoked b; all nodes refuse it from now on\n"
    assert shield("cluster", "revoke", "b", "-y", "-o", "plain").stdout == "b\n"
    assert json.loads(shield("cluster", "revoke", "b", "-y", "-o", "json").stdout) == {"node": "b"}


@pytest.mark.parametrize(("said", "code", "asked"), [("y\n", 0, 1), ("n\n", 1, 0)])
def test_revoke_asks_first(
    shield: Any, daemon: Any, monkeypatch: pytest.MonkeyPatch, said: str, code: int, asked: int
) -> None:
    """On a terminal a node is put out only after a yes."""
    monkeypatch.setattr("shield.cli.cluster_daemon._at_terminal", lambda: True)
    result = shield("cluster", "revoke", "b", stdin=said)
    assert result.exit_code == code
    assert len(daemon.calls) == asked
    assert "Put b out of the cluster?" in result.stdout


@pytest.mark.parametrize("command", ["init", "join", "invite", "revoke"])
def test_help_has_an_example(shield: Any, command: str) -> None:
    """Each command shows how it is typed."""
    out = shield("cluster", command, "--help", env={"COLUMNS": "120", "TERM": "dumb"}).stdout
    assert f"shield cluster {command}" in out.split("Example:", 1)[1]
