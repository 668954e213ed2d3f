"""Remote: commands that nodes have each other run, as far as the node that runs them allows it.

``shield cluster run NODE COMMAND`` asks; the other node looks into its own ``[remote]``, and both write
down who wanted what and what came of it before anything is answered. A command that leaves no trace is
not run.

Capability ``remote``: the request ``("run", command, arguments as JSON, who)`` is answered with JSON.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from itertools import islice
from typing import Any

from shield.cluster.capability import Incoming
from shield.cluster.channel import Channel
from shield.cluster.cluster import Cluster
from shield.cluster.messages import Kind
from shield.cluster.state_files import StateFiles
from shield.control.commands import Actor, check
from shield.control.remote import SAFE, RemoteSettings
from shield.errors import InputError, RemoteError, ShieldError

__all__ = ["CAPABILITY", "Remote"]

CAPABILITY = "remote"

MAX_REQUEST = 64 * 1024
"""Characters of the arguments of one command: a thousand addresses fit."""
MAX_ANSWER = 400_000
"""Octets of an answer; whoever wants a longer one asks for less."""
MAX_ROWS = 500
"""Rows of an answer that is a list; beyond, it says only that there are more."""
MAX_RUNNING = 8
"""Commands that run at the same time."""
MAX_ACTOR = 100
MAX_AUDIT = 1 << 20
"""Octets of the audit file; then it becomes ``audit.log.1`` and a new one begins."""
AUDIT_ROWS = 200
"""Entries shown when nobody says how many."""
AUDIT = "audit.log"

_log = logging.getLogger("shield")

Order = tuple[str, str]
"""A command and its arguments, as JSON."""

Execute = Callable[[str, dict[str, Any], Actor], Awaitable[Any]]


class Remote:
    """Of one node; a ``Feature``. ``spawn`` lets work go on that a message began."""

    def __init__(
        self,
        settings: RemoteSettings,
        directory: StateFiles,
        *,
        wall: Callable[[], float],
        clock: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self.settings = settings
        self.stats = {"asked": 0, "run": 0, "failed": 0, "refused": 0, "too_fast": 0}
        self.execute: Execute
        """Runs a checked command of the control socket; set by the node."""
        self.commands: Mapping[str, Callable[[dict[str, Any], Actor], Any]] = {
            "cluster.run": self._ask,
            "cluster.audit": lambda arguments, _who: self.audit(arguments.get("limit") or AUDIT_ROWS),
        }
        self._files = directory
        self._wall, self._clock, self._spawn = wall, clock, spawn
        self._cluster: Cluster | None = None
        self._channel = Channel(CAPABILITY)
        self._channel.on_incoming = self._incoming
        self._running = 0
        self._tokens: dict[str, tuple[float, float]] = {}
        """By node: commands that it may still have run now, and since when that is so."""

    # --- as a feature -----------------------------------------------------------------------

    def join(self, cluster: Cluster, now: float) -> None:  # noqa: ARG002
        """Take part in a cluster."""
        self._cluster = cluster
        self._channel.outlet = cluster.add(self._channel)

    def part(self) -> None:
        """Take part no more."""
        self._cluster = self._channel.outlet = None

    def forget(self, node: str, now: float) -> None:  # noqa: ARG002
        """A node was put out."""
        self._tokens.pop(node, None)

    # --- asking others ----------------------------------------------------------------------

    async def _ask(self, arguments: dict[str, Any], actor: Actor) -> dict[str, Any]:
        """Have a command run on one node, or on all and this one; collect what comes back."""
        if self._cluster is None:
            raise InputError("this node is in no cluster (shield cluster init, or join)")
        name, given, node = arguments["order"], arguments["arguments"], arguments["node"]
        if name not in SAFE:
            raise InputError(f"{name[:80]!r} cannot be run on other nodes")
        checked = check(SAFE[name].command, _as_object(given))  # what is wrong is told before it travels
        text = json.dumps(checked.arguments, ensure_ascii=False)
        everybody = node == "all"
        self._note("asked", node, str(actor), (name, text), "")
        self.stats["asked"] += 1
        result, answers = await self._cluster.ask(
            CAPABILITY,
            ("run", name, text, f"{actor.name}"[:MAX_ACTOR]),
            node=None if everybody else node,
            timeout=arguments.get("timeout", 5.0),
            include_self=everybody,
        )
        failures = dict(answers.failures)
        results = {other: _unpacked(other, body, failures) for other, body in answers.replies.items()}
        outcomes = dict.fromkeys(results, "done") | {n: f"failed: {w}" for n, w in failures.items()}
        for other, outcome in (outcomes | dict.fromkeys(answers.missing, "no answer")).items():
            self._note("answer", other, str(actor), (name, text), outcome)
        return {
            "result": result.name.lower(),
            "code": int(result),
            "results": {other: found for other, found in results.items() if other not in failures},
            "failures": failures,
            "missing": list(answers.missing),
        }

    def audit(self, limit: int) -> list[dict[str, Any]]:
        """Give the latest entries, oldest first: what was asked here, and what was run for others."""
        lines = [*self._files.lines(f"{AUDIT}.1"), *self._files.lines(AUDIT)][-limit:]
        return [json.loads(line) for line in lines if line.strip()]

    # --- running for others -----------------------------------------------------------------

    def _incoming(self, incoming: Incoming, now: float) -> bool:
        """Begin with what another node wants, or refuse it; raises RemoteError, which is its answer."""
        match incoming.body:
            case ("run", str(name), str(text), str(actor), *_) if (
                incoming.kind is Kind.REQUEST and len(text) <= MAX_REQUEST and len(actor) <= MAX_ACTOR
            ):
                pass
            case _:
                raise RemoteError("shape", "a command for another node")
        if not self._may_ask_now(incoming.sender, now):
            self.stats["too_fast"] += 1  # not written down: that would be a way to fill the disk
            raise RemoteError("too_fast", f"{self.settings.rate} commands a minute are taken")
        who = _printable(f"{actor}@{incoming.sender}")
        why = self._refusal(incoming.sender, name)
        if not why:
            try:
                arguments = check(SAFE[name].command, _as_object(text)).arguments
            except InputError as error:
                why = str(error)
        if why:
            self.stats["refused"] += 1
            self._note("run", self._own(), who, (_printable(name), _printable(text)), f"refused: {why}")
            raise RemoteError("refused", why)
        self._note("run", self._own(), who, (name, _printable(text)), "begun")
        self._running += 1
        self._spawn(self._run(incoming, name, arguments, Actor(who, -1, 0)))
        return True

    def _refusal(self, sender: str, name: str) -> str:
        """Why a command is not run for a node; empty when it is."""
        if name not in SAFE:
            return f"{_printable(name)!r} can never be run from elsewhere"
        if self._running >= MAX_RUNNING:
            return f"{MAX_RUNNING} commands run already"
        if sender == self._own():
            return ""  # an operator of this node, who has its socket anyway
        member = None if self._cluster is None else self._cluster.core.membership.members.get(sender)
        by_role = self.settings.authority and member is not None and member.certificate.authority
        if sender not in self.settings.nodes and not by_role:
            return f"{sender} may run nothing here (remote.nodes)"
        return "" if self.settings.allows(name) else f"{name} is not allowed here (remote.allow)"

    async def _run(self, incoming: Incoming, name: str, arguments: dict[str, Any], actor: Actor) -> None:
        outcome, text = "done", ""
        try:
            result = await self.execute(SAFE[name].command, arguments, actor)
            text = json.dumps(_finite(result))
            if len(text) > MAX_ANSWER:
                outcome = f"failed: done, but the answer is too long ({len(text):,} octets)"
        except ShieldError as error:
            outcome = f"failed: {error}"
        except Exception as error:  # noqa: BLE001 - the other node must get an answer
            _log.exception("cluster: a command of another node failed")
            outcome = f"failed: {error!r}"
        finally:
            self._running -= 1
        self.stats["run" if outcome == "done" else "failed"] += 1
        try:
            self._note("run", self._own(), actor.name, (name, json.dumps(arguments)), outcome)
        except RemoteError as error:
            _log.error("cluster: %s", error)
        outlet, now = self._channel.outlet, self._clock()
        if outlet is None:
            return
        if outcome == "done":
            outlet.reply(incoming, text, now)
        else:
            outlet.fail(incoming, outcome.removeprefix("failed: "), now)

    def _may_ask_now(self, node: str, now: float) -> bool:
        rate = float(self.settings.rate)
        tokens, since = self._tokens.get(node, (rate, now))
        tokens = min(rate, tokens + (now - since) * rate / 60)
        self._tokens[node] = (max(tokens - 1, 0.0), now)
        return tokens >= 1

    def _own(self) -> str:
        return "" if self._cluster is None else self._cluster.name

    def _note(self, what: str, node: str, who: str, order: Order, outcome: str) -> None:
        """Write down what happens; raises RemoteError when that cannot be done, so nothing happens."""
        entry = {
            "time": round(self._wall(), 3),
            "what": what,
            "node": node,
            "who": who,
            "command": order[0][:80],
            "arguments": order[1][:1000],
            "outcome": outcome[:500],
        }
        try:
            self._files.append(AUDIT, json.dumps(entry, ensure_ascii=False), MAX_AUDIT)
        except ShieldError as error:
            raise RemoteError("no_audit", str(error)) from None
        _log.info("cluster: remote %s by %s on %s: %s: %s", what, who, node, " ".join(order), outcome)


def _as_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InputError("arguments must be a JSON object")
    return value


def _finite(result: Any) -> Any:
    """A result as JSON takes it: of a long list its beginning."""
    if result is None or isinstance(result, dict | str | int | float):
        return result
    rows = list(islice(result, MAX_ROWS + 1))
    return rows if len(rows) <= MAX_ROWS else {"rows": rows[:MAX_ROWS], "more": True}


def _unpacked(node: str, body: Any, failures: dict[str, str]) -> Any:
    """What a node answered; one that makes no sense is its failure."""
    try:
        return json.loads(body)
    except (ValueError, TypeError, RecursionError):
        failures[node] = "its answer makes no sense"
        return None


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:1000])
