"""shield compromised: list, show, clear; watch and replay as a script uses them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from shield.blocklist.journal import Journal, JournalSettings
from shield.cli.status import event_line

CAPTURE = str(Path(__file__).resolve().parents[1] / "captures" / "svcrack038_success.pcap")
CALL = {
    "time": 1.8e9, "called": "00881123", "state": "answered", "status": 200, "duration": 65.0,
    "account": "1001", "source": "203.0.113.66", "user_agent": "x\x1b[2J",
}  # fmt: skip
ROW = {
    "id": "node-a-1", "kind": "found", "time": 1.8e9, "account": "1001", "realm": "example.com",
    "how": "guessed", "value": "203.0.113.66", "server": "192.0.2.1", "method": "REGISTER",
    "user_agent": "Desk 1", "succeeded": 1.8e9, "guesses": 9, "guessers": 1, "first_guess": 1.79e9,
    "last_guess": 1.8e9, "sources": [], "proof": "proven", "proofs": ["nonce"], "incomplete": True,
    "reason": "9 guesses from 1 source in 8 s", "calls": [CALL], "calls_total": 7,
}  # fmt: skip


def test_list_shows_accounts(shield: Any, daemon: Any) -> None:
    """A table for people, JSON as it is, plain lines for scripts; and that there are none."""
    daemon.answers["compromised"] = [ROW]
    shown = shield("compromised", "list").stdout
    assert "1001" in shown
    assert shown.endswith("1 account\n")
    assert json.loads(shield("compromised", "list", "-o", "json").stdout) == [ROW]
    plain = shield("compromised", "list", "-o", "plain").stdout
    assert plain.split("\t")[:3] == ["node-a-1", "1800000000.0", "1001"]
    daemon.answers["compromised"] = []
    assert shield("compromised", "list", "-n", "5").stdout == "no account was taken over\n"
    assert daemon.calls[-1] == ("compromised", {"limit": 5})


def test_list_without_daemon_asks_the_journal(shield: Any, tmp_path: Path) -> None:
    """What was found is there after a crash."""
    journal = Journal(JournalSettings(path=str(tmp_path / "journal.db")))
    journal.record_accounts([ROW])
    journal.close()
    result = shield("compromised", "list", "-o", "json")
    assert json.loads(result.stdout) == [ROW]
    assert "this is what" in result.stderr


def test_show_names_every_call(shield: Any, daemon: Any) -> None:
    """Who, since when, and the calls; what attackers wrote cannot move the cursor."""
    daemon.answers["compromised"] = [ROW]
    shown = shield("compromised", "show", "1001").stdout
    assert "account 1001@example.com is compromised" in shown
    assert "told from the answers" in shown
    assert "00881123" in shown
    assert "7 calls in all" in shown
    assert "\x1b" not in shown
    assert daemon.calls == [("compromised", {"about": "1001"})]
    assert json.loads(shield("compromised", "show", "1001", "-o", "json").stdout) == [ROW]


def test_clear_wants_ids_or_all(shield: Any, daemon: Any) -> None:
    """Neither or both is wrong usage."""
    daemon.answers["compromised.clear"] = {"results": [{"value": "node-a-1", "ok": True}], "count": 1}
    assert shield("compromised", "clear").exit_code == 2
    assert shield("compromised", "clear", "x", "--all").exit_code == 2
    assert "cleared node-a-1" in shield("compromised", "clear", "node-a-1").stdout
    assert shield("compromised", "clear", "--all").exit_code == 0
    assert [call[1] for call in daemon.calls] == [{"values": ["node-a-1"]}, {"all": True}]


def test_watch_ends_with_zero_when_it_came(shield: Any, daemon: Any) -> None:
    """A script waits for one event."""
    daemon.answers["watch"] = [{"event": "compromised", **ROW}]
    result = shield("watch", "--event", "compromised", "--count", "1", "--timeout", "30s")
    assert result.exit_code == 0
    assert "1001@example.com" in result.stdout
    assert daemon.calls == [("watch", {"kinds": ["compromised"]})]


def test_watch_ends_with_four_when_nothing_came(shield: Any, daemon: Any) -> None:
    """The time of --timeout, and an exit code of its own; without --count it is just the end."""

    async def silence() -> Any:
        import asyncio

        await asyncio.sleep(60)
        yield {}

    daemon.answers["watch"] = lambda _arguments: silence()
    begun = time.monotonic()
    assert shield("watch", "-e", "compromised", "-n", "1", "-t", "0.2s").exit_code == 4
    assert shield("watch", "-t", "0.2s").exit_code == 0
    assert time.monotonic() - begun < 20
    assert shield("watch", "-t", "soon").exit_code == 2


def test_calls_are_told_in_one_line() -> None:
    """An update says how many calls there are and the number dialled last."""
    line = event_line({"event": "compromised", **ROW, "kind": "call"})
    assert "7 calls, the last to 00881123" in line


def test_replay_reports_and_reacts(shield: Any) -> None:
    """The account in text and JSON; the exit code follows what was asked for."""
    result = shield("replay", CAPTURE, "--exit-code", "compromised")
    assert result.exit_code == 3
    assert "account 102@lab.example is compromised" in result.stdout
    report = json.loads(shield("replay", CAPTURE, "-o", "json").stdout)["files"][0]
    assert [account["account"] for account in report["compromised"]] == ["102"]
    benign = CAPTURE.replace("svcrack038_success", "benign_wrong_password_then_ok")
    assert shield("replay", benign, "--exit-code", "compromised").exit_code == 0
