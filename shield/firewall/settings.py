"""FirewallSettings: what an operator may set about the kernel firewall."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shield.errors import ConfigError

__all__ = ["FirewallSettings"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,15}")
"""ipset names end at 31 characters and ours append up to 8; nft wants a plain identifier."""

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
        if not 1 <= self.batch_elements <= 100_000:
            found.append(f"batch_elements: {self.batch_elements} is not between 1 and 100000")
        if not -1000 <= self.priority <= 1000:
            found.append(f"priority: {self.priority} is not between -1000 and 1000")
        if len(self.ports) > 15:
            found.append("ports: at most 15 ports (the limit of iptables' multiport)")
        found += [f"ports: {port} is no port" for port in self.ports if not 1 <= port <= 65535]
        for name in ("batch_seconds", "network_seconds"):
            if not 0 <= getattr(self, name) <= 1:
                found.append(f"{name}: {getattr(self, name)} is not between 0 and 1 second")
        if not 0 < self.retry_first <= self.retry_last <= 60:
            found.append("retry_first, retry_last: must be above 0, in this order, at most 60 seconds")
        if not 0 < self.command_timeout <= 120:
            found.append(f"command_timeout: {self.command_timeout} is not between 0 and 120 seconds")
        return found
