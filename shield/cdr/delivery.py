"""Delivery: brings reports from every spool into the ledger of every collector, each exactly once.

- ``("collector",)`` is told by a collector to everybody, again when somebody comes.
- ``("put", epoch, wall, ((number, report), ...))``: reports in the order of their numbers, to one
  collector; ``wall`` is the sender's clock, so that a clock that is off is noticed.
- ``("ok", epoch, number)``: everything up to this number is written, or was before.
- ``("full", text)``: the collector cannot write; what was sent stays in the spool.

At most one message is under way to a collector. Without an answer it is sent again; the collector passes
over what it has. Sans-IO but for the files behind ``Spool`` and ``Ledger``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from shield.cdr.ledger import Ledger
from shield.cdr.merge import CallRow
from shield.cdr.report import Report, pack_report, read_report
from shield.cdr.settings import CdrSettings
from shield.cdr.spool import Spool, Spooled
from shield.cluster.capability import Incoming, Outlet, SendResult
from shield.cluster.member import Member
from shield.cluster.messages import Kind as MessageKind
from shield.errors import RemoteError, SystemFailure

__all__ = ["CAPABILITY", "Delivery"]

CAPABILITY = "cdr"

BATCH = 500
"""Reports in one message: 150 kB at most, some milliseconds for the collector."""
AGAIN = 5.0
"""Seconds without an answer after which a message is sent again."""
ANNOUNCE = 30.0
"""Seconds between two announcements of a collector; one that comes to a new member may be lost."""
MAX_EPOCH = 64


@dataclass(slots=True)
class _Sending:
    """What is under way to one collector."""

    upto: int = 0
    since: float = float("-inf")
    """Node time at which it was sent."""
    problem: str = ""


class Delivery:
    """A capability of every node that reports or collects. ``ledger``: this node is a collector."""

    name = CAPABILITY

    def __init__(
        self,
        settings: CdrSettings,
        node: str,
        *,
        spool: Spool | None,
        ledger: Ledger | None,
        wall: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.node = node
        self.spool, self.ledger = spool, ledger
        self.errors: Counter[str] = Counter()
        """Reports of others that could not be read, by node."""
        self.problem = ""
        """Why this collector cannot write; empty when it can."""
        self.on_calls: Callable[[Sequence[CallRow]], None] = lambda _calls: None
        """Called with the calls that changed in this collector's ledger."""
        self.on_request: Callable[[Incoming, float], Any] | None = None
        """Gives the reply to a question of another node."""
        self.outlet: Outlet | None = None
        if spool is not None:
            for name in settings.collectors:  # reports wait for these from the beginning
                spool.know(name)
        self._wall = wall
        self._sending: dict[str, _Sending] = {}
        self._announce_at = float("-inf")

    def connect(self, outlet: Outlet) -> None:
        """Take part in a cluster."""
        self.outlet = outlet
        self._announce_at = float("-inf")

    def disconnect(self) -> None:
        """Take part no more; reports wait in the spool."""
        self.outlet = None
        self._sending.clear()

    def report(self, now: float) -> bytes:  # noqa: ARG002
        """See Capability: nothing is told in pings."""
        return b""

    def reported(self, sender: str, report: bytes, now: float) -> None:
        """See Capability."""

    def collectors(self) -> tuple[str, ...]:
        """Nodes for which this one keeps reports."""
        return () if self.spool is None else tuple(sorted(self.spool.collectors))

    def forget(self, node: str) -> None:
        """A node was put out of the cluster: nothing is kept for it any more."""
        if self.spool is not None:
            self.spool.forget(node)

    # --- sending ----------------------------------------------------------------------------

    def put(self, report: Report) -> None:
        """Take a report of this node; the next ``tick`` writes it."""
        if self.spool is not None:
            self.spool.put(pack_report(report))

    def tick(self, now: float) -> None:
        """Write, announce, and send what is due. About twice a second."""
        if self.ledger is not None and self.outlet is not None and now >= self._announce_at:
            self._announce_at = now + ANNOUNCE
            self.outlet.broadcast(("collector",), now)
        spool = self.spool
        if spool is None:
            return
        spool.flush()
        if self.ledger is not None:
            spool.know(self.node)
            while self._write_own(self.ledger, spool):
                pass
        for collector in spool.collectors:
            if collector != self.node:
                self._send(collector, now)

    def _send(self, collector: str, now: float) -> None:
        spool, outlet = self.spool, self.outlet
        if spool is None or outlet is None or not outlet.reachable(collector):
            self._sending.pop(collector, None)
            return
        sending = self._sending.setdefault(collector, _Sending())
        confirmed = spool.collectors.get(collector, 0)
        if confirmed < sending.upto and now - sending.since < AGAIN:
            return
        batch = self._next(spool, confirmed)
        if not batch:
            return
        body = ("put", spool.epoch, self._wall(), tuple((one.id, one.body) for one in batch))
        if outlet.send(collector, body, now) is SendResult.SENT:
            sending.upto, sending.since = batch[-1].id, now

    def _next(self, spool: Spool, confirmed: int) -> Sequence[Spooled]:
        try:
            return spool.after(confirmed, BATCH)
        except SystemFailure as error:
            spool.stats.problem = str(error)
            return ()

    # --- collecting -------------------------------------------------------------------------

    def _write_own(self, ledger: Ledger, spool: Spool) -> bool:
        """Write reports of this very node; whether there may be more."""
        batch = self._next(spool, spool.collectors.get(self.node, 0))
        if not batch or not self._write(ledger, self.node, spool.epoch, batch, 0.0):
            return False
        spool.confirm(self.node, batch[-1].id)
        return True

    def _write(
        self, ledger: Ledger, node: str, epoch: bytes, batch: Sequence[Spooled], offset: float
    ) -> bool:
        reports = []
        for number, body in batch:
            try:
                reports.append((number, read_report(body)))
            except RemoteError:
                self.errors[node] += 1  # confirmed with the rest: it would never be read
        try:
            changed = ledger.write(node, epoch, reports, offset, self._wall(), batch[-1].id)
        except SystemFailure as error:
            self.problem = str(error)
            return False
        self.problem = ""
        if changed:
            self.on_calls(changed)
        return True

    # --- as a capability --------------------------------------------------------------------

    def receive(self, incoming: Incoming, now: float) -> None:
        """Take a message; raises RemoteError for one that cannot be read."""
        if incoming.kind is MessageKind.REQUEST:
            if self.on_request is None or self.outlet is None:
                raise RemoteError("no_answer", "this node collects no calls")
            self.outlet.reply(incoming, self.on_request(incoming, now), now)
            return
        body, sender = incoming.body, incoming.sender
        kind = body[0] if type(body) is tuple and body else None
        if kind == "collector":
            self._collector(sender, now)
        elif kind == "put" and len(body) >= 4:
            self._put(sender, body, now)
        elif kind == "ok" and len(body) >= 3:
            self._ok(sender, body[1], body[2], now)
        elif kind == "full" and len(body) >= 2 and type(body[1]) is str:
            self._sending.setdefault(sender, _Sending()).problem = body[1][:200]
        else:
            raise RemoteError("body", "neither collector, put, ok nor full")

    def _collector(self, sender: str, now: float) -> None:
        allowed = self.settings.collectors
        if self.spool is not None and (not allowed or sender in allowed):
            self.spool.know(sender)
            self._send(sender, now)

    def _put(self, sender: str, body: tuple[Any, ...], now: float) -> None:
        epoch, wall, items = body[1:4]
        if (
            type(epoch) is not bytes
            or not 0 < len(epoch) <= MAX_EPOCH
            or type(wall) is not float
            or type(items) is not tuple
            or not 0 < len(items) <= BATCH
        ):
            raise RemoteError("body", "put")
        batch = list[Spooled]()
        for item in items:
            if type(item) is not tuple or len(item) < 2 or type(item[0]) is not int:
                raise RemoteError("body", "report")
            if type(item[1]) is not bytes or (batch and item[0] <= batch[-1].id) or item[0] < 1:
                raise RemoteError("body", "report")
            batch.append(Spooled(item[0], item[1]))
        if self.ledger is None or self.outlet is None:
            return  # no collector any more: the sender keeps it
        if self._write(self.ledger, sender, epoch, batch, self._wall() - wall):
            self.outlet.send(sender, ("ok", epoch, self.ledger.upto(sender, epoch)), now)
        else:
            self.outlet.send(sender, ("full", self.problem), now)

    def _ok(self, sender: str, epoch: Any, upto: Any, now: float) -> None:
        spool = self.spool
        if spool is None or epoch != spool.epoch or type(upto) is not int:
            return
        if sender in spool.collectors:
            spool.confirm(sender, upto)
            sending = self._sending.setdefault(sender, _Sending())
            sending.problem = ""
            self._send(sender, now)

    def member_changed(self, member: Member, now: float) -> None:  # noqa: ARG002
        """Somebody came or went: a collector tells who it is."""
        self._announce_at = float("-inf")

    def as_json(self) -> dict[str, Any]:
        """State of the spool and of the ledger."""
        found: dict[str, Any] = {"errors": dict(self.errors)}
        spool = self.spool
        if spool is not None:
            found |= {
                "waiting": len(spool),
                "written": spool.stats.written,
                "lost": spool.stats.lost,
                "disk_failures": spool.stats.failures,
                "collectors": {
                    name: {
                        "behind": spool.last - upto,
                        "problem": self._sending[name].problem if name in self._sending else "",
                    }
                    for name, upto in sorted(spool.collectors.items())
                },
            }
        if self.ledger is not None:
            found["calls"] = self.ledger.counts()
        return found

    def warnings(self) -> list[str]:
        """What an operator should know."""
        found = []
        if self.problem:
            found.append(f"cdr: calls cannot be written: {self.problem}")
        spool = self.spool
        if spool is not None:
            if spool.stats.problem:
                found.append(f"cdr: reports wait in memory: {spool.stats.problem}")
            if spool.stats.lost:
                found.append(f"cdr: {spool.stats.lost:,} reports are lost (cdr.max_spool)")
            for name, sending in sorted(self._sending.items()):
                if sending.problem:
                    found.append(f"cdr: {name} cannot write: {sending.problem}")
        return found
