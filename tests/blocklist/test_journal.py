"""The journal: what comes back after a restart, kill -9, damage and a full disk."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shield.blocklist import journal, journal_file
from shield.blocklist.allowlist import AllowEntry
from shield.blocklist.decision import LIMIT, Change, ChangeKind, Decision
from shield.blocklist.journal import Journal, JournalSettings
from shield.blocklist.journal_schema import STEPS, migrate
from shield.detect.alert import Alert, Evidence, Proof
from shield.errors import ConfigError, SystemFailure
from shield.net import Network, Port

WALL = 1_800_000_000.0
NOW = 5_000.0


def ban(value: str = "192.0.2.1", *, until: float = NOW + 600, proof: Proof = Proof.PROVEN) -> Decision:
    return Decision(
        network=Network.parse(value),
        scenario="sip-scan",
        origin="node-a",
        proof=proof,
        time=WALL,
        until=until,
        duration=until - NOW,
        id=f"node-a-{value}",
        reason="a reason",
        repeats=2,
    )


def change(decision: Decision, kind: ChangeKind = ChangeKind.ADDED, reason: str = "") -> Change:
    return Change(kind, decision, reason)


def alert(
    source: bytes = bytes([192, 0, 2, 1]), *, proof: Proof = Proof.PROVEN, time: float = WALL
) -> Alert:
    return Alert(
        time=time,
        source=source,
        scenario="sip-scan",
        kind="scan",
        proof=proof,
        proofs=("nonce",),
        severity=3,
        confidence=2,
        count=5,
        messages=7,
        first_seen=time - 9,
        ban_time=3600.0,
        details=(("user_agent", "caf\udce9"),),
        evidence=(Evidence(time, "OPTIONS sip:100@192.0.2.9 SIP/2.0\r\n", "first"),),
    )


@pytest.fixture
def settings(tmp_path: Path) -> JournalSettings:
    return JournalSettings(path=str(tmp_path / "journal.db"))


@pytest.fixture
def opened(settings: JournalSettings) -> Iterator[Journal]:
    with_file = Journal(settings)
    yield with_file
    with_file.close()


class FailingFile:
    """A connection whose transactions are refused while ``error`` is set."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self.real = real
        self.error: sqlite3.Error | None = None

    def execute(self, query: str, *values: object) -> sqlite3.Cursor:
        if self.error is not None and not query.startswith("SELECT"):
            raise self.error
        return self.real.execute(query, *values)

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


def failing(opened: Journal, error: sqlite3.Error) -> FailingFile:
    file = FailingFile(opened._file._db)  # type: ignore[arg-type]
    opened._file._db = file  # type: ignore[assignment]
    file.error = error
    return file


def test_live_decisions_come_back_after_a_restart_with_the_time_gone_by(
    settings: JournalSettings,
) -> None:
    """Node time starts anew, 100 s passed: a ban has 500 s left and one of 50 s is gone."""
    first = Journal(settings)
    first.record(
        [
            change(ban()),
            change(ban("2001:db8::/48", until=NOW + 900)),
            change(ban("192.0.2.2", until=NOW + 50)),
        ],
        NOW,
        WALL,
    )
    first.close()
    second = Journal(settings)
    snapshot = second.load(3.0, WALL + 100)
    second.close()
    left = {decision.value: decision.remaining(3.0) for decision in snapshot.decisions}
    assert left == pytest.approx({"192.0.2.1": 500.0, "2001:db8::/48": 800.0})
    found = next(d for d in snapshot.decisions if d.value == "192.0.2.1")
    assert found._replace(until=NOW + 600) == ban()


def test_a_limit_comes_back_with_its_ports(settings: JournalSettings) -> None:
    """In what is live and in the history."""
    made = ban()._replace(type=LIMIT, ports=(Port.parse("udp/40001"), Port.parse("tcp/5071")))
    first = Journal(settings)
    first.record([change(made)], NOW, WALL)
    assert first.load(NOW, WALL).decisions == [made]
    (row,) = first.history()
    assert (row["type"], row["ports"]) == ("limit", "udp/40001 tcp/5071")
    first.close()


def test_a_file_without_ports_is_read(settings: JournalSettings) -> None:
    """What an earlier shield banned is banned on."""
    database = sqlite3.connect(settings.path, isolation_level=None)
    migrate(database, STEPS[:2])
    row = ("192.0.2.1", "proven", "i", "s", "node-a", "ban", WALL, WALL + 600, 600.0, 2, "why")
    database.execute("INSERT INTO decisions VALUES (?,?,?,?,?,?,?,?,?,?,?)", row)
    database.close()
    opened = Journal(settings)
    (found,) = opened.load(NOW, WALL).decisions
    assert (found.value, found.type, found.ports, found.remaining(NOW)) == ("192.0.2.1", "ban", (), 600)
    opened.close()


def test_a_wall_clock_set_back_makes_no_ban_longer(opened: Journal) -> None:
    """A machine without a clock battery starts in 1970: what is left is the whole duration at most."""
    decision = ban()
    opened.record([change(decision)], NOW, WALL)
    (found,) = opened.load(3.0, 100.0).decisions
    assert found.remaining(3.0) == pytest.approx(decision.duration)


def test_only_the_owner_reads_the_journal(opened: Journal, settings: JournalSettings) -> None:
    """Evidence holds what callers sent, and the log beside the file holds the same."""
    opened.record([change(ban())], NOW, WALL)
    files = list(Path(settings.path).parent.iterdir())
    assert len(files) >= 2
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


@pytest.mark.parametrize("kind", [ChangeKind.REMOVED, ChangeKind.EXPIRED, ChangeKind.EVICTED])
def test_an_ended_ban_is_not_loaded(opened: Journal, kind: ChangeKind) -> None:
    """Whatever ended a ban, both of its kinds are gone from the live table."""
    opened.record([change(ban(proof=Proof.UNPROVEN)), change(ban(), ChangeKind.EXTENDED)], NOW, WALL)
    opened.record([change(ban(), kind, "unban")], NOW, WALL)
    assert opened.load(NOW, WALL).decisions == []
    assert [row["change"] for row in opened.history()] == [kind.value, "extended", "added"]


def test_changes_of_one_batch_take_effect_in_their_order(opened: Journal) -> None:
    """Added, removed, added again within one record() is live; the reverse is not."""
    again, gone = ban("192.0.2.1"), ban("192.0.2.2")
    opened.record(
        [
            change(again),
            change(again, ChangeKind.REMOVED),
            change(again),
            change(gone),
            change(gone, ChangeKind.REMOVED),
        ],
        NOW,
        WALL,
    )
    assert [d.value for d in opened.load(NOW, WALL).decisions] == ["192.0.2.1"]


def test_a_proven_decision_takes_the_place_of_an_unproven_one(opened: Journal) -> None:
    """As in the blocklist: only the proven one is loaded; an unproven longer one stays beside it."""
    opened.record([change(ban(proof=Proof.UNPROVEN)), change(ban(), ChangeKind.EXTENDED)], NOW, WALL)
    assert [d.proof for d in opened.load(NOW, WALL).decisions] == [Proof.PROVEN]
    longer = ban(until=NOW + 9000, proof=Proof.UNPROVEN)
    opened.record([change(longer, ChangeKind.EXTENDED)], NOW, WALL)
    assert {d.proof: d.until for d in opened.load(NOW, WALL).decisions} == {
        Proof.PROVEN: NOW + 600,
        Proof.UNPROVEN: NOW + 9000,
    }


def test_the_allowlist_comes_back(opened: Journal) -> None:
    """Entries of every kind are loaded with their ends; removed and ended ones are not."""
    name = AllowEntry("sip.example", (Network.parse("192.0.2.7"),), "name", "carrier", "cli", WALL)
    short = AllowEntry("192.0.2.8", (Network.parse("192.0.2.8"),), "address", "", "cli", WALL, NOW + 60)
    gone = replace(short, value="192.0.2.9")
    for entry in (name, short, gone):
        opened.save_allow(entry, NOW, WALL)
    opened.remove_allow("192.0.2.9")
    assert sorted(opened.load(NOW, WALL).allowed, key=lambda e: e.value) == [short, name]
    assert opened.load(NOW + 60, WALL + 60).allowed == [name]


def test_history_is_newest_first_and_by_value(opened: Journal) -> None:
    """A row says what changed, why and when, and the limit holds."""
    opened.record([change(ban())], NOW, WALL)
    opened.record([change(ban("192.0.2.2"))], NOW + 1, WALL + 1)
    opened.record([change(ban(), ChangeKind.REMOVED, "unban")], NOW + 2, WALL + 2)
    assert [(r["value"], r["change"], r["why"], r["at"]) for r in opened.history("192.0.2.1")] == [
        ("192.0.2.1", "removed", "unban", WALL + 2),
        ("192.0.2.1", "added", "", WALL),
    ]
    assert [row["value"] for row in opened.history(limit=2)] == ["192.0.2.1", "192.0.2.2"]
    assert opened.history()[0]["scope"] == "ip"


def test_past_bans_count_proven_bans_that_nobody_took_back(opened: Journal) -> None:
    """For escalation: three bans, one taken back, an unproven one and an old one give two."""
    added, ended = change(ban()), change(ban(), ChangeKind.EXPIRED)
    opened.record([added, ended], NOW - 1000, WALL - 1000)
    opened.record([added, change(ban(until=NOW + 900), ChangeKind.EXTENDED), ended], NOW, WALL)
    opened.record([added, change(ban(), ChangeKind.REMOVED, "unban")], NOW, WALL + 10)
    opened.record([change(ban(proof=Proof.UNPROVEN)), ended], NOW, WALL + 20)
    opened.record([added], NOW, WALL + 30)
    # It expired while no node ran, so nothing says that it ended.
    assert opened.past_bans(WALL - 1) == {"192.0.2.1": 2}
    opened.record([added], NOW, WALL + 40)
    assert opened.past_bans(WALL - 1) == {"192.0.2.1": 3}


def test_a_ban_that_becomes_proven_counts_as_a_past_ban(opened: Journal) -> None:
    """An unproven ban that is extended by a proven one is one proven ban."""
    proven = change(ban(), ChangeKind.EXTENDED)
    opened.record([change(ban(proof=Proof.UNPROVEN)), proven, proven], NOW, WALL)
    assert opened.past_bans(WALL) == {"192.0.2.1": 1}


def test_alerts_come_back_with_their_evidence(opened: Journal) -> None:
    """Also one whose text holds undecodable octets."""
    opened.record_alert(alert(), WALL)
    (found,) = opened.alerts("192.0.2.1", 5)
    assert found["value"] == "192.0.2.1"
    assert found["proof"] == "proven"
    assert found["details"] == {"user_agent": "caf\udce9"}
    assert found["evidence"] == [
        {"time": WALL, "message": "OPTIONS sip:100@192.0.2.9 SIP/2.0\r\n", "note": "first"}
    ]
    assert opened.alerts("192.0.2.2") == []


def test_the_score_of_an_alert_comes_back(opened: Journal) -> None:
    """With its limit, what was added up and each mark; alerts from before scores are read too."""
    marks = (("from.tag regex x", 4), ("call-id prefix c", 5))
    opened.record_alert(replace(alert(), score=9, limit=4, measure="weight of marks", marks=marks), WALL)
    old = '{"value": "192.0.2.1", "scenario": "sip-scan", "time": 1.0}'
    opened._file.write(
        1, lambda db: db.execute("INSERT INTO alerts VALUES (1, '192.0.2.1', 0, ?)", [old])
    )
    before, found = opened.alerts("192.0.2.1")
    assert (found["score"], found["limit"], found["measure"]) == (9, 4, "weight of marks")
    assert found["marks"] == [{"mark": text, "weight": weight} for text, weight in marks]
    assert "score" not in before


def test_alerts_of_one_source_are_bounded(settings: JournalSettings) -> None:
    """The newest stay; other sources lose nothing."""
    small = Journal(replace(settings, max_alerts_per_source=3))
    small.record_alert(alert(bytes([192, 0, 2, 9])), WALL)
    for n in range(10):
        small.record_alert(alert(time=WALL + n), WALL + n)
    assert [row["time"] for row in small.alerts("192.0.2.1")] == [WALL + 9, WALL + 8, WALL + 7]
    assert len(small.alerts("192.0.2.9")) == 1
    small.close()


def test_a_flood_of_forged_sources_does_not_push_out_proven_alerts(
    settings: JournalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All alerts together are bounded, unproven ones go first."""
    monkeypatch.setattr(journal, "TRIM_EVERY", 10)
    small = Journal(replace(settings, max_alerts=5))
    small.record_alert(alert(), WALL)
    for n in range(39):
        small.record_alert(alert(bytes([203, 0, 113, n]), proof=Proof.UNPROVEN), WALL)
    rows = small.alerts()
    assert len(rows) == 5
    assert [row["value"] for row in rows if row["proof"] == "proven"] == ["192.0.2.1"]
    small.close()


def test_a_hundred_thousand_changes_are_one_transaction(opened: Journal) -> None:
    """They come back complete."""
    many = [change(ban(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}")) for n in range(100_000)]
    opened.record(many, NOW, WALL)
    assert opened.stats.written == 100_000
    assert len(opened.load(NOW, WALL).decisions) == 100_000


_WRITER = """
import sys
from tests.blocklist.test_journal import *
j = Journal(JournalSettings(path=sys.argv[1]))
for n in range(100_000):
    j.record([change(ban(f"10.0.{n >> 8 & 255}.{n & 255}"))], NOW, WALL)
    print(n, flush=True)
"""


def test_kill_9_during_writes_loses_nothing_that_was_recorded(settings: JournalSettings) -> None:
    """Every record() that returned is there when the file is opened again; nothing is set aside."""
    root = Path(__file__).parents[2]
    for stop_at in (3, 57, 200):
        writer = subprocess.Popen(
            [sys.executable, "-c", _WRITER, settings.path], stdout=subprocess.PIPE, text=True, cwd=root
        )
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) >= stop_at:
                break
        os.kill(writer.pid, signal.SIGKILL)
        said = [int(text) for text in writer.stdout.read().split()]
        writer.stdout.close()
        assert writer.wait() == -signal.SIGKILL
        again = Journal(settings)
        values = {decision.value for decision in again.load(NOW, WALL).decisions}
        last = max([stop_at, *said])
        assert {f"10.0.{n >> 8 & 255}.{n & 255}" for n in range(last)} <= values
        assert again.stats.files_set_aside == 0
        again.close()


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + bytes(5000)])
def test_a_file_that_is_no_database_is_set_aside(
    settings: JournalSettings, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It is kept under another name, a warning names it, and the new journal works; twice."""
    for number in (1, 2):
        Path(settings.path).write_bytes(content)
        for suffix in ("-wal", "-shm"):
            Path(settings.path + suffix).unlink(missing_ok=True)
        fresh = Journal(settings)
        fresh.record([change(ban())], NOW, WALL)
        assert len(fresh.load(NOW, WALL).decisions) == 1
        assert fresh.stats.files_set_aside == 1
        fresh.close()
        assert Path(f"{settings.path}.corrupt-{number}").read_bytes() == content
        assert f"{settings.path}.corrupt-{number}" in caplog.text


def test_damage_in_the_middle_is_found_when_read_and_the_rest_saved(settings: JournalSettings) -> None:
    """A page of decisions is overwritten: what can be read and the allowlist live on in a new file."""
    first = Journal(settings)
    first.save_allow(AllowEntry("sip.example", (), "name", "", "cli", WALL), NOW, WALL)
    first.record([change(ban(f"10.0.{n >> 8}.{n & 255}")) for n in range(5000)], NOW, WALL)
    page = first._file._db.execute("PRAGMA page_size").fetchone()[0]  # type: ignore[union-attr]
    first.close()
    data = bytearray(Path(settings.path).read_bytes())
    # A page of the later half of the table's leaves.
    for at in range(0, len(data), page):
        if b"10.0.19.100" in data[at : at + page] and data[at] in (2, 10):
            data[at : at + 100] = b"\xff" * 100
    Path(settings.path).write_bytes(data)
    second = Journal(settings)
    snapshot = second.load(NOW, WALL)
    assert second.stats.files_set_aside == 1
    assert second.stats.read_failures >= 1
    values = {decision.value for decision in snapshot.decisions}
    assert 4800 < len(values) < 5000
    assert {"10.0.0.0", "10.0.9.99"} <= values, "before and after the damage"
    assert [entry.value for entry in snapshot.allowed] == ["sip.example"]
    second.record([change(ban("192.0.2.77"))], NOW, WALL)
    assert second.flush()
    second.close()
    third = Journal(settings)
    assert len(third.load(NOW, WALL).decisions) == len(snapshot.decisions) + 1
    third.close()


def test_a_file_of_a_newer_shield_is_refused_and_stays(settings: JournalSettings) -> None:
    """Guessing at its tables could lose bans: the start fails, and the file is whole."""
    Journal(settings).close()
    other = sqlite3.connect(settings.path)
    other.execute("PRAGMA user_version=99")
    other.close()
    with pytest.raises(SystemFailure, match=r"journal\.db: its version is 99, a newer shield wrote it"):
        Journal(settings)
    assert not Path(f"{settings.path}.corrupt-1").exists()


def test_a_database_of_somebody_else_is_set_aside(settings: JournalSettings) -> None:
    """It has tables but no version of shield: it is moved, never written into."""
    other = sqlite3.connect(settings.path)
    other.execute("CREATE TABLE theirs (it)")
    other.close()
    fresh = Journal(settings)
    assert fresh.stats.files_set_aside == 1
    fresh.close()
    assert Path(f"{settings.path}.corrupt-1").exists()


@pytest.mark.parametrize(
    ("column", "bad"),
    [
        ("value", "nonsense"),
        ("proof", "maybe"),
        ("until", "later"),
        ("repeats", "x"),
        ("time", float("inf")),
    ],
)
def test_an_unreadable_row_is_skipped_and_counted(opened: Journal, column: str, bad: object) -> None:
    """The others are loaded."""
    opened.record([change(ban()), change(ban("192.0.2.2"))], NOW, WALL)
    database = opened._file._db
    assert database is not None
    database.execute(f"UPDATE decisions SET {column} = ? WHERE value = '192.0.2.2'", (bad,))
    assert [d.value for d in opened.load(NOW, WALL).decisions] == ["192.0.2.1"]
    assert opened.stats.rows_skipped == 1


def test_unreadable_alerts_and_allowed_rows_are_skipped(opened: Journal) -> None:
    """Each by itself."""
    opened.record_alert(alert(), WALL)
    database = opened._file._db
    assert database is not None
    database.execute("INSERT INTO alerts VALUES (1, 'x', 0, '[]'), (1, 'x', 0, '{')")
    database.execute("INSERT INTO allowed VALUES ('a', 'what', '[]', '', '', 1, NULL)")
    assert len(opened.alerts()) == 1
    assert opened.load(NOW, WALL).allowed == []
    assert opened.stats.rows_skipped == 3


def test_what_a_full_disk_refuses_is_written_later(
    opened: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    """Changes wait in memory, in order, one error is logged, and nothing is lost."""
    disk = failing(opened, sqlite3.OperationalError("database or disk is full"))
    opened.record([change(ban())], NOW, WALL)
    opened.record([change(ban(), ChangeKind.REMOVED, "unban"), change(ban("192.0.2.2"))], NOW, WALL)
    opened.record_alert(alert(), WALL)
    assert not opened.flush()
    assert opened.stats.pending == 4
    assert opened.stats.write_failures == 4
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    disk.error = None
    opened.record([], NOW, WALL)
    assert (opened.stats.pending, opened.stats.written, opened.stats.lost) == (0, 4, 0)
    assert [d.value for d in opened.load(NOW, WALL).decisions] == ["192.0.2.2"]
    assert len(opened.alerts()) == 1


def test_a_really_full_database_waits_too(opened: Journal) -> None:
    """SQLite's own page limit gives the error of a full disk."""
    database = opened._file._db
    assert database is not None
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count={pages}")
    many = [change(ban(f"10.0.{n >> 8}.{n & 255}")) for n in range(2000)]
    opened.record(many, NOW, WALL)
    assert opened.stats.pending == 2000
    database.execute("PRAGMA max_page_count=100000")
    assert opened.flush()
    assert len(opened.load(NOW, WALL).decisions) == 2000


def test_what_waits_is_bounded(opened: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is dropped and counted."""
    monkeypatch.setattr(journal_file, "MAX_PENDING", 10)
    disk = failing(opened, sqlite3.OperationalError("disk I/O error"))
    for n in range(25):
        opened.record([change(ban(f"192.0.2.{n}"))], NOW, WALL)
    assert (opened.stats.pending, opened.stats.lost) == (10, 15)
    disk.error = None
    assert opened.flush()
    assert {d.value for d in opened.load(NOW, WALL).decisions} == {f"192.0.2.{n}" for n in range(15, 25)}


def test_damage_found_while_writing_begins_a_new_file(
    opened: Journal, settings: JournalSettings
) -> None:
    """What was readable and what was to be written are both in the new file."""
    opened.record([change(ban())], NOW, WALL)
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    failing(opened, error)
    opened.record([change(ban("192.0.2.2"))], NOW, WALL)
    assert {d.value for d in opened.load(NOW, WALL).decisions} == {"192.0.2.1", "192.0.2.2"}
    assert opened.stats.files_set_aside == 1
    assert Path(settings.path + ".corrupt-1").exists()


def test_damage_that_cannot_be_set_aside_is_tried_again(
    opened: Journal, settings: JournalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Directory and disk refuse in turn: what was live and what came since wait, nothing is lost."""
    opened.record([change(ban())], NOW, WALL)
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    failing(opened, error)
    open_, set_aside = journal_file._open, journal_file._set_aside

    def refuse(path: Path, *_why: str) -> None:
        raise SystemFailure(f"{path}: not now")

    monkeypatch.setattr(journal_file, "_set_aside", refuse)
    opened.record([change(ban("192.0.2.2"))], NOW, WALL)
    assert opened.stats.pending == 1
    assert opened.history() == []
    assert opened.flush()
    failing(opened, error)
    monkeypatch.setattr(journal_file, "_set_aside", set_aside)
    monkeypatch.setattr(journal_file, "_open", refuse)
    opened.record([change(ban("192.0.2.3"))], NOW, WALL)
    assert (opened.stats.pending, opened.stats.files_set_aside) == (1, 1)
    monkeypatch.setattr(journal_file, "_open", open_)
    assert opened.flush()
    found = {decision.value for decision in opened.load(NOW, WALL).decisions}
    assert found == {"192.0.2.1", "192.0.2.2", "192.0.2.3"}
    assert Path(settings.path + ".corrupt-1").exists()


def test_a_damaged_file_that_cannot_be_moved_is_a_system_failure(
    settings: JournalSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start somebody looks: the message names the file."""

    def refuse(_self: Path, target: Path) -> Path:
        raise PermissionError(13, "refused", str(target))

    Path(settings.path).write_bytes(b"no database at all" * 100)
    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(SystemFailure, match=r"cannot move the damaged journal .*journal\.db"):
        Journal(settings)


def test_a_value_that_sqlite_refuses_does_not_block_the_others(opened: Journal) -> None:
    """It is dropped and counted."""
    opened.record([change(ban()._replace(duration=float("nan")))], NOW, WALL)
    opened.record([change(ban()._replace(repeats=1 << 70))], NOW, WALL)
    opened.record([change(ban("192.0.2.2")._replace(reason="\udcff"))], NOW, WALL)
    assert opened.stats.lost == 2
    assert [(d.value, d.reason) for d in opened.load(NOW, WALL).decisions] == [("192.0.2.2", "?")]


def test_a_reader_looks_on_while_the_daemon_writes(opened: Journal, settings: JournalSettings) -> None:
    """open_readonly sees what was recorded and can change nothing."""
    opened.record([change(ban())], NOW, WALL)
    reader = Journal.open_readonly(settings.path)
    assert [d.value for d in reader.load(0.0, WALL).decisions] == ["192.0.2.1"]
    opened.record([change(ban("192.0.2.2"))], NOW, WALL)
    assert len(reader.history()) == 2
    reader.record([change(ban("192.0.2.3"))], NOW, WALL)
    assert reader.stats.write_failures == 1
    reader.close()
    assert len(opened.history()) == 2


def test_a_reader_needs_a_journal(tmp_path: Path) -> None:
    """A missing file, one that is no database and one of another version are named."""
    with pytest.raises(SystemFailure, match=r"missing\.db"):
        Journal.open_readonly(tmp_path / "missing.db")
    (tmp_path / "other.db").write_bytes(b"something else" * 100)
    with pytest.raises(SystemFailure, match=r"other\.db"):
        Journal.open_readonly(tmp_path / "other.db")
    sqlite3.connect(tmp_path / "empty.db").execute("PRAGMA user_version=7").connection.close()
    with pytest.raises(SystemFailure, match="version is 7, a newer shield"):
        Journal.open_readonly(tmp_path / "empty.db")


@pytest.mark.parametrize("where", ["/proc/shield/journal.db", "/dev/null/journal.db"])
def test_a_directory_that_cannot_be_made_is_a_system_failure(where: str) -> None:
    """The message names it."""
    with pytest.raises(SystemFailure, match=r"journal"):
        Journal(JournalSettings(path=where))


def test_a_directory_in_the_place_of_the_file_is_a_system_failure(tmp_path: Path) -> None:
    """Nothing is moved aside then."""
    with pytest.raises(SystemFailure, match="cannot open the journal"):
        Journal(JournalSettings(path=str(tmp_path)))
    assert tmp_path.exists()


def test_wrong_settings_are_all_named() -> None:
    """Each by its key."""
    with pytest.raises(ConfigError) as caught:
        JournalSettings(
            path="journal.db", history_days=0, max_history=0, max_alerts=0, max_alerts_per_source=0
        )
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "journal.path",
        "journal.history_days",
        "journal.max_history",
        "journal.max_alerts",
        "journal.max_alerts_per_source",
    ]


def test_closing_with_waiting_changes_says_so(
    settings: JournalSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """The last word names how many are lost; a closed journal reads as empty and close is idempotent."""
    closing = Journal(settings)
    failing(closing, sqlite3.OperationalError("disk I/O error"))
    closing.record([change(ban())], NOW, WALL)
    closing.close()
    assert "1 records are lost" in caplog.text
    assert closing.history() == []
    assert closing.stats.as_json()["pending"] == 1
