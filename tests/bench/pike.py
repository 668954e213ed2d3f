"""What Kamailio's pike makes of labelled captures: a real Kamailio gets their packets again.

pike counts in real time, so each capture takes as long as it took, at most CAP seconds. What arrived
at the servers over UDP is sent with its own source addresses into a network namespace where a Kamailio
listens that has nothing but pike (``pike.cfg``). Several captures run at once, each on a network of
its own: they mostly wait. Needs root, iproute2 and kamailio.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from shield.net import Datagram, Transport, unpack
from tests.bench.corpus import Ban, Capture, Result
from tests.netlab import Host, Lab

__all__ = ["CAP", "missing", "parse", "pike"]

CAP = 60.0
"""Seconds of a capture that are sent."""
LANES = 16
"""Captures that run at once."""
PORT = 5060
PATIENCE = 20.0
"""Seconds for Kamailio to start, and to work off what it got."""
TELLER = "192.0.2.250"
LINE = re.compile(r"@(ready|end|pass|block) (\S+)")
CONFIG = Path(__file__).with_suffix(".cfg")
END = (
    "OPTIONS sip:end@{0} SIP/2.0\r\nVia: SIP/2.0/UDP {0};branch=z9hG4bKend\r\n"
    "From: <sip:end@{0}>;tag=e\r\nTo: <sip:end@{0}>\r\nCall-ID: end-of-capture\r\n"
    "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def missing() -> str:
    """Why pike cannot be measured here; empty when it can."""
    wanted = [name for name in ("ip", "kamailio") if shutil.which(name) is None]
    if os.geteuid():
        wanted.append("root")
    return f"needs {', '.join(wanted)}" if wanted else ""


def pike(
    captures: Sequence[Capture], done: Callable[[], None] = lambda: None, cap: float = CAP
) -> dict[str, Result]:
    """Results by the capture's name; ``done`` is called after each."""
    results: dict[str, Result] = {}
    waiting: list[Capture] = []
    for capture in captures:
        if any(one.transport is Transport.UDP for one in capture.arrivals):
            waiting.append(capture)
        else:
            results[capture.name] = Result(missing="TCP")
            done()
    waiting.sort(key=lambda capture: capture.arrivals[-1].time - capture.arrivals[0].time)
    lock = threading.Lock()

    def lane(_: int) -> None:
        with Lab() as lab, tempfile.TemporaryDirectory() as folder:
            server, sender = lab.host("server"), lab.host("sender")
            addresses: set[str] = set()
            while True:
                with lock:
                    if not waiting:
                        return
                    capture = waiting.pop()  # the longest
                for address in sorted(capture.servers - addresses):
                    server.address(f"{address}/{64 if ':' in address else 24}")
                addresses |= capture.servers
                log = _run(capture, server, sender, Path(folder), cap)
                with lock:
                    results[capture.name] = parse(capture, log)
                done()

    with ThreadPoolExecutor(LANES) as pool:
        list(pool.map(lane, range(min(LANES, len(waiting)))))
    return results


def parse(capture: Capture, log: Iterable[str]) -> Result:
    """Who was blocked, read from what pike.cfg logs; messages are requests that Kamailio could read."""
    result, seen = Result(), Counter[str]()
    for word, source in (found.groups() for line in log if (found := LINE.search(line))):
        if word not in ("pass", "block"):
            continue
        seen[source] += 1
        if word == "block" and source not in result.bans:
            times = capture.times[source]
            at = times[min(seen[source], len(times)) - 1]
            result.bans[source] = Ban(seen[source], round(at - times[0], 6))
    return result


def _run(capture: Capture, server: Host, sender: Host, folder: Path, cap: float) -> list[str]:
    """Send one capture to a Kamailio of its own; gives its log."""
    arrivals = [one for one in capture.arrivals if one.transport is Transport.UDP]
    targets = sorted({unpack(one.destination) for one in arrivals})
    listen = [f"udp:[{one}]:{PORT}" if ":" in one else f"udp:{one}:{PORT}" for one in targets]
    path = folder / f"{capture.name}.log"
    with path.open("w") as log:
        program = server.popen(
            "kamailio", "-DD", "-E", "-f", str(CONFIG), "-Y", str(folder), "-P", f"{folder}/pid",
            *(word for where in listen for word in ("-l", where)), "-m", "16", "-M", "4", stderr=log,
        )  # fmt: skip
    try:
        _until(path, "ready", 1)
        with sender.inside():
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        with wire:
            wire.bind(("eth0", 0))
            _send(wire, _frames(arrivals, _mac(server)), cap)
            _finish(wire, targets, _mac(server), path)
    finally:
        program.terminate()
        program.wait(PATIENCE)
    return path.read_text(errors="replace").splitlines()


def _mac(host: Host) -> str:
    found: str = host.run("cat", "/sys/class/net/eth0/address").stdout
    return found.strip()


def _frames(datagrams: Iterable[Datagram], mac: str) -> list[tuple[float, bytes]]:
    """Times and frames; the long ones in fragments."""
    from scapy.layers.inet import IP, UDP, fragment
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Ether

    frames: list[tuple[float, bytes]] = []
    for one in datagrams:
        source, target = unpack(one.source), unpack(one.destination)
        upper: Any = UDP(sport=one.source_port, dport=one.destination_port) / one.payload
        lower = IPv6(src=source, dst=target) if ":" in source else IP(src=source, dst=target)
        whole = lower / upper
        parts = fragment(whole, 1400) if len(whole) > 1500 and ":" not in source else [whole]
        frames += [(one.time, bytes(Ether(dst=mac) / part)) for part in parts]
    return frames


def _send(wire: socket.socket, frames: Sequence[tuple[float, bytes]], cap: float) -> None:
    """At the pace of the capture."""
    first, start = frames[0][0], time.monotonic()
    for at, frame in frames:
        if at - first > cap:
            return
        wait = start + at - first - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        wire.send(frame)


def _finish(wire: socket.socket, targets: Sequence[str], mac: str, log: Path) -> None:
    """Let each worker say that it has read everything that came before."""
    from shield.net import pack

    tellers = {4: pack(TELLER), 16: pack("2001:db8:1::fa")}
    last = [
        Datagram(0.0, tellers[len(pack(one))], PORT, pack(one), PORT, Transport.UDP,
                 END.format(f"[{one}]" if ":" in one else one).encode())
        for one in targets
    ]  # fmt: skip
    for _, frame in _frames(last, mac):
        wire.send(frame)
    _until(log, "end", len(targets))


def _until(log: Path, word: str, count: int) -> None:
    """Wait until a word stands so often in the log."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found = [match[1] for match in LINE.finditer(log.read_text(errors="replace"))]
        if found.count(word) >= count:
            return
        time.sleep(0.05)
    raise TimeoutError(f"Kamailio did not come to {word!r}; see its log:\n{log.read_text()[-2000:]}")
