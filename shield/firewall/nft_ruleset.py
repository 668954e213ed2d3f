"""The nftables table as text: what ``nft -f`` loads at start, and the whole of it for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from shield.firewall.backend import Element
from shield.firewall.cover import cover, outermost
from shield.firewall.limits import Limit
from shield.firewall.nft_plan import limit_set, set_name
from shield.firewall.settings import FirewallSettings
from shield.net import Network, unpack

__all__ = ["render", "setup"]

CHAIN = "early"
PROBE = "probe"
"""Set on which open() tries what the kernel can do; removed afterwards."""
COUNTERS = ("dropped4", "dropped6", "limited4", "limited6")
RATES_MOST = 65_536
"""Sources whose rate is measured at once; beyond, further limited ones pass unmeasured."""
RATES_TIME = 60
"""Seconds after its last packet for which the rate of a source is remembered."""
SETS = {
    "hosts4": "type ipv4_addr; flags timeout;",
    "hosts6": "type ipv6_addr; flags timeout;",
    "nets4": "type ipv4_addr; flags interval,timeout;",
    "nets6": "type ipv6_addr; flags interval,timeout;",
    "allow4": "type ipv4_addr; flags interval;",
    "allow6": "type ipv6_addr; flags interval;",
    "limit4": "type ipv4_addr; flags timeout;",
    "limit6": "type ipv6_addr; flags timeout;",
    "ports4": "type ipv4_addr . inet_proto . inet_service; flags timeout;",
    "ports6": "type ipv6_addr . inet_proto . inet_service; flags timeout;",
    **{
        f"rates{version}": f"type ipv{version}_addr; size {RATES_MOST}; flags dynamic,timeout; "
        f"timeout {RATES_TIME}s;"
        for version in (4, 6)
    },
}
_FLAGS = {"interval": 0x4, "timeout": 0x10, "dynamic": 0x20}  # NFT_SET_*
_PART = 4
"""Octets that each further part of a concatenated key takes, however short it is."""


def _type(spec: str) -> tuple[int, int]:
    """Flags and length of key of a set, as the kernel tells them."""
    flags = sum(bit for name, bit in _FLAGS.items() if name in spec)
    return flags, (4 if "ipv4" in spec else 16) + _PART * spec.count(" . ")


TYPES = {name: _type(spec) for name, spec in {**SETS, PROBE: SETS["hosts4"]}.items()}
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
    # What is measured already would keep the rate that held when it began.
    lines += [f"flush set inet {table} rates{version}" for version in (4, 6)]
    lines += _chain(settings)
    return "\n".join(lines) + "\n"


def _chain(settings: FirewallSettings) -> list[str]:
    hook = f"type filter hook prerouting priority {settings.priority}; policy accept;"
    chain = f"inet {settings.table} {CHAIN}"
    rules = [f"ip{v} saddr @allow{n} accept" for v, n in (("", 4), ("6", 6))]
    only = _to_ports(settings.ports)
    for what in ("hosts", "nets"):
        for v, n in (("", 4), ("6", 6)):
            rules.append(f"ip{v} saddr @{what}{n} {only}counter name dropped{n} drop")
    above = f"limit rate over {settings.limit_rate}/second burst {settings.limit_burst} packets"
    sip = _to_ports(settings.limit_ports)
    for v, n in (("", 4), ("6", 6)):
        rules.append(
            f"ip{v} saddr . meta l4proto . th sport @ports{n} {only}counter name dropped{n} drop"
        )
        rules.append(
            f"ip{v} saddr @limit{n} {sip}update @rates{n} {{ ip{v} saddr {above} }} "
            f"counter name limited{n} drop"
        )
    return [f"add chain {chain} {{ {hook} }}", *(f"add rule {chain} {rule}" for rule in rules)]


def _to_ports(ports: Sequence[int]) -> str:
    listed = ", ".join(str(port) for port in ports)
    return f"meta l4proto {{ tcp, udp }} th dport {{ {listed} }} " if ports else ""


def render(settings: FirewallSettings, elements: Sequence[Element], allowed: Sequence[Network]) -> str:
    """Write a table with these elements that replaces the one in the kernel when loaded."""
    table = settings.table
    lines = [f"add table inet {table}", f"delete table inet {table}", f"table inet {table} {{"]
    lines += [f"\tcounter {name} {{ }}" for name in COUNTERS]
    lines += [f"\tset {name} {{ {spec} }}" for name, spec in SETS.items()]
    lines += ["}", *_chain(settings)]
    limits = {key: timeout for key, timeout in elements if isinstance(key, Limit)}
    banned = {key: timeout for key, timeout in elements if isinstance(key, Network)}
    hosts = {network: timeout for network, timeout in banned.items() if network.is_host}
    networks = cover({n: timeout for n, timeout in banned.items() if not n.is_host}).install
    for what, wanted in (("hosts", hosts), ("nets", networks)):
        for size in (4, 16):
            items = [f"{n}{_timeout(t)}" for n, t in wanted.items() if len(n.address) == size]
            lines += _adds(table, set_name(what, size), items)
    for what in ("limit", "ports"):
        for size in (4, 16):
            name = set_name(what, size)
            items = [
                f"{_limit_text(limit)}{_timeout(t)}"
                for limit, t in limits.items()
                if limit_set(limit) == name
            ]
            lines += _adds(table, name, items)
    passing = outermost(allowed)
    for size in (4, 16):
        lines += _adds(
            table, set_name("allow", size), [str(n) for n in passing if len(n.address) == size]
        )
    return "\n".join(lines) + "\n"


def _limit_text(limit: Limit) -> str:
    port = f" . {limit.protocol} . {limit.number}" if limit.protocol else ""
    return f"{unpack(limit.address)}{port}"


def _timeout(seconds: float) -> str:
    return "" if seconds == math.inf else f" timeout {max(1, math.ceil(seconds * 1000))}ms"


def _adds(table: str, name: str, items: Sequence[str]) -> Iterable[str]:
    for start in range(0, len(items), LINE_ELEMENTS):
        yield f"add element inet {table} {name} {{ {', '.join(items[start : start + LINE_ELEMENTS])} }}"
