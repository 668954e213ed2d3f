"""Tables ``[clusters.NAME]`` of the configuration: further clusters that a node is a member of."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from shield.cluster.settings import ClusterSettings
from shield.errors import ConfigError

__all__ = ["BRIDGED", "SideSettings"]

BRIDGED = frozenset({"blocklist"})
"""Capabilities that a bridge can carry."""


@dataclass(frozen=True, slots=True)
class SideSettings:
    """A further cluster. What is not here is as in ``[cluster]``; it has an identity of its own."""

    label: str = field(default="", metadata={"key": False})
    """Name of the table; what ``shield cluster --cluster NAME`` means."""
    directory: str = ""
    """Where keys, certificates and known members of this cluster are kept. Must be given."""
    listen: str = "0.0.0.0:7171"
    """Address and TCP port for other nodes of this cluster."""
    advertise: str = ""
    """Address and port under which other nodes reach this one; empty means the addresses of this
    machine with the port of ``listen``."""
    seeds: tuple[str, ...] = ()
    """Members to connect to besides those known already."""
    capabilities: tuple[str, ...] = ()
    """Features that take part from the start; empty means all."""
    tags: tuple[str, ...] = ()
    """Sharing tags of this cluster that this node has a part in."""
    tag_takeover: float = 0.0
    """Seconds without an active node after which this one may become active by itself; 0: never."""
    tag_priority: int = 100
    """Of the nodes that may take over, the one with the lowest number does, then by name."""
    bridge: tuple[str, ...] = ()
    """What this node may carry between this cluster and that of ``[cluster]``: ``["blocklist"]``. Of all
    nodes that may, one does; the next takes over when it is gone."""
    bridge_takeover: float = 3.0
    """Seconds without a working bridge after which this node may become the bridge."""
    bridge_priority: int = 100
    """Of the nodes that may be the bridge, the one with the lowest number is, then by name."""

    def __post_init__(self) -> None:
        problems = []
        if not self.directory.startswith("/"):
            problems.append("directory: must be given, and an absolute path")
        if wrong := sorted(set(self.bridge) - BRIDGED):
            problems.append(f"bridge: {wrong[0]!r} cannot be carried; there is {', '.join(BRIDGED)}")
        if not 1 <= self.bridge_takeover <= 3600:
            problems.append("bridge_takeover: must be between 1 second and 1 hour")
        if not 0 <= self.bridge_priority <= 10_000:
            problems.append("bridge_priority: must be between 0 and 10000")
        if not problems:
            try:
                self.settings(ClusterSettings())
            except ConfigError as error:
                problems += [line.removeprefix("cluster.") for line in error.problems]
        if problems:
            raise ConfigError(*(f"clusters.{self.label}.{problem}" for problem in problems))

    def settings(self, main: ClusterSettings) -> ClusterSettings:
        """The settings of this cluster: those of the main one with its own in their place."""
        return replace(
            main,
            carrier="peer",
            directory=self.directory,
            listen=self.listen,
            advertise=self.advertise,
            seeds=self.seeds,
            capabilities=self.capabilities,
            tags=self.tags,
            tag_takeover=self.tag_takeover,
            tag_priority=self.tag_priority,
        )
