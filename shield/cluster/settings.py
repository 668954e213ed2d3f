"""Section ``[cluster]`` of the configuration, and addresses of nodes as text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from shield.cluster.nats_settings import NatsSettings
from shield.cluster.tag_plan import read_plans
from shield.errors import ConfigError, InputError

__all__ = ["DEFAULT_DIRECTORY", "DEFAULT_PORT", "Address", "ClusterSettings", "parse_address"]

DEFAULT_PORT = 7170
DEFAULT_DIRECTORY = "/var/lib/shield/cluster"

MAX_HOST = 253
"""Octets of a host name (RFC 1035 section 2.3.4)."""

_HOST = re.compile(r"[A-Za-z0-9._:%-]+")

Address = tuple[str, int]
"""Host name or address, and TCP port."""


def parse_address(text: str, port: int = DEFAULT_PORT, *, lowest: int = 1) -> Address:
    """Read ``host``, ``host:port``, ``2001:db8::1`` or ``[2001:db8::1]:port``; raises InputError.

    ``lowest``: 0 allows port 0, which lets the system choose one to listen on.
    """
    host, number = text.strip(), str(port)
    if host.startswith("["):
        host, bracket, rest = host[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise InputError(f"not an address: {text!r}")
        number = rest[1:] or number
    elif host.count(":") == 1:
        host, _, number = host.partition(":")
    if not host or len(host) > MAX_HOST or not _HOST.fullmatch(host):
        raise InputError(f"not a host: {text!r}")
    if not number.isdecimal() or not lowest <= int(number) < 65536:
        raise InputError(f"not a port: {text!r}")
    return host, int(number)


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Other nodes. A node takes part once ``shield cluster init`` or ``shield cluster join`` was run."""

    directory: str = DEFAULT_DIRECTORY
    """Where keys, certificates and known members are kept. Nobody else may read it."""
    carrier: Literal["peer", "nats"] = "peer"
    """What carries messages between nodes: ``peer``, connections between all of them, to about 64; or
    ``nats``, NATS servers that you run, for hundreds (``pip install 'shield-sip[nats]'``). All nodes of
    a cluster use the same."""
    listen: str = f"0.0.0.0:{DEFAULT_PORT}"
    """Address and TCP port for other nodes; ``[::]:7170`` takes IPv6 and IPv4. With port 0 the system
    chooses one, which suits a member that dials the others."""
    advertise: str = ""
    """Address and port under which other nodes reach this one; empty means the addresses of this
    machine with the port of ``listen``. Set it behind NAT."""
    seeds: tuple[str, ...] = ()
    """Members to connect to besides those known already. One that answers is enough to learn all."""
    ping_interval: float = 1.0
    """Seconds between two pings on a silent link."""
    link_timeout: float = 3.0
    """Seconds of silence after which a link is given up. A frozen node is noticed after this time; a
    killed one at once, because its connection breaks."""
    dead_after: float = 1.5
    """Seconds that a node may be out of reach before it is called dead."""
    relay_cost: int = 1
    """Cost of sending over this node, when two others have no direct link: the cheapest way is used."""
    send_budget: int = 8 * 1024 * 1024
    """Bytes that may wait for one node. Beyond it what waits is dropped, counted, and made good by
    the next comparison: a node that does not read must not fill the memory of the others."""

    capabilities: tuple[str, ...] = ()
    """Features that take part in the cluster from the start; empty means all. See ``shield cluster
    capability list``; ``cluster`` and ``capabilities`` always do."""
    tags: tuple[str, ...] = ()
    """Sharing tags that this node has a part in, each ``"NAME"`` or ``"NAME=active"``: of the nodes with
    a tag at most one is active. ``=active`` claims it when nobody ever has."""
    tag_takeover: float = 0.0
    """Seconds without an active node after which this one may become active for its tags by itself; 0:
    only an operator decides."""
    tag_priority: int = 100
    """Of the nodes that may take over, the one with the lowest number does, then by name."""
    nats: NatsSettings = field(default_factory=NatsSettings)

    def __post_init__(self) -> None:
        problems = self._wrong_tags()
        for name in ("listen", "advertise", *(f"seeds[{n}]" for n in range(len(self.seeds)))):
            text = self.seeds[int(name[6:-1])] if name.startswith("seeds") else getattr(self, name)
            try:
                if text or name != "advertise":
                    parse_address(text, lowest=0 if name == "listen" else 1)
            except InputError as error:
                problems.append(f"cluster.{name}: {error}")
        if not self.directory.startswith("/"):
            problems.append(f"cluster.directory: {self.directory!r} must be an absolute path")
        if not 0.1 <= self.ping_interval <= 60:
            problems.append("cluster.ping_interval: must be between 0.1 and 60 seconds")
        if not 2 * self.ping_interval <= self.link_timeout <= 600:
            problems.append("cluster.link_timeout: must be at least two ping_intervals, at most 600 s")
        if not 0 <= self.dead_after <= 3600:
            problems.append("cluster.dead_after: must be between 0 and 3600 seconds")
        if not 0 <= self.relay_cost <= 1000:
            problems.append("cluster.relay_cost: must be between 0 and 1000")
        if not 65536 <= self.send_budget <= 1 << 30:
            problems.append("cluster.send_budget: must be between 65536 and 1073741824 bytes")
        if self.carrier == "nats" and not self.nats.servers:
            problems.append("cluster.nats.servers: carrier nats needs at least one server")
        if problems:
            raise ConfigError(*problems)

    def _wrong_tags(self) -> list[str]:
        found = []
        try:
            read_plans(self.tags, self.tag_takeover, self.tag_priority)
        except InputError as error:
            found.append(f"cluster.tags: {error}")
        if self.tag_takeover and not 1 <= self.tag_takeover <= 86400:
            found.append("cluster.tag_takeover: must be 0, or between 1 second and 1 day")
        if not 0 <= self.tag_priority <= 10_000:
            found.append("cluster.tag_priority: must be between 0 and 10000")
        return found
