"""The nftables table as text: what ``nft -f`` loads at start, and the whole of it for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from shield.firewall.backend import Element
from shield.firewall.cover import cover, outermost
from shield.firewall.nft_plan import set_name
from shield.firewall.settings import FirewallSettings
from shield.net import Network

__all__ = ["render", "setup"]

CHAIN = "early"
PROBE = "probe"
"""Set on which open() tries what the kernel can do; removed afterwards."""
COUNTERS = ("dropped4", "dropped6")
SETS = {
    "hosts4": "type ipv4_addr; flags timeout;",
    "hosts6": "type ipv6_addr; flags timeout;",
    "nets4": "type ipv4_addr; flags interval,timeout;",
    "nets6": "type ipv6_addr; flags interval,timeout;",
    "allow4": "type ipv4_addr; flags interval;",
    "allow6": "type ipv6_addr; flags interval;",
}
_INTERVAL, _TIMEOUT = 0x4, 0x10  # NFT_SET_*
TYPES = {
    name: (
        _INTERVAL * ("interval" in spec) | _TIMEOUT * ("timeout" in spec),
        4 if "ipv4" in spec else 16,
    )
    for name, spec in {**SETS, PROBE: SETS["hosts4"]}.items()
}
"""Flags and length of key of each set, as the kernel tells them."""
LINE_ELEMENTS = 1000
"""Elements in one line of rendered text."""


def setup(settings: FirewallSettings) -> str:
    """Write what makes everything that is missing and keeps every element.

    The chain is made anew in the same transaction, which repairs any change to it without a gap.
    Counters are named: they survive that, and the text of a rule does not change with each packet.
    """
    table = settings.table
    sets = {**SETS, PROBE: SETS["hosts4"]}
    lines = [f"table inet {table} {{"]
    lines += [f"\tcounter {name} {{ }}" for name in COUNTERS]
    lines += [f"\tset {name} {{ {spec} }}" for name, spec in sets.items()]
    lines += ["}", f"add chain inet {table} {CHAIN}", f"delete chain inet {table} {CHAIN}"]
    lines += _chain(settings)
    return "\n".join(lines) + "\n"


def _chain(settings: FirewallSettings) -> list[str]:
    hook = f"type filter hook prerouting priority {settings.priority}; policy accept;"
    chain = f"inet {settings.table} {CHAIN}"
    rules = [f"ip{v} saddr @allow{n} accept" for v, n in (("", 4), ("6", 6))]
    ports = ", ".join(str(port) for port in settings.ports)
    only = f"meta l4proto {{ tcp, udp }} th dport {{ {ports} }} " if ports else ""
    for what in ("hosts", "nets"):
        for v, n in (("", 4), ("6", 6)):
            rules.append(f"ip{v} saddr @{what}{n} {only}counter name dropped{n} drop")
    return [f"add chain {chain} {{ {hook} }}", *(f"add rule {chain} {rule}" for rule in rules)]


def render(settings: FirewallSettings, elements: Sequence[Element], allowed: Sequence[Network]) -> str:
    """Write a table with these elements that replaces the one in the kernel when loaded."""
    table = settings.table
    lines = [f"add table inet {table}", f"delete table inet {table}", f"table inet {table} {{"]
    lines += [f"\tcounter {name} {{ }}" for name in COUNTERS]
    lines += [f"\tset {name} {{ {spec} }}" for name, spec in SETS.items()]
    lines += ["}", *_chain(settings)]
    hosts = {item.network: item.timeout for item in elements if item.network.is_host}
    networks = cover(
        {item.network: item.timeout for item in elements if not item.network.is_host}
    ).install
    for what, wanted in (("hosts", hosts), ("nets", networks)):
        for size in (4, 16):
            items = [f"{n}{_timeout(t)}" for n, t in wanted.items() if len(n.address) == size]
            lines += _adds(table, set_name(what, size), items)
    passing = outermost(allowed)
    for size in (4, 16):
        lines += _adds(
            table, set_name("allow", size), [str(n) for n in passing if len(n.address) == size]
        )
    return "\n".join(lines) + "\n"


def _timeout(seconds: float) -> str:
    return "" if seconds == math.inf else f" timeout {max(1, math.ceil(seconds * 1000))}ms"


def _adds(table: str, name: str, items: Sequence[str]) -> Iterable[str]:
    for start in range(0, len(items), LINE_ELEMENTS):
        yield f"add element inet {table} {name} {{ {', '.join(items[start : start + LINE_ELEMENTS])} }}"
