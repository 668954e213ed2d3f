"""iptables backend: ipset hash sets and one chain in the raw table, for IPv4 and IPv6.

For hosts without nftables rules of their own. Slower than nftables (a program is started for each
commit, 1 ms) and not one transaction: a batch that is cut off leaves the rest for the next try.
ipset counts whole seconds and holds no timeout above 24.8 days; a longer ban is put in with that and
renewed by the reconciliation.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Iterable, Sequence
from typing import TypeVar

from shield.errors import SystemFailure
from shield.firewall.backend import Element
from shield.firewall.cover import cover, outermost
from shield.firewall.limits import Key, Limit
from shield.firewall.run import run
from shield.firewall.settings import FirewallSettings
from shield.net import Network, Port, unpack

__all__ = ["IptablesBackend"]

MAXELEM = 2_097_152
"""Elements of one set; ipset refuses more. The default of 65,536 is far too small for a blocklist."""
TIMEOUT_MOST = 2_147_483
"""Seconds, the longest that ipset takes."""
LOCK_WAIT = 5
"""Seconds to wait for another program that holds the lock of iptables."""

RATES_MOST = 65_536
"""Sources whose rate is measured at once; beyond, further limited ones pass unmeasured."""
RATES_TIME = 60
"""Seconds after its last packet for which the rate of a source is remembered."""

KINDS = {
    "hosts": "hash:ip", "nets": "hash:net", "allow": "hash:net", "limit": "hash:ip",
    "ports": "hash:ip,port",
}  # fmt: skip
_FAMILIES = {4: "inet", 16: "inet6"}
_K = TypeVar("_K", bound=Key)
_SOCKET = {4: socket.AF_INET, 16: socket.AF_INET6}


class IptablesBackend:
    """Drops banned sources with iptables, ip6tables and ipset."""

    name = "iptables"

    def __init__(self, settings: FirewallSettings) -> None:
        self.settings = settings
        self._chain = settings.table.upper()
        self._allowed: list[Network] | None = None

    def open(self) -> None:
        """Make sets, chains and jumps that are missing; elements stay."""
        creates = "".join(self._creates())
        try:
            self._ipset(creates)
        except SystemFailure as error:
            if "exists" not in str(error):
                raise
            # A set of ours has another type; it can only go after the rules that use it.
            self.close(remove=True)
            self._ipset(creates)
        for size in (4, 16):
            jumps = self._lines(size, "PREROUTING")
            wanted = f"-A PREROUTING -j {self._chain}"
            moves = [f"-D PREROUTING -j {self._chain}"] * jumps.count(wanted)
            self._restore(size, [*self._rules(size), *moves, f"-I PREROUTING 1 -j {self._chain}"])
        if self._allowed is not None:  # None: not told yet, so what an earlier run left stays
            self.allow(self._allowed)

    def undisturbed(self) -> bool:
        """Never sure: ipset has no generation to compare."""
        return False

    def healthy(self) -> bool:
        """Compare the rules, where our chain is called, and the allowed networks."""
        for size in (4, 16):
            saved = self._saved(size)
            jumps = [line for line in saved if line.startswith("-A PREROUTING ")]
            if jumps[:1] != [f"-A PREROUTING -j {self._chain}"]:
                return False
            chain = [line for line in saved if line.startswith(f"-A {self._chain} ")]
            if chain != [line for line in self._rules(size) if line.startswith("-A")]:
                return False
        names = self._names()
        if not set(self._sets()) <= names:
            return False
        if self._allowed is None:
            return True
        passing = self._read("allow", 4).keys() | self._read("allow", 16).keys()
        return passing == set(_halves(self._allowed))

    def active(self) -> dict[Key, float]:
        """Read the sets with ``ipset save``."""
        names = self._names()
        found: dict[Key, float] = {}
        for what in ("hosts", "nets", "limit", "ports"):
            for size in (4, 16):
                if self._set(what, size) in names:
                    found |= self._read(what, size)
        for size in (4, 16):
            halves = _halves([Network(bytes(size), 0)])
            if found.keys() >= set(halves):
                found[Network(bytes(size), 0)] = min(found.pop(half) for half in halves)
        return found

    def missing(self, keys: Sequence[Key]) -> list[Key]:
        """Compare with ``active()``, which is exact here."""
        present = self.active()
        return [key for key in keys if key not in present]

    def commit(self, add: Sequence[Element], delete: Sequence[Key]) -> None:
        """Delete, then add, in one run of ``ipset restore``."""
        lines = [f"del {self._member(key)}\n" for key in _halves(delete)]
        lines += self._adds(add)
        if lines:
            self._ipset("".join(lines))

    def allow(self, networks: Sequence[Network]) -> None:
        """Fill new sets and swap them in, so that no packet meets a half-filled one."""
        wanted = outermost(networks)
        lines = []
        for size in (4, 16):
            name, fresh = self._set("allow", size), self._set("new", size)
            lines += [_create(fresh, "allow", size), f"flush {fresh}\n"]
            lines += [f"add {fresh} {n}\n" for n in _halves(wanted) if len(n.address) == size]
            lines += [f"swap {fresh} {name}\n", f"destroy {fresh}\n"]
        self._ipset("".join(lines))
        self._allowed = wanted

    def dropped(self) -> int:
        """Packets that the DROP rules counted."""
        total = 0
        for size in (4, 16):
            for line in self._saved(size, "-c"):
                if f"-A {self._chain} " in line and line.endswith("-j DROP"):
                    total += int(line[1:].partition(":")[0])
        return total

    def render(self, elements: Sequence[Element], allowed: Sequence[Network] = ()) -> str:
        """Write a shell script that loads everything with ipset and iptables-restore."""
        hosts = {key: t for key, t in elements if key.is_host}
        networks = cover(
            {key: t for key, t in elements if isinstance(key, Network) and not key.is_host}
        ).install
        lines = self._creates()
        lines += [f"add {self._set('allow', len(n.address))} {n}\n" for n in _halves(outermost(allowed))]
        lines += self._adds([*hosts.items(), *networks.items()])
        script = ["#!/bin/sh\nset -e\nipset -exist restore <<'END'\n", *lines, "END\n"]
        for size in (4, 16):
            rules = "\n".join(
                ["*raw", *self._rules(size), f"-I PREROUTING 1 -j {self._chain}", "COMMIT"]
            )
            script.append(f"{_program(size)}-restore -n <<'END'\n{rules}\nEND\n")
        return "".join(script)

    def close(self, *, remove: bool = False) -> None:
        """See Backend."""
        if not remove:
            return
        for size in (4, 16):
            saved = self._saved(size)
            gone = [f"-D {line[3:]}" for line in saved if line == f"-A PREROUTING -j {self._chain}"]
            if f":{self._chain} - [0:0]" in [line.partition(" [")[0] + " [0:0]" for line in saved]:
                self._restore(size, [f":{self._chain} - [0:0]", *gone, f"-X {self._chain}"])
        names = self._names()
        self._ipset("".join(f"destroy {name}\n" for name in self._sets() if name in names))

    # --- texts ------------------------------------------------------------------------------

    def _set(self, what: str, size: int) -> str:
        return f"{self.settings.table}-{what}{4 if size == 4 else 6}"

    def _member(self, key: Key) -> str:
        """Name the set that a key belongs to, and the key as ipset spells it."""
        if isinstance(key, Network):
            return f"{self._set('hosts' if key.is_host else 'nets', len(key.address))} {key}"
        address = unpack(key.address)
        if not key.protocol:
            return f"{self._set('limit', len(key.address))} {address}"
        port = str(Port(key.protocol, key.number)).replace("/", ":")
        return f"{self._set('ports', len(key.address))} {address},{port}"

    def _adds(self, items: Iterable[tuple[Key, float]]) -> list[str]:
        return [
            f"add {self._member(key)} timeout {_seconds(timeout)}\n"
            for whole, timeout in items
            for key in _halves([whole])
        ]

    def _sets(self) -> list[str]:
        return [self._set(what, size) for what in KINDS for size in (4, 16)]

    def _creates(self) -> list[str]:
        kinds = [(what, size) for what in KINDS for size in (4, 16)]
        return [_create(self._set(what, size), what, size) for what, size in kinds]

    def _rules(self, size: int) -> list[str]:
        """Write our chain as iptables-save shows it; loading it empties the chain first."""
        match = f"-A {self._chain} -m set --match-set"
        rules = [f":{self._chain} - [0:0]", f"{match} {self._set('allow', size)} src -j RETURN"]
        for what, fields in (("hosts", "src"), ("nets", "src"), ("ports", "src,src")):
            rules += self._to_ports(f"{self._set(what, size)} {fields}", self.settings.ports, "-j DROP")
        rate, burst = self.settings.limit_rate, self.settings.limit_burst
        # A table of rates keeps what it was made with, so another rate needs another name.
        above = (
            f"-m hashlimit --hashlimit-above {rate}/sec --hashlimit-burst {burst} "
            f"--hashlimit-mode srcip --hashlimit-name {self._set(f'{rate}-{burst}-', size)} "
            f"--hashlimit-htable-max {RATES_MOST} --hashlimit-htable-expire {RATES_TIME * 1000} -j DROP"
        )
        return rules + self._to_ports(
            f"{self._set('limit', size)} src", self.settings.limit_ports, above
        )

    def _to_ports(self, matched: str, ports: Sequence[int], then: str) -> list[str]:
        """Rules about what a set matches, to some ports or to all."""
        if not ports:
            return [f"-A {self._chain} -m set --match-set {matched} {then}"]
        listed = ",".join(str(port) for port in ports)
        return [
            f"-A {self._chain} -p {protocol} -m set --match-set {matched} "
            f"-m multiport --dports {listed} {then}"
            for protocol in ("udp", "tcp")
        ]

    # --- programs ---------------------------------------------------------------------------

    def _ipset(self, script: str) -> None:
        run(["ipset", "-exist", "restore"], script, self.settings.command_timeout)

    def _names(self) -> set[str]:
        return set(run(["ipset", "list", "-n"], timeout=self.settings.command_timeout).split())

    def _restore(self, size: int, lines: Iterable[str]) -> None:
        script = "\n".join(["*raw", *lines, "COMMIT", ""])
        command = [f"{_program(size)}-restore", "-w", str(LOCK_WAIT), "-n"]
        run(command, script, self.settings.command_timeout)

    def _saved(self, size: int, *options: str) -> list[str]:
        command = [f"{_program(size)}-save", *options, "-t", "raw"]
        return run(command, timeout=self.settings.command_timeout).splitlines()

    def _lines(self, size: int, chain: str) -> list[str]:
        return [line for line in self._saved(size) if line.startswith(f"-A {chain} ")]

    def _read(self, what: str, size: int) -> dict[Key, float]:
        text = run(["ipset", "save", self._set(what, size)], timeout=self.settings.command_timeout)
        found: dict[Key, float] = {}
        for line in text.splitlines():
            words = line.split()
            if words[:1] != ["add"]:
                continue
            member, _, port = words[2].partition(",")
            address, _, length = member.partition("/")
            packed = socket.inet_pton(_SOCKET[size], address)
            key: Key
            if what in ("limit", "ports"):
                key = Limit(packed, *(Port.parse(port.replace(":", "/")) if port else ()))
            else:
                key = Network(packed, int(length or size * 8))
            # "timeout 0" is an element without an end.
            found[key] = float(words[4]) or math.inf if words[3:4] == ["timeout"] else math.inf
        return found


def _create(name: str, what: str, size: int) -> str:
    """Write the command that makes a set."""
    kind = KINDS.get(what, "hash:net")  # else it is a set that allow() fills
    timeout = "" if what == "allow" else " timeout 0"
    return f"create {name} {kind} family {_FAMILIES[size]} maxelem {MAXELEM}{timeout}\n"


def _program(size: int) -> str:
    return "iptables" if size == 4 else "ip6tables"


def _seconds(timeout: float) -> int:
    """Round a timeout as ipset takes it; 0 is for ever."""
    return 0 if timeout == math.inf else max(1, min(TIMEOUT_MOST, math.ceil(timeout)))


def _halves(keys: Iterable[_K]) -> list[_K | Network]:
    """Replace a network of everything, which hash:net refuses, by its two halves."""
    found: list[_K | Network] = []
    for key in keys:
        if not isinstance(key, Network) or key.length:
            found.append(key)
        else:
            top = b"\x80" + key.address[1:]
            found += [Network(key.address, 1), Network(top, 1)]
    return found
