"""What operators order is done in blocklist, kernel and journal, and answered value by value."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shield.errors import InputError
from tests.node_parts import ATTACKER, CARRIER, ROOT, SERVER, WALL, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.journal.close()


def refused(answer: dict[str, Any]) -> dict[str, str]:
    return {r["value"]: r["message"] for r in answer["results"] if not r["ok"]}


def test_ban_reaches_everybody(bench: Bench) -> None:
    """A ban is listed, in the kernel, in the journal and told to watchers before it is answered."""
    watch = bench.ask("watch", kinds=["change"])
    answer = bench.ask("ban", values=[ATTACKER, "198.51.100.128/25"], duration=60, reason="a\nb")
    assert [r["ok"] for r in answer["results"]] == [True, True]
    assert answer["results"][0]["decision"]["remaining"] == 60
    assert answer["results"][0]["decision"]["reason"] == "a b"
    assert bench.banned() == bench.kernel() == {ATTACKER, "198.51.100.128/25"}
    assert {d.value for d in bench.journal.load(bench.now, WALL + bench.now).decisions} == bench.banned()
    event = watch.queue.get_nowait()
    assert (event["event"], event["change"], event["value"]) == ("change", "added", ATTACKER)


def test_ban_without_duration_takes_the_configured(bench: Bench) -> None:
    """Who names no duration gets the configured one, and his name stands in the reason."""
    decision = bench.ask("ban", values=[ATTACKER])["results"][0]["decision"]
    assert decision["duration"] == 3600
    assert decision["reason"] == "by operator"


def test_ban_refuses_and_goes_on(bench: Bench) -> None:
    """Allowlisted, own, too large and senseless values are refused by name; the others are banned."""
    values = [CARRIER, SERVER, "1.0.0.0/4", "nonsense", ATTACKER]
    answer = bench.ask("ban", values=values)
    assert set(refused(answer)) == set(values[:4])
    assert "allowlisted" in refused(answer)[CARRIER]
    assert bench.kernel() == {ATTACKER}


def test_an_operator_limits(bench: Bench) -> None:
    """Addresses only; listed with its type, in the kernel and the journal, and read on."""
    answer = bench.ask("ban", values=[ATTACKER, "198.51.100.128/25"], limit=True, duration=60)
    assert answer["results"][0]["decision"]["type"] == "limit"
    assert refused(answer) == {
        "198.51.100.128/25": "198.51.100.128/25: only a single address can be limited, and on proof"
    }
    assert bench.kernel() == {f"limit {ATTACKER}"}
    assert not bench.hub.pipeline.blocklist.guard.hosts
    shown = bench.ask("show", value=ATTACKER)
    assert (shown["state"], shown["source"]["limited"]) == ("limited", True)
    assert bench.ask("status")["bans"] == {
        "total": 0, "limited": 1, "proven": 0, "unproven": 0, "networks": 0,
    }  # fmt: skip
    (saved,) = bench.journal.load(bench.now, WALL + bench.now).decisions
    assert saved.type == "limit"
    assert list(bench.ask("list", filter="type=ban")) == []
    bench.ask("unban", values=[ATTACKER])
    assert bench.kernel() == set()


def test_a_ban_is_not_weakened_by_a_limit(bench: Bench) -> None:
    """Who wants that unbans first, and the answer says why nothing happened."""
    bench.ask("ban", values=[ATTACKER], duration=60)
    result = bench.ask("ban", values=[ATTACKER], limit=True, duration=600)["results"][0]
    assert (result["message"], result["decision"]["type"]) == ("already banned", "ban")
    assert bench.kernel() == {ATTACKER}
    bench.ask("unban", values=[ATTACKER])
    bench.ask("ban", values=[ATTACKER], limit=True, duration=600)
    result = bench.ask("ban", values=[ATTACKER], limit=True, duration=60)["results"][0]
    assert result["message"] == "already limited for longer"


def test_a_limit_is_imported_with_its_ports(bench: Bench) -> None:
    """As the JSON of another node has it; one that makes no sense is refused by itself."""
    item = {"type": "limit", "remaining": 60}
    items = [
        {"value": ATTACKER, "ports": "udp/40001 tcp/5071", **item},
        {"value": "192.0.2.78", "ports": "sctp/1", **item},
        {"value": "198.51.100.128/25", **item},
    ]
    answer = bench.ask("import", decisions=items)
    assert (answer["added"], len(answer["refused"])) == (1, 2)
    assert bench.kernel() == {f"limit {ATTACKER} udp/40001", f"limit {ATTACKER} tcp/5071"}


def test_ban_keeps_a_longer_one(bench: Bench) -> None:
    """A shorter ban never shortens a longer one, and the answer says so."""
    bench.ask("ban", values=[ATTACKER], duration=1000)
    result = bench.ask("ban", values=[ATTACKER], duration=10)["results"][0]
    assert result["ok"]
    assert "longer" in result["message"]
    assert result["decision"]["remaining"] == 1000


def test_unban_by_value(bench: Bench) -> None:
    """The kernel lets it pass at once; what is not banned is refused, with the network that holds it."""
    bench.ask("ban", values=[ATTACKER, "198.51.100.128/25"])
    answer = bench.ask("unban", values=[ATTACKER, "198.51.100.130", "192.0.2.1"])
    assert refused(answer) == {
        "198.51.100.130": "not banned itself, but as part of 198.51.100.128/25",
        "192.0.2.1": "not banned",
    }
    assert bench.banned() == bench.kernel() == {"198.51.100.128/25"}


def test_unban_by_filter_and_all(bench: Bench) -> None:
    """A filter picks; all ends every ban; two ways at once, or none, are refused."""
    bench.ask("ban", values=["192.0.2.1", "192.0.2.2", "203.0.113.9"])
    assert bench.ask("unban", filter="192.0.2.0/24")["count"] == 2
    assert bench.banned() == {"203.0.113.9"}
    assert bench.ask("unban", all=True)["count"] == 1
    for arguments in ({}, {"all": True, "values": [ATTACKER]}):
        with pytest.raises(InputError, match="give one of"):
            bench.ask("unban", **arguments)


def test_unban_of_many_goes_in_steps(bench: Bench) -> None:
    """Thousands of bans end with one command, with turns for others in between."""
    values = [f"10.0.{n >> 8}.{n & 255}" for n in range(1200)]
    bench.ask("ban", values=values)
    work = bench.dispatcher.handle("unban", {"all": True}, ROOT)
    turns = 0
    answer = None
    while answer is None:
        try:
            work.send(None)
            turns += 1
        except StopIteration as end:
            answer = end.value
    assert turns == 2
    assert answer["count"] == 1200
    assert len(answer["results"]) == 1000
    assert bench.banned() == set()


def test_export_can_be_imported(bench: Bench, tmp_path: Path) -> None:
    """What one node exports another enters with the time that is left; again changes nothing."""
    bench.ask("ban", values=[ATTACKER, "198.51.100.128/25"], duration=500, reason="why")
    bench.now += 100
    exported = bench.ask("export")
    (tmp_path / "b").mkdir()
    other = Bench(tmp_path / "b")
    answer = other.ask("import", decisions=exported)
    assert (answer["added"], answer["skipped"], answer["refused"]) == (2, 0, [])
    row = other.ask("list", filter=ATTACKER)[0]
    assert (row["origin"], row["scenario"], row["remaining"], row["reason"]) == (
        "import",
        "manual",
        400,
        "why",
    )
    assert other.ask("import", decisions=exported)["skipped"] == 2
    assert other.ask("import", decisions=exported, duration=900)["extended"] == 2
    other.journal.close()


@pytest.mark.parametrize("dry_run", [True, False])
def test_import_refuses_by_entry(bench: Bench, dry_run: bool) -> None:
    """Each bad entry is refused with its reason and loses no other; a dry run changes nothing."""
    decisions: list[dict[str, Any]] = [
        {"value": ATTACKER},
        {"value": CARRIER},
        {"value": "x"},
        {},
        {"value": "192.0.2.2", "type": "captcha"},
        {"value": "192.0.2.3", "duration": "long"},
        {"value": "0.0.0.0/1"},
    ]
    answer = bench.ask("import", decisions=decisions, dry_run=dry_run)
    assert answer["added"] == 1
    assert len(answer["refused"]) == 6
    assert all(item["message"] for item in answer["refused"])
    assert bench.banned() == (set() if dry_run else {ATTACKER})


def test_allow_ends_bans_everywhere(bench: Bench) -> None:
    """Allowing ends the ban, tells the firewall, is kept in the journal, and forbids a new ban."""
    bench.ask("ban", values=[ATTACKER])
    answer = bench.ask("allow.add", values=["192.0.2.0/24", "sip.carrier.example"], reason="office")
    assert refused(answer) == {}
    assert bench.banned() == bench.kernel() == set()
    assert "192.0.2.0/24" in map(str, bench.backend.allowed)
    saved = bench.journal.load(bench.now, WALL + bench.now).allowed
    assert {entry.value for entry in saved} == {"192.0.2.0/24", "sip.carrier.example"}
    assert "allowlisted" in refused(bench.ask("ban", values=[ATTACKER]))[ATTACKER]
    assert [row["value"] for row in bench.ask("allow.list", filter="reason=office 192.0.2.0/24")] == [
        "192.0.2.0/24"
    ]


def test_allow_remove(bench: Bench) -> None:
    """What was added can be removed and banned again; the configured and the unknown is refused."""
    bench.ask("allow.add", values=[ATTACKER], duration=50)
    answer = bench.ask("allow.remove", values=[ATTACKER, CARRIER, "192.0.2.99"])
    assert set(refused(answer)) == {CARRIER, "192.0.2.99"}
    assert ATTACKER not in map(str, bench.backend.allowed)
    assert bench.journal.load(bench.now, WALL + bench.now).allowed == []
    assert refused(bench.ask("ban", values=[ATTACKER])) == {}


def test_one_command_is_one_commit(bench: Bench) -> None:
    """A long import or ban goes to the kernel as a whole, not entry by entry."""
    bench.ask("import", decisions=[{"value": f"10.0.0.{n}"} for n in range(100)])
    bench.ask("ban", values=[f"10.0.1.{n}" for n in range(50)])
    assert len(bench.kernel()) == 150
    assert len(bench.backend.commits) <= 2
