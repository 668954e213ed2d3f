"""The commands ``cluster.*`` of the control socket, run on this node's part in the cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shield import cluster_report
from shield.blocklist.shared_held import drop, release
from shield.cluster.tag_plan import check_tag
from shield.cluster.tokens import DEFAULT_VALID
from shield.cluster_report import Part
from shield.control.commands import Actor
from shield.errors import InputError
from shield.sides import Sides

__all__ = ["ClusterOrders", "cluster_commands"]

ASK_SECONDS = 2.0
"""How long ``ask`` waits when it is not told."""

Arguments = dict[str, Any]
Handler = Callable[[Arguments, Actor], Any]


def cluster_commands(main: Part, sides: Sides, clock: Callable[[], float]) -> dict[str, Handler]:
    """The commands of all clusters: argument ``cluster`` says which further one is meant."""
    orders = ClusterOrders(main, clock).commands
    further = {label: ClusterOrders(side, clock).commands for label, side in sides.all.items()}

    def choose(name: str) -> Handler:
        def run(arguments: Arguments, actor: Actor) -> Any:
            label = arguments.pop("cluster", "")
            chosen = orders if not label else further[sides[label].label]
            return chosen[name](arguments, actor)

        return run

    listed: Handler = lambda _arguments, _actor: sides.as_json(clock())  # noqa: E731
    return {name: choose(name) for name in orders} | {"cluster.list": listed}


class ClusterOrders:
    """Arguments have been checked against the table of commands."""

    def __init__(self, clustering: Part, clock: Callable[[], float]) -> None:
        self._clustering = clustering
        self._now = clock
        self.commands: dict[str, Callable[[Arguments, Actor], Any]] = {
            "cluster.status": lambda _a, _who: cluster_report.status(clustering, clock()),
            "cluster.members": lambda _a, _who: cluster_report.members(clustering, clock()),
            "cluster.topology": lambda _a, _who: cluster_report.topology(clustering, clock()),
            "cluster.capabilities": lambda _a, _who: cluster_report.capabilities(clustering, clock()),
            "cluster.events": self._events,
            "cluster.listen": self._listen,
            "cluster.ask": self._ask,
            "cluster.broadcast": self._broadcast,
            "cluster.reply": self._reply,
            "cluster.start": lambda _a, _who: clustering.start(),
            "cluster.leave": self._leave,
            "cluster.enable": lambda _a, _who: self._enable(enabled=True),
            "cluster.disable": lambda _a, _who: self._enable(enabled=False),
            "cluster.remove": self._remove,
            "cluster.invite": self._invite,
            "cluster.revoke": self._revoke,
            "cluster.release": self._release,
            "cluster.drop": self._drop,
            "cluster.capability.list": self._capability_list,
            "cluster.capability.enable": lambda a, _who: self._switch(a["capability"], enabled=True),
            "cluster.capability.disable": lambda a, _who: self._switch(a["capability"], enabled=False),
            "cluster.tag.list": lambda _a, _who: clustering.joined().tags.rows(clock()),
            "cluster.tag.history": lambda a, _who: clustering.joined().tags.history(a["tag"]),
            "cluster.tag.set": self._tag_set,
        }

    # --- looking and talking ----------------------------------------------------------------

    def _events(self, arguments: Arguments, _actor: Actor) -> list[dict[str, Any]]:
        events = self._clustering.joined().core.events
        return [event.as_json() for event in events.latest(arguments.get("limit") or 1000)]

    def _listen(self, _arguments: Arguments, _actor: Actor) -> Any:
        self._clustering.joined()
        return self._clustering.conversation.listen()

    def _ask(self, arguments: Arguments, _actor: Actor) -> Any:
        return self._clustering.conversation.ask(
            arguments["text"],
            arguments.get("node"),
            seconds=arguments.get("timeout", ASK_SECONDS),
            include_self=arguments.get("include_self", False),
        )

    def _broadcast(self, arguments: Arguments, _actor: Actor) -> dict[str, Any]:
        result = self._clustering.conversation.broadcast(
            arguments["text"],
            arguments.get("node"),
            include_self=arguments.get("include_self", False),
        )
        return {"result": result.name.lower(), "code": int(result)}

    def _reply(self, arguments: Arguments, _actor: Actor) -> dict[str, Any]:
        result = self._clustering.conversation.reply(arguments["id"], arguments["text"], self._now())
        return {"result": result.name.lower(), "code": int(result)}

    # --- changing ---------------------------------------------------------------------------

    async def _leave(self, _arguments: Arguments, _actor: Actor) -> dict[str, Any]:
        cluster = self._clustering.joined()
        await self._clustering.close(leave=True)
        return {"cluster": cluster.core.identity.cluster, "node": cluster.name}

    def _enable(self, *, enabled: bool) -> dict[str, Any]:
        self._clustering.joined().core.enable(enabled=enabled, now=self._now())
        return {"enabled": enabled}

    def _remove(self, arguments: Arguments, _actor: Actor) -> dict[str, Any]:
        name, cluster = arguments["node"], self._clustering.joined()
        if not cluster.steward.remove(name, self._now()):
            known = name in cluster.core.membership.members
            raise InputError(f"{name} can be reached: it is removed when it has left" if known
                             else f"no member {name!r}")  # fmt: skip
        return {"node": name}

    def _invite(self, arguments: Arguments, actor: Actor) -> dict[str, Any]:
        cluster = self._clustering.joined()
        token = cluster.invite(
            node=arguments.get("node", ""),
            valid=arguments.get("valid", DEFAULT_VALID),
            advertise=arguments.get("advertise", ""),
        )
        cluster.core.events.add(
            cluster.core.wall(self._now()), "invited", token.node or "-", f"by {actor}"
        )
        return {"token": token.encode(), "expires": token.expires, "node": token.node}

    def _revoke(self, arguments: Arguments, _actor: Actor) -> dict[str, Any]:
        revocation = self._clustering.joined().revoke(arguments["node"])
        return {"node": revocation.name, "time": revocation.time}

    def _release(self, arguments: Arguments, _actor: Actor) -> dict[str, Any]:
        count = release(self._clustering.sharing, arguments["node"], self._now())
        return {"node": arguments["node"], "records": count}

    def _drop(self, arguments: Arguments, _actor: Actor) -> dict[str, Any]:
        count = drop(self._clustering.sharing, arguments["node"], self._now())
        return {"node": arguments["node"], "records": count}

    def _capability_list(self, arguments: Arguments, _actor: Actor) -> list[dict[str, Any]]:
        cluster, node = self._clustering.joined(), arguments.get("node", "")
        rows = cluster.switchboard.rows(self._now(), node)
        if node and not rows:
            raise InputError(f"nothing is known of {node!r}: no member, or out of reach")
        return rows

    def _switch(self, name: str, *, enabled: bool) -> dict[str, Any]:
        changed = self._clustering.joined().switchboard.switch(name, enabled=enabled, now=self._now())
        return {"capability": name, "enabled": enabled, "changed": changed}

    def _tag_set(self, arguments: Arguments, actor: Actor) -> dict[str, Any]:
        """Be active for a tag, or give it back."""
        tags, tag, state = self._clustering.joined().tags, arguments["tag"], arguments["state"]
        order = tags.claim if state == "active" else tags.release
        reason = arguments.get("reason") or f"set by {actor.name}"
        claim = order(check_tag(tag), reason, self._now())
        return {"tag": tag, "state": state, "node": claim.node, "reason": claim.reason}
