"""Alerts on their way: trimmed when they leave, read field by field when they arrive."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.blocklist.journal_rows import alert_document
from shield.blocklist.shared_alerts import (
    MAX_ALERT,
    SAMPLE_TEXT,
    pack_alert,
    pack_documents,
    pack_new,
    read_alert,
    read_answer,
    read_pushed,
)
from shield.detect.alert import Evidence
from shield.errors import RemoteError
from shield.net import Network
from tests.blocklist.sharing_lab import WALL, alert, net

HOST = net("192.0.2.66")


def packed(**more: Any) -> bytes:
    """An alert as another node sends it, with fields of our choice."""
    return json.dumps({**alert_document(alert("192.0.2.66"), WALL), **more}).encode()


def test_an_alert_arrives_as_it_left() -> None:
    """But for the time of arrival and the name of the origin."""
    left = alert_document(alert("192.0.2.66", evidence=3), WALL)
    data = pack_new(alert("192.0.2.66", evidence=3), WALL)
    assert read_alert(data, HOST, "a", WALL + 5) == {**left, "at": WALL + 5, "origin": "a"}


def test_evidence_is_trimmed_and_left_out_when_it_is_too_long() -> None:
    """Better an alert without evidence than none."""
    wild = tuple(Evidence(1.0, "\ud800" * 4000) for _ in range(9))
    data = pack_alert(alert_document(replace(alert("192.0.2.66"), evidence=wild), WALL))
    assert data is not None
    assert len(data) <= MAX_ALERT
    (one,) = read_alert(data, HOST, "a", WALL)["evidence"]
    assert one["message"] == "?" * SAMPLE_TEXT, "half characters, which nobody could print"
    huge = replace(alert("192.0.2.66"), details=(("x", "y" * MAX_ALERT),))
    assert pack_alert(alert_document(huge, WALL)) is None
    assert pack_documents([alert_document(huge, WALL)]) == ()


@pytest.mark.parametrize(
    "more",
    [
        {"value": "198.51.100.1"},
        {"value": "x"},
        {"time": "now"},
        {"time": float("inf")},
        {"severity": 10**400},
        {"count": True},
        {"scenario": 5},
        {"proof": "sure"},
        {"details": []},
        {"evidence": [5]},
        {"marks": {"a": 1}},
        {"proofs": 7},
    ],
)
def test_what_makes_no_sense_is_refused(more: dict[str, Any]) -> None:
    """Also an alert about an address that the decision does not ban."""
    with pytest.raises(RemoteError, match="alert"):
        read_alert(packed(**more), HOST, "a", WALL)


@given(data=st.one_of(st.binary(max_size=200), st.none(), st.integers(), st.just(b"[" * 9000)))
def test_noise_is_refused(data: Any) -> None:
    """RemoteError and nothing else; lists of noise give nothing."""
    with pytest.raises(RemoteError, match="alert"):
        read_alert(data, HOST, "a", WALL)
    assert read_answer((data,), HOST, "a", WALL) == []
    assert read_answer(data, HOST, "a", WALL) == []


def test_long_texts_are_cut() -> None:
    """Their length is somebody else's choice."""
    found = read_alert(packed(scenario="s" * 999, details={"k" * 999: "v" * 999}), HOST, "a", WALL)
    assert len(found["scenario"]) == 255
    assert [(len(k), len(v)) for k, v in found["details"].items()] == [(255, 255)]


def test_only_alerts_of_applied_decisions_are_kept() -> None:
    """The rest of a message is passed over; what makes no sense is counted."""
    key = b"b\x20" + HOST.address
    alerts = ((key, packed()), (b"b\x20abcd", packed()), (key, b"x"), 5)
    found, refused = read_pushed(alerts, {key}, "a", WALL)
    assert ([one["value"] for one in found], refused) == (["192.0.2.66"], 2)
    assert read_pushed(5, {key}, "a", WALL) == ([], 0)


def test_an_alert_about_an_address_explains_the_ban_of_its_network() -> None:
    """Some rules ban the network around the source."""
    assert read_alert(packed(), Network.parse("192.0.2.0/24"), "a", WALL)["value"] == "192.0.2.66"
