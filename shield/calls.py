"""Calls: the node's part in call detail records, and the commands about calls."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from secrets import token_bytes
from typing import Any

from shield.cdr.delivery import CAPABILITY, Delivery
from shield.cdr.export import Exporter
from shield.cdr.ledger import Ledger
from shield.cdr.merge import CallRow, CallState
from shield.cdr.observer import Observer
from shield.cdr.rows import call_json
from shield.cdr.settings import CdrSettings
from shield.cdr.spool import Spool
from shield.cluster.capability import Incoming
from shield.cluster.cluster import Cluster
from shield.control.commands import Actor
from shield.control.watchers import Watch, Watchers
from shield.errors import InputError, RemoteError, SystemFailure
from shield.net import unpack
from shield.sip.calls import Call
from shield.sip.dialogs import Dialogs

__all__ = ["Calls"]

SLOW_SECONDS = 60.0
"""Between two looks for what is old."""
LOSE_SECONDS = 13 * 3_600.0
"""A call of which nothing is heard for so long is lost: nodes give up after twelve hours themselves."""
ANSWER = 1_000
"""Calls in one answer to another node."""
ASK_SECONDS = 5.0

Arguments = dict[str, Any]


class Calls:
    """Opens the files; raises SystemFailure. A feature of the cluster."""

    def __init__(
        self,
        settings: CdrSettings,
        node: str,
        dialogs: Dialogs,
        *,
        wall: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self.settings = settings
        self.dialogs = dialogs
        self.watchers = Watchers()
        spool = Spool(settings.spool, settings.max_spool, token_bytes(8)) if settings.report else None
        ledger = Ledger(settings.ledger) if settings.collect else None
        self.delivery = Delivery(settings, node, spool=spool, ledger=ledger, wall=wall)
        self.delivery.on_calls = self._tell
        self.delivery.on_request = self._answer
        self.exporter = Exporter(settings, ledger) if ledger is not None and settings.export else None
        self.observer = Observer(settings.failed, self.delivery.put)
        if settings.report:
            dialogs.followers = (*dialogs.followers, self.observer.changed)
            dialogs.on_stray = self.observer.stray
        self._cluster: Cluster | None = None
        self._wall, self._now = wall, clock
        self._slow_at = 0.0
        self.commands: dict[str, Callable[[Arguments, Actor], Any]] = {
            "calls": lambda _a, _who: [_live(call, wall()) for call in dialogs.live()],
            "cdr.list": self._list,
            "cdr.show": self._show,
            "cdr.stats": lambda _a, _who: self.as_json(),
            "cdr.watch": lambda _a, _who: self._watch(),
        }

    # --- as a feature of the cluster --------------------------------------------------------

    def join(self, cluster: Cluster, now: float) -> None:  # noqa: ARG002
        """Take part in a cluster."""
        self.delivery.connect(cluster.add(self.delivery))
        self._cluster = cluster

    def part(self) -> None:
        """Take part no more; reports wait in the spool."""
        self._cluster = None
        self.delivery.disconnect()

    def forget(self, node: str, now: float) -> None:  # noqa: ARG002
        """A node was put out: nothing is kept for it any more."""
        self.delivery.forget(node)

    def tick(self, now: float) -> None:
        """Let time pass, about once a second."""
        if self._cluster is None:
            self.delivery.tick(now)
        wall = self._wall()
        self.observer.tick(wall)
        if self.exporter is not None:
            self.exporter.run(wall)
        ledger = self.delivery.ledger
        if ledger is not None and now >= self._slow_at:
            self._slow_at = now + SLOW_SECONDS
            ledger.lose(wall - LOSE_SECONDS, wall)
            ledger.prune(wall - self.settings.keep)

    def close(self) -> None:
        """Write what waits and close the files."""
        if self.delivery.spool is not None:
            self.delivery.spool.close()
        if self.delivery.ledger is not None:
            self.delivery.ledger.close()

    def as_json(self) -> dict[str, Any]:
        """State of reporting, spool, journal and export."""
        stats = self.observer.stats
        found = {
            "live": len(self.dialogs.live()),
            "reported": {
                "started": stats.started,
                "stopped": stats.stopped,
                "failed": stats.failed,
                "strays": stats.strays,
                "unknown_failed": stats.unknown_failed,
                "strays_dropped": stats.strays_dropped,
            },
            **self.delivery.as_json(),
        }
        if self.exporter is not None:
            found["exported"] = self.exporter.written
        return found

    def warnings(self) -> list[str]:
        """What an operator should know."""
        found = self.delivery.warnings()
        if self.exporter is not None and self.exporter.problem:
            found.append(f"cdr.export: {self.exporter.problem}")
        return found

    # --- commands ---------------------------------------------------------------------------

    async def _list(self, arguments: Arguments, _actor: Actor) -> list[dict[str, Any]]:
        return list(await self._asked(("list", _query(arguments))))

    async def _show(self, arguments: Arguments, _actor: Actor) -> list[dict[str, Any]]:
        found = await self._asked(("show", arguments["call"]))
        if not found:
            raise InputError(f"no call {arguments['call']!r} in the journal")
        return list(found)

    async def _asked(self, question: tuple[Any, ...]) -> Sequence[dict[str, Any]]:
        """What the own journal says, or that of a collector that can be reached."""
        if self.delivery.ledger is not None:
            return self._look(question)
        cluster = self._cluster
        if cluster is None:
            raise InputError("this node collects no calls and is in no cluster (cdr.collect)")
        for collector in self.delivery.collectors():
            _, answers = await cluster.ask(CAPABILITY, question, node=collector, timeout=ASK_SECONDS)
            if collector in answers.replies:
                body = answers.replies[collector]
                if type(body) is tuple and all(type(item) is dict for item in body):
                    return [_plain(item) for item in body]
        raise InputError("no collector of calls answers (cdr.collect = true on some node)")

    def _answer(self, incoming: Incoming, now: float) -> Any:  # noqa: ARG002
        body = incoming.body
        if type(body) is not tuple or len(body) < 2 or self.delivery.ledger is None:
            raise RemoteError("no_answer", "this node collects no calls")
        try:
            return tuple(self._look(body))
        except (InputError, KeyError, TypeError, ValueError, SystemFailure) as error:
            raise RemoteError("body", str(error)) from error

    def _look(self, question: tuple[Any, ...]) -> list[dict[str, Any]]:
        ledger = self.delivery.ledger
        assert ledger is not None
        kind, what = question[:2]
        if kind == "show":
            return [call_json(*found) for found in _find(ledger, str(what))]
        where, values, limit = _where(dict(what))
        return [call_json(*found) for found in ledger.calls(where, values, limit=limit)]

    def _watch(self) -> Watch:
        if self.delivery.ledger is None:
            raise InputError("this node collects no calls (cdr.collect)")
        return self.watchers.subscribe(lambda _event: True)

    def _tell(self, rows: Sequence[CallRow]) -> None:
        if self.watchers:
            for row in rows:
                self.watchers.publish(call_json(None, row))


def _query(arguments: Arguments) -> dict[str, Any]:
    return {name: arguments[name] for name in ("user", "state", "since", "limit") if name in arguments}


def _where(query: dict[str, Any]) -> tuple[str, list[Any], int]:
    """SQL of a query; everything that came from somebody is a value and no SQL."""
    parts, values = ["1"], list[Any]()
    if "user" in query:
        user = str(query["user"]).encode("utf-8", "surrogateescape")
        parts.append("(caller = ? OR called = ? OR account = ?)")
        values += [user, user, user]
    if "state" in query:
        if query["state"] not in {state.value for state in CallState}:
            raise InputError(f"no state {query['state']!r}: {', '.join(CallState)}")
        parts.append("state = ?")
        values.append(query["state"])
    if "since" in query:
        parts.append("started >= ?")
        values.append(float(query["since"]))
    limit = query.get("limit", 100)
    if type(limit) is not int or limit < 1:
        raise InputError("limit: must be 1 or more")
    return " AND ".join(parts), values, min(limit, ANSWER)


def _find(ledger: Ledger, call: str) -> list[tuple[int | None, CallRow]]:
    """By key, by number, or by Call-ID."""
    if call.isdecimal() and len(call) < 16:
        return ledger.calls("number = ?", (int(call),))
    if len(call) == 32 and all(c in "0123456789abcdef" for c in call):
        return ledger.calls("key = ?", (bytes.fromhex(call),))
    return ledger.calls("call_id = ?", (call.encode("utf-8", "surrogateescape"),))


def _plain(item: dict[Any, Any]) -> dict[str, Any]:
    """What came over the wire has tuples for lists."""
    return {str(k): list(v) if isinstance(v, tuple) else v for k, v in item.items()}


def _live(call: Call, wall: float) -> dict[str, Any]:
    """One live call of this node."""
    return {
        "state": call.state.value,
        "caller": call.caller.decode("utf-8", "backslashreplace"),
        "called": call.called.decode("utf-8", "backslashreplace"),
        "account": call.account.decode("utf-8", "backslashreplace"),
        "source": unpack(call.source) if call.source else "",
        "started": round(call.started, 3),
        "answered": round(call.answered, 3) or None,
        "duration": round(call.duration(wall), 3),
        "call_id": call.call_id.decode("utf-8", "backslashreplace"),
        "incomplete": call.incomplete,
    }
