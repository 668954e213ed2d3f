"""``shield cluster status``: this node's part in the cluster, and what wants a hand."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import typer

from shield.cli.cluster_daemon import ask_cluster
from shield.cli.group import FAILURE
from shield.cli.options import Output, OutputOption, SocketOption
from shield.cli.render import (
    dash,
    local_time,
    paint,
    plural,
    printable,
    seconds,
    wrap,
    write_json,
    write_plain,
)
from shield.cli.status import flatten

__all__ = ["status", "status_rows"]

WIDTH = 13
"""Of the names before the values."""

LATE_SECONDS = 7 * 86_400.0
"""A certificate that still ends so soon was not renewed for weeks, though the node has tried."""

Answer = Mapping[str, Any]

NO_CLUSTER = (
    "",
    "`shield cluster init` makes a cluster with this host as its first node.",
    "`shield cluster invite`, run there, prints the command that adds a host.",
    "`shield cluster start` takes part again after `shield cluster leave`.",
)


def status(output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """Show this node's part in its cluster: members, blocklist, certificate, saved work, errors.

    Exit code 1 when there are warnings, or no daemon. To be in no cluster is no failure.

    Example: `shield cluster status`

    Example: `shield cluster status --output json | jq .blocklist`
    """
    answer: Answer = ask_cluster(socket, "cluster.status")
    warnings = [str(warning) for warning in answer.get("warnings") or ()]
    if output is Output.JSON:
        write_json(answer)
    elif output is Output.PLAIN:
        write_plain(({"key": k, "value": v} for k, v in flatten(answer)), ("key", "value"))
    elif not answer.get("joined"):
        typer.echo(printable(f"in no cluster; this node is called {answer.get('node')}"))
        typer.echo("\n".join(wrap(line, 2) for line in NO_CLUSTER))
    else:
        _print(answer, warnings)
    if warnings:
        raise typer.Exit(FAILURE)


def _print(answer: Answer, warnings: Iterable[str]) -> None:
    for name, value, colour in status_rows(answer, time.time()):
        line = wrap(printable(f"{name:<{WIDTH}}{value}"), WIDTH)
        typer.echo(line[:WIDTH] + (paint(line[WIDTH:], colour) if colour else line[WIDTH:]))
    for warning in warnings:
        typer.echo(paint(wrap(f"warning: {printable(warning)}", 9), "yellow", bold=True))


def status_rows(answer: Answer, wall: float) -> Iterator[tuple[str, str, str]]:
    """Name, value and colour of each line for people; what is nothing is left out."""
    yield "cluster", str(answer.get("cluster")), ""
    yield "node", _node(answer), ""
    if not answer.get("enabled", True):
        yield "", "disabled: neither sends nor takes anything (`shield cluster enable`)", "yellow"
    if answer.get("carrier") == "nats":
        yield "carrier", *_nats(answer)
    yield "members", _members(answer), ""
    yield "blocklist", *_blocklist(answer.get("blocklist") or {})
    yield "certificate", *_certificate(answer.get("certificate_expires"), wall)
    sharing = answer.get("sharing") or {}
    yield from _sharing(sharing)
    yield from _held(sharing.get("origins") or {})
    off = [row["name"] for row in answer.get("capabilities") or () if not row.get("enabled", True)]
    if off:
        yield "disabled", ", ".join(off), "yellow"
    yield from _tags(answer.get("tags") or ())
    if answer.get("revoked"):
        yield "revoked", ", ".join(answer["revoked"]), ""
    if answer.get("invites"):
        yield "invites", f"{answer['invites']:,} open", ""
    for name in ("errors", "refused"):
        if answer.get(name):
            yield name, _counts(answer[name]), "yellow"
    for name in ("relayed", "throttled", "missed", "dropped"):
        if answer.get(name):
            yield name, f"{answer[name]:,}", ""


def _node(answer: Answer) -> str:
    places = ", ".join(place.replace(" ", " port ") for place in answer.get("addresses") or ())
    listens = f", listens on port {answer['port']}" if answer.get("port") else ""
    reached = f", reached at {places}" if places else listens
    return f"{answer.get('node')}{', holds the authority' if answer.get('authority') else ''}{reached}"


def _nats(answer: Answer) -> tuple[str, str]:
    """The server that this node is connected to; why there is none, the warnings tell."""
    if not answer.get("server"):
        return "NATS, no server", "yellow"
    trip = answer.get("server_rtt")
    return f"NATS, {answer['server']}{f', {1000 * trip:.1f} ms' if trip is not None else ''}", ""


def _members(answer: Answer) -> str:
    """All of them, this node too: it is alive, or it would not answer."""
    states = dict(answer.get("members") or {})
    states["alive"] = states.get("alive", 0) + 1
    named = ", ".join(f"{count:,} {state}" for state, count in states.items() if count)
    return f"{sum(states.values()):,}: {named}; {answer.get('reachable', 0):,} can be reached"


def _blocklist(sync: Answer) -> tuple[str, str]:
    """State, and how many of the neighbours have the same."""
    peers = sync.get("peers") or {}
    parts = [dash(sync.get("state")).replace("_", " ")]
    different = sorted(name for name, peer in peers.items() if peer.get("equal") is False)
    equal = sum(peer.get("equal") is True for peer in peers.values())
    if equal:
        parts.append(f"equal with {equal:,} of {plural(len(peers), 'node')}")
    if different:
        parts.append(f"differs from {', '.join(different)}")
    return ", ".join(parts), "yellow" if different else ""


def _certificate(expires: Any, wall: float) -> tuple[str, str]:
    if not isinstance(expires, int | float):
        return "-", ""
    left = expires - wall
    if left <= 0:
        return f"ended {seconds(-left)} ago ({local_time(expires)})", "red"
    text = f"ends in {seconds(left)} ({local_time(expires)}), renewed before by itself"
    return text, "yellow" if left < LATE_SECONDS else ""


def _sharing(sharing: Answer) -> Iterator[tuple[str, str, str]]:
    known = f"{plural(sharing.get('records', 0), 'record')}, {plural(sharing.get('bans', 0), 'ban')}"
    quorum = sharing.get("quorum", 1)
    yield "shared", known + (f", {quorum} nodes must agree" if quorum > 1 else ""), ""
    saved = plural(sharing.get("saved_detections", 0), "detection")
    yield "saved", f"{saved} that other nodes had made already", ""


def _held(origins: Mapping[str, Answer]) -> Iterator[tuple[str, str, str]]:
    """What waits for the operator, with what can be done; then what is not applied for other reasons."""
    others: dict[str, int] = {}
    for origin, of in origins.items():
        for why, count in (of.get("not_applied") or {}).items():
            if why == "held" and count:
                yield "held", f"{plural(count, 'record')} of {origin} beyond its budget", "yellow"
                yield "", f"`shield cluster release {origin}` applies them", ""
                yield "", f"`shield cluster drop {origin}` takes them back", ""
            elif count:
                others[why] = others.get(why, 0) + count
    if others:
        yield "not applied", _counts(others), ""


def _tags(rows: Iterable[Answer]) -> Iterator[tuple[str, str, str]]:
    """What this node is for each sharing tag; yellow where nobody is active who can be reached."""
    title = "tags"
    for row in rows:
        state, holder = row.get("state"), row.get("node")
        away = "" if row.get("reachable") else " and cannot be reached"
        other = f", {holder} is active{away}" if holder and state == "backup" else ""
        yield title, f"{row['name']}: {state}{other}", "" if row.get("reachable") else "yellow"
        title = ""


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in sorted(counts.items()))
