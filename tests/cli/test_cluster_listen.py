"""cluster listen: texts as they come, and a command that replies."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from shield.cli.cluster_listen import NoReplyError, run_command
from shield.errors import InputError

MESSAGE = {"kind": "message", "id": 0, "node": "pbx-2", "text": "hello"}
REQUEST = {"kind": "request", "id": 7, "node": "pbx-2", "text": "where is alice"}


def replies(daemon: Any) -> list[dict[str, Any]]:
    return [arguments for command, arguments in daemon.calls if command == "cluster.reply"]


def test_texts_are_printed_as_they_come(shield: Any, daemon: Any) -> None:
    """Time, node, kind and text; nobody is replied to without --exec."""
    daemon.answers["cluster.listen"] = [MESSAGE, REQUEST]
    result = shield("cluster", "listen")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].endswith("  pbx-2  message: hello")
    assert lines[1].endswith("  pbx-2  request: where is alice")
    assert replies(daemon) == []


def test_listen_for_scripts(shield: Any, daemon: Any) -> None:
    """JSON is one object a line with the time; plain has fixed columns."""
    daemon.answers["cluster.listen"] = [REQUEST]
    [line] = shield("cluster", "listen", "-o", "json").stdout.splitlines()
    shown = json.loads(line)
    assert abs(shown.pop("time") - time.time()) < 60
    assert shown == REQUEST
    plain = shield("cluster", "listen", "-o", "plain").stdout
    assert plain.rstrip("\n").split("\t")[1:] == ["pbx-2", "request", "where is alice", "7"]


def test_a_narrow_terminal_breaks_long_texts(shield: Any, daemon: Any) -> None:
    """No line is wider than 60 columns, and control characters are harmless."""
    daemon.answers["cluster.listen"] = [{**MESSAGE, "text": "word\x1b " * 30}]
    out = shield("cluster", "listen", env={"COLUMNS": "60"}).stdout
    assert max(map(len, out.splitlines())) <= 60
    assert "\x1b" not in out


def test_what_the_command_prints_is_the_reply(shield: Any, daemon: Any) -> None:
    """It has the text on its input and node and kind in its environment; messages start nothing."""
    daemon.answers["cluster.listen"] = [MESSAGE, REQUEST, {**REQUEST, "id": 8, "text": "b"}]
    daemon.answers["cluster.reply"] = {"result": "sent", "code": 1}
    result = shield("cluster", "listen", "--exec", 'echo "$SHIELD_NODE $SHIELD_KIND <$(cat)>"')
    assert (result.exit_code, result.stderr) == (0, "")
    assert replies(daemon) == [
        {"id": 7, "text": "pbx-2 request <where is alice>"},
        {"id": 8, "text": "pbx-2 request <b>"},
    ]
    assert len(result.stdout.splitlines()) == 3


def test_a_command_that_fails_gives_no_reply(shield: Any, daemon: Any) -> None:
    """It is told on standard error, and the next request has its turn."""
    daemon.answers["cluster.listen"] = [REQUEST, {**REQUEST, "id": 8, "text": "ok"}]
    daemon.answers["cluster.reply"] = {"result": "sent", "code": 1}
    result = shield("cluster", "listen", "--exec", 'read -r x; echo "$x"; [ "$x" = ok ]')
    assert result.exit_code == 0
    assert replies(daemon) == [{"id": 8, "text": "ok"}]
    assert result.stderr.startswith("shield: no reply to pbx-2: ")
    assert "exit code 1" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_reply_that_comes_too_late_is_told(shield: Any, daemon: Any) -> None:
    """What the daemon refuses, or could not send, ends nothing."""
    daemon.answers["cluster.listen"] = [REQUEST]
    daemon.answers["cluster.reply"] = InputError("no request 7 is open: replied already, or too old")
    result = shield("cluster", "listen", "--exec", "echo x")
    assert result.exit_code == 0
    assert result.stderr == (
        "shield: no reply to pbx-2: no request 7 is open: replied already, or too old\n"
    )
    daemon.answers["cluster.reply"] = {"result": "local_disabled", "code": -1}
    result = shield("cluster", "listen", "--exec", "echo x")
    assert result.stderr == "shield: no reply to pbx-2: local disabled\n"


def test_in_no_cluster_there_is_nothing_to_listen_to(shield: Any, daemon: Any) -> None:
    """One line that says what to do, exit code 1."""
    daemon.answers["cluster.listen"] = InputError(
        "this node is in no cluster (shield cluster init, or join)"
    )
    result = shield("cluster", "listen")
    assert result.exit_code == 1
    assert result.stderr == "shield: this node is in no cluster (shield cluster init, or join)\n"


def test_ctrl_c_ends_it_cleanly(shield: Any, daemon: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is how listening ends: no message, exit code 0."""

    def interrupted(*_a: Any, **_k: Any) -> Any:
        yield MESSAGE
        raise KeyboardInterrupt

    monkeypatch.setattr("shield.cli.cluster_listen.follow", interrupted)
    result = shield("cluster", "listen")
    assert (result.exit_code, result.stderr) == (0, "")
    assert len(result.stdout.splitlines()) == 1


def test_a_command_may_leave_its_input_unread() -> None:
    """A reply that needs no question; the last line end is not part of it, others are."""
    assert run_command("echo yes; echo no", "x" * 16_384, {}) == "yes\nno"
    assert run_command("exec true", "x" * 16_384, {}) == ""


def test_a_command_that_takes_too_long_is_ended_with_all_it_started(tmp_path: Path) -> None:
    """Neither it nor its children are left behind."""
    pid = tmp_path / "pid"
    begin = time.monotonic()
    with pytest.raises(NoReplyError, match="took longer than 300ms"):
        run_command(f"sleep 60 & echo $! > {pid}; wait", "", {}, limit=0.3)
    assert time.monotonic() - begin < 5
    for _ in range(100):
        if not _runs(int(pid.read_text())):
            break
        time.sleep(0.05)
    else:
        pytest.fail("a child of the command still runs")


def test_a_command_that_closes_its_output_is_waited_for_only_so_long() -> None:
    """The limit holds for the command, not for its words alone."""
    with pytest.raises(NoReplyError, match="took longer"):
        run_command("exec >&-; sleep 60", "", {}, limit=0.3)


def test_a_command_cannot_print_without_end() -> None:
    """More than a reply may be is no reply, and fills no memory."""
    with pytest.raises(NoReplyError, match="more than 16,384 octets"):
        run_command("yes", "", {})


def _runs(pid: int) -> bool:
    """Whether it is there and not only waits to be collected."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
