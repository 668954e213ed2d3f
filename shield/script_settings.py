"""Section ``[script]`` of the configuration: texts for routing scripts."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ScriptSettings"]


@dataclass(frozen=True, slots=True)
class ScriptSettings:
    """What this node tells all others in the texts of routing scripts."""

    users: bool = False
    """Say REGONLINE and REGOFFLINE when a user comes to this node's server or leaves it
    (needs ``location.track``)."""
    attackers: bool = False
    """Say HACKER for each attacker that this node has banned and whose address is proven."""
