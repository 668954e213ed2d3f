"""shield: passive SIP attack detection, decisions and kernel blocking, shared between nodes.

``shield.Cluster`` lets a program take part in a cluster (docs/cluster.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shield.cluster.cluster import Cluster as Cluster

__all__ = ["Cluster"]


def __getattr__(name: str) -> Any:
    # Loaded when it is used: importing it costs a command more than it does itself.
    if name == "Cluster":
        from shield.cluster.cluster import Cluster

        return Cluster
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
