"""AlertExchange: alerts that travel with decisions, and those that are asked for later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from shield.blocklist.aside import Aside
from shield.blocklist.shared_alerts import pack_documents, read_answer, read_pushed, read_question
from shield.blocklist.shared_record import BANS
from shield.blocklist.sharing_host import Host, SharingStats
from shield.cluster.capability import Incoming, Outlet
from shield.cluster.entry import Applied
from shield.net import Network

__all__ = ["AlertExchange"]


class AlertExchange:
    """Takes alerts of other nodes for ``host``, and gives those of this node."""

    def __init__(
        self, aside: Aside, stats: SharingStats, host: Callable[[], Host], wall: Callable[[], float]
    ) -> None:
        self._aside = aside
        self._stats = stats
        self._host = host
        self._wall = wall

    def take(self, sender: str, alerts: Any, applied: Sequence[Applied], wall: float) -> None:
        """Keep the alerts of decisions that are applied here."""
        fresh = {key for key, entry, _ in applied if entry.value is not None}
        wanted = {key for key in fresh if key[0] in BANS and self._aside.get(key) is None}
        documents, refused = read_pushed(alerts, wanted, sender, wall)
        self._stats.alerts += len(documents)
        self._stats.refused_alerts += refused
        if documents:
            self._host().take_documents(documents)

    def answer(self, incoming: Incoming, outlet: Outlet, now: float) -> None:
        """Answer ``("explain", network)``: the alerts of this node about it."""
        network = read_question(incoming.body)
        outlet.reply(incoming, pack_documents(self._host().documents_of(network)), now)

    def explained(self, origin: str, network: Network, body: Any) -> list[dict[str, Any]]:
        """Take the answer of ``origin`` to ``("explain", network)``; returns what makes sense of it."""
        documents = read_answer(body, network, origin, self._wall())
        if documents:
            self._host().take_documents(documents)
        return documents
