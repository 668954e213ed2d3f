"""What people see of the cluster: state, members, ways, capabilities. Looks, and changes nothing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from shield.blocklist.sharing_report import sharing_json
from shield.cluster.capability import SyncWord
from shield.cluster.cluster import Cluster
from shield.cluster.member import Member, MemberState
from shield.clustering import Clustering
from shield.sides import Side

__all__ = ["capabilities", "members", "status", "topology"]


Part = Clustering | Side
"""A node's part in its main cluster, or in a further one."""


def status(clustering: Part, now: float) -> dict[str, Any]:
    """The state in short."""
    cluster = clustering.cluster
    sharing = sharing_json(clustering.sharing)
    if cluster is None:
        node = clustering.sharing.node if isinstance(clustering, Clustering) else clustering.label
        return {"joined": False, "node": node, "sharing": sharing, "warnings": clustering.warnings()}
    core = cluster.core
    states = [member.state for member in core.membership.members.values()]
    return {
        "joined": True,
        "cluster": core.identity.cluster,
        "node": core.name,
        "enabled": core.membership.enabled,
        "port": cluster.carrier.port,
        "addresses": [f"{host} {port}" for host, port in core.addresses],
        "authority": cluster.authority is not None,
        "certificate_expires": round(core.identity.expires, 3),
        "members": {state.value: states.count(state) for state in MemberState},
        "reachable": len(core.post.reachable()),
        "revoked": sorted(revocation.name for revocation in core.revocations),
        "invites": cluster.invites.open(core.wall(now)),
        "blocklist": _sync(clustering, now),
        "sharing": sharing,
        "tags": cluster.tags.rows(now),
        "capabilities": capabilities(clustering, now),
        "errors": dict(core.errors + core.post.errors),
        **cluster.carrier.status(now),
        "warnings": clustering.warnings(),
    }


def members(clustering: Part, now: float) -> list[dict[str, Any]]:
    """One row for each member, this node first."""
    cluster = clustering.joined()
    membership = cluster.core.membership
    own = {
        "name": cluster.name,
        "self": True,
        "state": MemberState.ALIVE.value,
        "enabled": membership.enabled,
        "software": membership.record.software,
        "addresses": [f"{host} {port}" for host, port in cluster.core.addresses],
        "route": "self",
        "certificate_expires": round(cluster.core.identity.expires, 3),
        "authority": cluster.authority is not None,
        **_shared(clustering, cluster.name),
    }
    others = sorted(membership.members.values(), key=lambda member: member.name)
    return [own, *(_member(clustering, cluster, member, now) for member in others)]


def topology(clustering: Part, now: float) -> dict[str, Any]:
    """Who says to be connected to whom, and by which way messages of this node travel."""
    cluster = clustering.joined()
    membership = cluster.core.membership
    records = [membership.record, *(member.record for member in membership.members.values())]
    said = {record.name: dict(record.links) for record in records}
    pairs = sorted({tuple(sorted((a, b))) for a, links in said.items() for b in links})
    return {
        "links": [
            {
                "a": a,
                "b": b,
                "cost": said.get(a, {}).get(b) or said.get(b, {}).get(a),
                "both": b in said.get(a, {}) and a in said.get(b, {}),
            }
            for a, b in pairs
        ],
        "routes": [
            {"node": name, "next_hop": route.next_hop, "cost": route.cost, "hops": route.hops}
            for name, route in sorted(membership.routes.items())
        ],
        "connections": cluster.carrier.connections(now),
    }


def capabilities(clustering: Part, now: float) -> list[dict[str, Any]]:
    """What features take part, and what they have sent."""
    cluster = clustering.joined()
    states = {row["name"]: row for row in cluster.switchboard.rows(now, cluster.name)}
    return [
        {**asdict(stats), **states[name], "state": _state_text(states[name])}
        for name, stats in cluster.core.post.stats.items()
    ]


def _state_text(row: dict[str, Any]) -> str:
    """State of synchronisation in one text, with percents while something is fetched."""
    fetching = row["state"] == SyncWord.IN_PROGRESS
    return f"{row['state']} {row['percent']} %" if fetching else str(row["state"])


def _member(clustering: Part, cluster: Cluster, member: Member, now: float) -> dict[str, Any]:
    core = cluster.core
    link, route = cluster.carrier.connection(member.name, now), core.membership.routes.get(member.name)
    direct = "NATS" if cluster.settings.carrier == "nats" else "direct"
    via = None if route is None else direct if route.hops == 1 else f"over {route.next_hop}"
    peer = _sync(clustering, now).get("peers", {}).get(member.name, {})
    return {
        "name": member.name,
        "self": False,
        "state": member.state.value,
        "since": round(now - member.since, 3),
        "enabled": member.record.enabled,
        "software": member.record.software,
        "addresses": [f"{host} {port}" for host, port in member.record.addresses],
        "route": via,
        "rtt": link.get("rtt"),
        "clock_offset": link.get("clock_offset"),
        "waiting": link.get("waiting", 0),
        "equal": peer.get("equal"),
        "lag": peer.get("equal_age"),
        "certificate_expires": round(member.certificate.not_after, 3),
        "authority": member.certificate.authority,
        **_shared(clustering, member.name),
    }


def _shared(clustering: Part, name: str) -> dict[str, int]:
    """What a node gave the others, as far as it counts here."""
    owners, name = clustering.sharing.owners, clustering.source(name)
    return {
        "bans": owners.hosts[name] + owners.networks[name],
        "saved_detections": owners.saved[name],
    }


def _sync(clustering: Part, now: float) -> dict[str, Any]:
    sync = clustering.sync
    return {} if sync is None else sync.status(now)
