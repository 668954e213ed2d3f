"""Hosts for system tests: network namespaces on one Ethernet, removed whatever happens.

    with Lab() as lab:
        attacker = lab.host("attacker", "192.0.2.10/24", "2001:db8::10/64")
        sensor = lab.host("sensor", "192.0.2.1/24", "2001:db8::1/64")
        attacker.run("ping", "-c1", "192.0.2.1")             # a program inside, to its end
        server = sensor.popen("kamailio", "-DD", "-E", ...)  # a program that stays; ended with the lab
        with sensor.inside():                                # this thread is inside meanwhile
            backend.open()
        sink = sensor.udp("192.0.2.1", 5060)                 # a socket that lives inside
        sensor.watch("192.0.2.10")                           # counts packets behind the early hooks
        sensor.arrived("192.0.2.10")

Each host has one interface ``eth0``, plugged into a bridge that lies in a namespace of its own, so
nothing touches the machine's network. Names hold the test's process id; leftovers of processes that
are gone are removed when the next lab starts. Needs root and iproute2.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import re
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_CLONE_NEWNET = 0x40000000
_PREFIX = "slab"
_numbers = itertools.count()
_libc = ctypes.CDLL(None, use_errno=True)


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=20)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def sweep() -> None:
    """Remove namespaces of labs whose process is gone."""
    for line in _ip("netns", "list").splitlines():
        found = re.match(rf"({_PREFIX}-(\d+)-\S+)", line)
        if found and not Path(f"/proc/{found[2]}").exists():
            with contextlib.suppress(RuntimeError):
                _ip("netns", "del", found[1])


class Lab:
    """Hosts on one bridge; a context manager."""

    def __init__(self) -> None:
        self._name = f"{_PREFIX}-{os.getpid()}-{next(_numbers)}"
        self._switch = f"{self._name}-switch"
        self.hosts: dict[str, Host] = {}

    def __enter__(self) -> Self:
        sweep()
        try:
            _ip("netns", "add", self._switch)
            _ip("-n", self._switch, "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
            _ip("-n", self._switch, "link", "set", "br0", "up")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def host(self, name: str, *addresses: str) -> Host:
        """Add a host; ``addresses`` with prefix length, IPv4 or IPv6."""
        space, port = f"{self._name}-{name}", f"p{len(self.hosts)}"
        _ip("netns", "add", space)
        host = self.hosts[name] = Host(name, space)
        _ip("-n", space, "link", "set", "lo", "up")
        _ip(
            "link",
            "add",
            "eth0",
            "netns",
            space,
            "type",
            "veth",
            "peer",
            "name",
            port,
            "netns",
            self._switch,
        )
        _ip("-n", self._switch, "link", "set", port, "master", "br0", "up")
        _ip("-n", space, "link", "set", "eth0", "up")
        for address in addresses:
            host.address(address)
        return host

    def faults(self, *rules: str) -> None:
        """Let the switch do this with the packets between hosts: nft rules; none mends everything."""
        lines = ["add table bridge faults", "delete table bridge faults"]
        if rules:
            lines += ["add table bridge faults"]
            lines += ["add chain bridge faults cable { type filter hook forward priority 0; }"]
            lines += [f"add rule bridge faults cable {rule}" for rule in rules]
        # All at once: a test that cuts and mends must not lose packets in between.
        self._in_switch("nft", "-f", "-", stdin="\n".join(lines) + "\n")

    def shown_faults(self) -> str:
        """The faults as nft lists them, with counters."""
        return self._in_switch("nft", "list", "table", "bridge", "faults")

    def _in_switch(self, *command: str, stdin: str = "") -> str:
        return subprocess.run(
            ["ip", "netns", "exec", self._switch, *command],
            input=stdin, capture_output=True, text=True, check=True, timeout=20,
        ).stdout  # fmt: skip

    def close(self) -> None:
        """End every program and remove every namespace."""
        for host in self.hosts.values():
            host.close()
        for space in [*(host.space for host in self.hosts.values()), self._switch]:
            with contextlib.suppress(RuntimeError):
                _ip("netns", "del", space)


class Host:
    """One namespace with ``eth0``."""

    def __init__(self, name: str, space: str) -> None:
        self.name = name
        self.space = space
        """Name for ``ip netns exec``."""
        self._programs: list[subprocess.Popen[str]] = []
        self._sockets: list[socket.socket] = []

    def address(self, address: str) -> None:
        """Give one more address (with prefix length)."""
        # nodad: an IPv6 address is usable at once, not after a second of duplicate detection.
        extra = ["nodad"] if ":" in address else []
        _ip("-n", self.space, "addr", "add", address, "dev", "eth0", *extra)

    def run(self, *command: str, stdin: str = "", timeout: float = 30, check: bool = True) -> Any:
        """Run a program inside to its end; ``stdout`` and ``stderr`` of the result are text."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.space, *command],
            input=stdin, capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(
                f"{' '.join(command)} ended with {done.returncode}: {done.stderr or done.stdout}"
            )
        return done

    def popen(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Start a program inside; it is ended with the lab."""
        options = {"text": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | options
        # ip replaces itself by the program, so the process id is the program's.
        program = subprocess.Popen(["ip", "netns", "exec", self.space, *command], **options)
        self._programs.append(program)
        return program

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Put this thread, and programs started by it, into the namespace."""
        with (
            Path("/proc/thread-self/ns/net").open() as home,
            Path(f"/run/netns/{self.space}").open() as there,
        ):
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def udp(self, address: str, port: int = 0) -> Udp:
        """Open a UDP socket inside; it stays inside wherever it is used."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with self.inside():
            opened = socket.socket(family, socket.SOCK_DGRAM)
        opened.bind((address, port))
        self._sockets.append(opened)
        return Udp(opened)

    def watch(self, *sources: str) -> None:
        """Count packets of these sources where local programs get them, behind every early hook.

        Call it again after ``nft flush ruleset``; that removes it too.
        """
        lines = ["add table inet watch", "delete table inet watch", "add table inet watch"]
        lines.append("add chain inet watch arrivals { type filter hook input priority 300; }")
        for source in sources:
            family = "ip6" if ":" in source else "ip"
            lines.append(
                f'add rule inet watch arrivals {family} saddr {source} counter comment "{source}"'
            )
        self.run("nft", "-f", "-", stdin="\n".join(lines) + "\n")

    def arrived(self, source: str) -> int:
        """Packets of ``source`` counted since ``watch``."""
        listed = self.run("nft", "list", "table", "inet", "watch").stdout
        found = re.search(rf'counter packets (\d+) bytes \d+ comment "{re.escape(source)}"', listed)
        if not found:
            raise LookupError(f"{source} is not watched")
        return int(found[1])

    def close(self) -> None:
        """End programs and sockets."""
        for program in self._programs:
            if program.poll() is None:
                program.terminate()
        for program in self._programs:
            try:
                program.wait(5)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait(5)
        for opened in self._sockets:
            opened.close()


class Udp:
    """A UDP socket inside a host."""

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened

    def send(self, payload: bytes, address: str, port: int) -> None:
        """Send one datagram."""
        self.socket.sendto(payload, (address, port))

    def receive(self, wait: float = 2.0) -> bytes | None:
        """Next datagram, or None when none came within ``wait`` seconds."""
        return self.socket.recv(65535) if select.select([self.socket], [], [], wait)[0] else None

    def drain(self, until: bytes, wait: float = 2.0) -> list[bytes]:
        """Everything received before the datagram ``until``; fails when that one does not come.

        Send ``until`` from a host that is not banned: what was sent earlier and is not in the list
        did not arrive.
        """
        found: list[bytes] = []
        end = time.monotonic() + wait
        while time.monotonic() < end:
            payload = self.receive(max(0.0, end - time.monotonic()))
            if payload == until:
                return found
            if payload is not None:
                found.append(payload)
        raise TimeoutError(f"{until!r} did not arrive within {wait} s; got {found}")


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
