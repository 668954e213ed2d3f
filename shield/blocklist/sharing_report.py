"""What people see of sharing: status, warnings, and why a record of an address is or is not applied."""

from __future__ import annotations

from typing import Any

from shield.blocklist.aside import Why
from shield.blocklist.decision import Decision
from shield.blocklist.grounds import REASONS
from shield.blocklist.shared_record import UNPROVEN
from shield.blocklist.sharing import Sharing
from shield.detect.alert import Proof
from shield.net import Network

__all__ = ["sharing_json", "sharing_of", "sharing_short", "sharing_warnings"]


def sharing_short(sharing: Sharing) -> dict[str, Any]:
    """State in short: totals, and what each other node's decisions saved here."""
    owners, aside = sharing.owners, sharing.aside
    return {
        "records": len(sharing.records),
        "quorum": sharing.settings.quorum,
        "bans": owners.hosts.total() + owners.networks.total() + owners.unproven.total(),
        "unproven": owners.unproven.total(),
        "saved_detections": owners.saved.total(),
        "held": aside.count(Why.HELD),
        "not_applied": len(aside),
        "saved_by": {origin: owners.saved[origin] for origin in sorted(owners.saved)},
    }


def sharing_json(sharing: Sharing) -> dict[str, Any]:
    """State and counters, in total and by node."""
    owners, counts = sharing.owners, sharing.aside.counts()
    decided = {*owners.hosts, *owners.unproven, *owners.networks, *owners.saved}
    origins = {*decided, *(mark.origin for mark in counts)}
    floods = sharing.admission.unproven.floods
    return {
        **sharing_short(sharing),
        "unproven_untold": sharing.bans.untold,
        "forged_floods": {"now": floods.going_on(), "seen": floods.seen},
        "origins": {
            origin: {
                "bans": owners.hosts[origin] + owners.unproven[origin],
                "unproven": owners.unproven[origin],
                "networks": owners.networks[origin],
                "saved_detections": owners.saved[origin],
                "not_applied": {m.why.value: n for m, n in counts.items() if m.origin == origin},
            }
            for origin in sorted(origins)
        },
        "counters": sharing.stats.as_json() | dict(sharing.records.counters),
    }


def sharing_warnings(sharing: Sharing) -> list[str]:
    """One line for records that wait for the operator or find no room, and for forged floods."""
    counts = sharing.aside.counts()
    unshared = sharing.records.counters["full"] if sharing.outlet is not None else 0
    full = [f"sharing: {unshared:,} decisions of this node were not shared, there are too many"]
    floods = [
        f"sharing: a flood of forged sources goes on ({scenario}); unproven bans of other nodes for it "
        "are not taken"
        for scenario in sharing.admission.unproven.floods.going_on()
    ]
    return (
        (full if unshared else [])
        + floods
        + [
            f"sharing: {count:,} records of {mark.origin} are beyond its budget and held "
            f"(shield cluster release {mark.origin}, or drop)"
            for mark, count in sorted(counts.items())
            if mark.why is Why.HELD
        ]
    )


def sharing_of(
    sharing: Sharing, network: Network, now: float, decided: Decision | None = None
) -> list[dict[str, Any]]:
    """What the nodes say about exactly this network, the record that counts last.

    ``decided``: what is in force here.
    """
    shown = []
    proven = decided is not None and decided.proof is Proof.PROVEN
    for key, entry in sharing.admission.all_said(network, now):
        mark = sharing.aside.get(key)
        weak = key[0] == UNPROVEN
        why = mark.why if mark is not None else Why.COVERED if weak and proven else None
        shown.append(
            {
                "origin": entry.origin,
                "remaining": round(entry.until - now, 3),
                "applied": why is None,
                "why": "" if why is None else why.value,
                "proof": (Proof.UNPROVEN if weak else Proof.PROVEN).value,
                "reason": "" if why is None else REASONS[why],
            }
        )
    return shown
