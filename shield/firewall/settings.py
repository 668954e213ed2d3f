"""FirewallSettings: what an operator may set about the kernel firewall."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shield.errors import ConfigError

__all__ = ["FirewallSettings"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,15}")
"""ipset names end at 31 characters and ours append up to 8; nft wants a plain identifier."""

MAX_PORTS = 15

_RANGES = (
    ("batch_elements", 1, 100_000),
    ("priority", -1000, 1000),
    ("limit_rate", 1, 10_000),  # what hashlimit of iptables takes
    ("limit_burst", 1, 10_000),
)
"""Settings that are whole numbers, with the least and the most that they may be."""

RECONCILE_MOST = 4.0
"""Seconds; with more, a flushed kernel would not be right again within 5 s."""


@dataclass(frozen=True)
class FirewallSettings:
    """How decisions reach the kernel."""

    backend: str = "nftables"
    "`nftables`, `iptables` (with ipset) or `dryrun` (says what it would do)."
    table: str = "shield"
    "Name of the nftables table, and prefix of the ipset sets and of the iptables chain."
    priority: int = -450
    """Place of the nftables chain in the prerouting hook. The default comes before defragmentation
    (-400), raw (-300) and connection tracking (-200), so a banned packet costs none of them."""
    ports: tuple[int, ...] = ()
    "Drop only packets to these UDP and TCP ports; empty drops everything the banned source sends."
    limit_rate: int = 10
    """Packets a second that a limited source may send to the SIP ports. 200 phones that refresh their
    registrations and NAT bindings send some eight."""
    limit_burst: int = 50
    "Packets that a limited source may send at once before the rate applies."
    limit_ports: tuple[int, ...] = ()
    """UDP and TCP ports that the rate is about; the media of calls goes to others and passes. Empty:
    those of `capture.ports` and `capture.websocket_ports`."""
    reconcile: float = 2.0
    "Seconds between two comparisons of the kernel with the decisions (0.1 to 4)."
    batch_seconds: float = 0.005
    "Seconds that further bans are collected after a commit; the first ban goes at once."
    batch_elements: int = 2500
    "Elements in one commit at most; bounds how long one commit takes (2 to 3 us each)."
    network_seconds: float = 1.0
    "Seconds between two changes of the network set, which costs more the larger it is."
    retry_first: float = 0.1
    "Seconds until a failed commit is tried again; doubled on each further failure."
    retry_last: float = 5.0
    "Seconds that the wait between two tries never exceeds."
    command_timeout: float = 10.0
    "Seconds that `nft`, `ipset` or `iptables-restore` may take."

    def __post_init__(self) -> None:
        problems = [f"firewall.{text}" for text in self._problems()]
        if problems:
            raise ConfigError(*problems)

    def _problems(self) -> list[str]:
        found = []
        if not _NAME.fullmatch(self.table):
            found.append(f"table: {self.table!r} must match {_NAME.pattern}")
        if not 0.1 <= self.reconcile <= RECONCILE_MOST:
            found.append(
                f"reconcile: {self.reconcile} is not between 0.1 and {RECONCILE_MOST:g} seconds"
            )
        for name, low, high in _RANGES:
            if not low <= getattr(self, name) <= high:
                found.append(f"{name}: {getattr(self, name)} is not between {low} and {high}")
        for name in ("ports", "limit_ports"):
            ports = getattr(self, name)
            if len(ports) > MAX_PORTS:
                found.append(f"{name}: at most {MAX_PORTS} ports (the limit of iptables' multiport)")
            found += [f"{name}: {port} is no port" for port in ports if not 1 <= port <= 65535]
        for name in ("batch_seconds", "network_seconds"):
            if not 0 <= getattr(self, name) <= 1:
                found.append(f"{name}: {getattr(self, name)} is not between 0 and 1 second")
        if not 0 < self.retry_first <= self.retry_last <= 60:
            found.append("retry_first, retry_last: must be above 0, in this order, at most 60 seconds")
        if not 0 < self.command_timeout <= 120:
            found.append(f"command_timeout: {self.command_timeout} is not between 0 and 120 seconds")
        return found
