"""The hub between a node and the others: what travels, what arrives, what is shown and saved."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shield import hub as module
from shield.blocklist import sharing
from shield.blocklist.journal_rows import alert_document
from shield.blocklist.shared_alerts import pack_alert, pack_documents
from shield.blocklist.shared_record import allow_key, allow_value, ban_key, read_unproven, unproven_key
from shield.blocklist.sharing_settings import SharingSettings
from shield.capture.source import Frame
from shield.cluster.capability import Incoming
from shield.cluster.messages import Kind
from shield.detect.alert import Proof
from shield.errors import InputError
from shield.net import Network
from tests.blocklist.sharing_lab import alert
from tests.capture.wire import ether, ip4, udp
from tests.node_parts import ATTACKER, SERVER, WALL, options
from tests.sharing_parts import OTHER, SharingBench

KEY = ban_key(Network.parse(ATTACKER))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[SharingBench]:
    made = SharingBench(tmp_path, SharingSettings(max_bans=3))
    yield made
    made.journal.close()


def packed(value: str = ATTACKER) -> bytes:
    data = pack_alert(alert_document(alert(value), WALL))
    assert data is not None
    return data


def test_what_operators_do_travels(bench: SharingBench) -> None:
    """Bans, unbans, imports, allowlist entries, and nothing of what others did."""
    bench.ask("ban", values=[ATTACKER])
    assert [key for key, _ in bench.told()] == [KEY]
    bench.ask("unban", values=[ATTACKER])
    assert bench.told() == [(KEY, None)]
    bench.ask("import", decisions=[{"value": ATTACKER, "duration": 60}])
    assert [key for key, _ in bench.told()] == [KEY]
    bench.ask("allow.add", values=[ATTACKER, "carrier.example"])
    assert [key for key, _ in bench.told()] == [KEY, allow_key(ATTACKER), allow_key("carrier.example")]
    bench.ask("allow.remove", values=[ATTACKER])
    assert bench.told() == [(allow_key(ATTACKER), None)]
    bench.hear("192.0.2.99")
    assert bench.told() == []


def test_an_unproven_detection_is_told_as_such(bench: SharingBench) -> None:
    """In a record of its own, with how many messages there were: the others judge for themselves."""
    frames = [
        Frame(WALL + n, ether(ip4(udp(options(f"c{n}"), sport=5060), 17, ATTACKER, SERVER)), 1)
        for n in range(5)
    ]
    bench.hub.take(bench.pipeline.feed(frames, bench.now), bench.now, WALL + bench.now)
    assert bench.banned() == {ATTACKER}
    ((key, value),) = bench.told()
    assert key == unproven_key(Network.parse(ATTACKER))
    told = read_unproven(Network.parse(ATTACKER), value or b"", "node-a", bench.now + 300)
    assert (told.decision.proof, told.messages) == (Proof.UNPROVEN, 3)


def test_a_ban_of_another_node_reaches_the_kernel_and_is_explained(bench: SharingBench) -> None:
    """With its alert from there, and the packets that it saved are counted."""
    bench.hear(ATTACKER, 600, packed())
    assert bench.kernel() == {ATTACKER}
    bench.pipeline.decoder.feed(
        Frame(WALL, ether(ip4(udp(options("c1"), sport=5060), 17, ATTACKER, SERVER)), 1)
    )
    shown = bench.ask("show", value=ATTACKER)
    assert shown["decisions"][0]["origin"] == OTHER
    (one,) = shown["alerts"]
    assert (one["origin"], one["scenario"]) == (OTHER, "sip-scan")
    assert one["evidence"][0]["message"].startswith("OPTIONS")
    (said,) = shown["shared"]
    assert said == {
        "origin": OTHER, "remaining": 598.5, "applied": True, "why": "", "proof": "proven", "reason": "",
    }  # fmt: skip
    (ground,) = shown["grounds"]
    assert (ground["grade"], ground["decided_by"]) == ("proven", OTHER)
    assert shown["history"][0]["origin"] == OTHER
    status = bench.ask("status")["sharing"]
    assert (status["bans"], status["saved_detections"], status["saved_by"]) == (1, 1, {OTHER: 1})
    assert bench.ask("stats")["sharing"]["counters"]["applied"] == 1


def test_a_missing_alert_is_asked_for(bench: SharingBench) -> None:
    """Of the node that decided; without an answer what is known is shown."""
    asked: list[tuple[str, Any]] = []
    answers: list[Any] = [None, pack_documents([alert_document(alert(ATTACKER), WALL)])]

    async def ask(node: str, body: Any) -> Any:
        asked.append((node, body))
        return answers.pop(0)

    bench.hub.ask_origin = ask
    bench.hear(ATTACKER)
    assert bench.ask("show", value=ATTACKER)["alerts"] == []
    assert bench.ask("show", value=ATTACKER)["alerts"][0]["origin"] == OTHER
    assert bench.ask("show", value=ATTACKER)["alerts"][0]["origin"] == OTHER
    assert asked == [(OTHER, ("explain", ATTACKER))] * 2


def test_own_alerts_are_given_to_who_asks(bench: SharingBench) -> None:
    """Those of this node only, whether the journal has them yet or not."""
    bench.hub.take_documents([{**alert_document(alert(ATTACKER), WALL), "origin": "node-c"}])
    question = Incoming(OTHER, Kind.REQUEST, 1, ("explain", ATTACKER))
    bench.shared.receive(question, bench.now)
    bench.hub._keep(alert_document(alert(ATTACKER), WALL))
    bench.shared.receive(question, bench.now)
    bench.hub.save(bench.now, WALL)
    bench.shared.receive(question, bench.now)
    assert [len(reply) for reply in bench.sent.replies] == [0, 1, 1]


def test_held_bans_are_shown_and_can_be_taken_back(bench: SharingBench) -> None:
    """Status warns, show gives the reason, and an unban of what is only held works."""
    for n in range(5):
        bench.hear(f"192.0.2.{n}")
    assert len(bench.banned()) == 3
    (warning,) = bench.ask("status")["warnings"]
    assert warning.startswith("sharing: 2 records of node-b are beyond its budget and held")
    assert bench.ask("show", value="192.0.2.4")["shared"][0]["why"] == "held"
    (result,) = bench.ask("unban", values=["192.0.2.4"])["results"]
    assert result["ok"]
    assert bench.told() == [(ban_key(Network.parse("192.0.2.4")), None)]
    with pytest.raises(InputError, match="not banned"):
        bench.hub.unban(Network.parse("192.0.2.4"), bench.now, "again")


def test_an_allow_entry_of_another_node_ends_bans_here(bench: SharingBench) -> None:
    """It is saved, reaches the firewall, and can be taken out by the operator here."""
    bench.ask("ban", values=[ATTACKER])
    other = bench.other
    other.put(
        allow_key(ATTACKER), allow_value("ours", WALL, endless=True), 1e6, bench.now, WALL + bench.now
    )
    record = other.record(allow_key(ATTACKER), bench.now)
    bench.shared.receive(Incoming(OTHER, Kind.MESSAGE, 0, ("put", (record,), None)), bench.now)
    assert bench.kernel() == set()
    assert Network.parse(ATTACKER) in bench.backend.allowed
    assert [e.value for e in bench.journal.load(bench.now, WALL).allowed] == [ATTACKER]
    assert [row["origin"] for row in bench.ask("allow.list") if row["value"] == ATTACKER] == [OTHER]
    bench.told()
    bench.ask("allow.remove", values=[ATTACKER])
    assert bench.told() == [(allow_key(ATTACKER), None)]
    assert bench.journal.load(bench.now, WALL).allowed == []


def test_records_are_saved_own_ones_first(bench: SharingBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator's unban outlives a kill -9 also while thousands of others' bans wait."""
    monkeypatch.setattr(module, "SAVE_SHARED", 2)
    for n in range(3):
        bench.hear(f"192.0.2.{n}")
    bench.ask("unban", values=["192.0.2.1"])  # saved before it is answered
    rows = {row.row[0]: row.row[4] for row in bench.journal.load_shared(WALL)}
    assert rows[ban_key(Network.parse("192.0.2.1"))] is None
    assert bench.hub.unsaved == 0
    while bench.shared.store.waiting:
        bench.hub.save(bench.now, WALL + bench.now)
    assert len(bench.journal.load_shared(WALL)) == 3


def test_what_a_joiner_hears_does_not_fill_the_history(
    bench: SharingBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a bound new bans of others are in force and saved, but no line of history."""
    monkeypatch.setattr(module, "UNSAVED_SHARED", 2)
    for n in range(3):
        bench.hear(f"192.0.2.{n}")
    for _ in range(3):
        bench.hub.save(bench.now, WALL + bench.now)
    assert len(bench.journal.history()) == 2
    assert bench.hub.history_skipped == 1
    assert len(bench.kernel()) == 3


def test_a_restart_finds_everything(bench: SharingBench, tmp_path: Path) -> None:
    """From the same journal: bans of both, each stored once, and what is held."""
    bench.ask("ban", values=["198.51.100.9"])
    for n in range(4):
        bench.hear(f"192.0.2.{n}")
    while bench.shared.store.waiting:
        bench.hub.save(bench.now, WALL + bench.now)
    before = bench.banned()
    bench.journal.close()
    again = SharingBench(tmp_path, SharingSettings(max_bans=3))
    again.now = bench.now + 10
    saved = again.journal.load(again.now, WALL + again.now)
    assert [d.value for d in saved.decisions] == ["198.51.100.9"]
    again.pipeline.blocklist.restore(saved.decisions, again.now)
    again.shared.restore(again.journal.load_shared(WALL + again.now), again.now)
    assert again.banned() == before
    assert again.shared.owners.hosts[OTHER] == 3
    assert again.told() == []
    assert again.ask("show", value="192.0.2.3")["shared"][0]["why"] == "held"
    bench.journal = again.journal


def test_garbage_is_gone_before_what_is_there_is_left_alone(
    bench: SharingBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connections that strangers break off are garbage in circles; frozen with the bans it stays."""

    class Circle:
        def __init__(self) -> None:
            self.me = self

    monkeypatch.setattr(sharing, "FREEZE_EVERY", 2)
    left = weakref.ref(Circle())
    assert left() is not None
    frozen = gc.get_freeze_count()
    try:
        for host in range(2):
            bench.hear(f"192.0.2.{host}")
        assert gc.get_freeze_count() > frozen
        assert left() is None
    finally:
        gc.unfreeze()
