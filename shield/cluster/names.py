"""Names of nodes and clusters: what may be one, and how certificates hold them."""

from __future__ import annotations

import re

from shield.errors import InputError

__all__ = ["MAX_NAME", "check_name", "is_name", "node_name", "node_uri"]

MAX_NAME = 63
"""Characters of a name: one label of DNS, and a common name takes 64 (RFC 5280 appendix A)."""

RESERVED = frozenset({"builtin", "cli", "config", "import"})
"""Words by which a node calls its operator and its files; a node named like that would pass for them."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")


def is_name(text: str) -> bool:
    """Whether ``text`` may be the name of a node or cluster."""
    return _NAME.fullmatch(text) is not None and text not in RESERVED


def check_name(name: str, what: str = "node name") -> str:
    """Give back the name of a node or cluster; raises InputError unless it is fit to be one."""
    if name in RESERVED:
        raise InputError(f"{what} {name!r}: means something else already; choose another")
    if not is_name(name):
        raise InputError(
            f"{what} {name[:80]!r}: must be 1 to {MAX_NAME} of a-z, 0-9, '.' and '-', "
            "a letter or digit at both ends"
        )
    return name


def node_name(host: str) -> str:
    """Turn the name of a host into that of a node (lower case, ``_`` and the like become ``-``)."""
    name = re.sub(r"[^a-z0-9.-]", "-", host.lower())[:MAX_NAME].strip(".-")
    return f"node-{name}" if name in RESERVED else name or "node"


def node_uri(cluster: str, node: str) -> str:
    """Name of a node with its cluster, as certificates hold it."""
    return f"shield:{cluster}/{node}"
