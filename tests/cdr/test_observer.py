"""shield.cdr.observer: what dialogs do, as reports."""

from __future__ import annotations

import pytest

from shield.cdr.observer import STRAY_RATE, Observer
from shield.cdr.report import Kind, Report
from shield.cdr.settings import Failed
from shield.pipeline import Pipeline
from tests.rules.test_slow import pipeline
from tests.town import Line, Town
from tests.traffic import START


def watched(failed: Failed = Failed.KNOWN) -> tuple[Pipeline, Observer, list[Report]]:
    """A pipeline whose calls are reported into a list."""
    node, found = pipeline(), list[Report]()
    observer = Observer(failed, found.append)
    node.tracker.dialogs.followers = (observer.changed,)
    node.tracker.dialogs.on_stray = observer.stray
    return node, observer, found


def calls(*answers: str, failed: Failed = Failed.KNOWN, repeat: float = 0.0) -> list[Report]:
    """What is reported of calls that end like that."""
    town = Town(miss=0.0, repeat=repeat)
    node, _, found = watched(failed)
    for number, answer in enumerate(answers):
        line = Line(town, town.address(number), f"user{number}", f"callee{number}")
        line.call_out(START + 100.0 * number, answer)
    for frame in sorted(town.frames, key=lambda frame: frame.time):
        node.feed([frame])
    return found


@pytest.mark.parametrize("repeat", [0.0, 0.5])
def test_an_answered_call_has_a_start_and_a_stop(repeat: float) -> None:
    """However often packets are repeated; the STOP says all that the START said."""
    begun, over = calls("200 OK", repeat=repeat)
    assert (begun.kind, over.kind) == (Kind.START, Kind.STOP)
    assert begun.key == over.key
    assert (over.account, over.called, over.status) == (b"user0", b"callee0", 200)
    assert over.ended - over.answered == pytest.approx(57.0, abs=5.0)
    assert 0 < over.started <= over.rang <= over.answered < over.ended
    assert begun.ended == 0.0


def test_a_call_that_fails_has_only_a_stop() -> None:
    """With the status of its INVITE."""
    (over,) = calls("486 Busy Here")
    assert (over.kind, over.answered, over.status) == (Kind.STOP, 0.0, 486)


@pytest.mark.parametrize(("failed", "count"), [(Failed.NONE, 0), (Failed.KNOWN, 0), (Failed.ALL, 1)])
def test_calls_of_nobody_known_are_reported_as_configured(failed: Failed, count: int) -> None:
    """A scan of INVITEs without credentials that never rings writes nothing by default."""
    town = Town(miss=0.0, repeat=0.0)
    node, observer, found = watched(failed)
    Line(town, town.address(5), "x").ask(START, "INVITE", "404 Not Found")
    for frame in town.frames:
        node.feed([frame])
    assert len(found) == count
    assert observer.stats.unknown_failed == 1 - count


def test_a_bye_of_a_call_that_began_elsewhere_is_reported_once() -> None:
    """The proxy that passes it on sends it again; of own calls nothing is stray."""
    town = Town(miss=0.0, repeat=0.0)
    node, observer, found = watched()
    line = Line(town, town.address(5), "x")
    line.request(START, "BYE", to_tag=";tag=far")
    line.request(START + 1, "BYE", to_tag=";tag=far")
    for frame in town.frames:
        node.feed([frame])
    assert [(one.kind, one.to_tag) for one in found] == [(Kind.BYE, b"far")]
    assert observer.stats.strays == 1


def test_a_flood_of_stray_byes_is_bounded() -> None:
    """The rest is counted."""
    town = Town(miss=0.0, repeat=0.0)
    node, observer, found = watched()
    for number in range(STRAY_RATE + 50):
        Line(town, town.address(number), "x").request(START + number / 1000, "BYE", to_tag=";tag=t")
    for frame in town.frames:
        node.feed([frame])
    assert (len(found), observer.stats.strays_dropped) == (STRAY_RATE, 50)
    observer.tick(START + 10_000)
