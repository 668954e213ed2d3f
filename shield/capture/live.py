"""LiveSource: frames from network interfaces, seen passively.

scapy opens a packet socket for each interface, compiles and attaches the kernel's filter, asks
for promiscuous mode and puts VLAN tags back; this module raises the kernel's buffer, reads the
drop counter, and keeps going when interfaces vanish and come back.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from shield.capture.bpf import sip_filter
from shield.capture.lean import lean_scapy
from shield.capture.settings import CaptureSettings
from shield.capture.source import Frame
from shield.capture.stats import LiveStats
from shield.errors import ConfigError, SystemFailure

__all__ = ["LiveSource"]

log = logging.getLogger(__name__)

BATCH: Final = 256
"""Frames read in one go: a few milliseconds of work."""
RESCAN: Final = 5.0
"""Seconds between looks for interfaces that came up or came back."""
ANY: Final = "any"

_ETHERNET, _RAW_IP = 1, 101
_LOOPBACK: Final = 772
_LINKTYPES: Final = {
    1: _ETHERNET, _LOOPBACK: _ETHERNET,
    512: _RAW_IP, 519: _RAW_IP, 768: _RAW_IP, 769: _RAW_IP, 776: _RAW_IP, 65534: _RAW_IP,
}  # fmt: skip
"""ARPHRD number of an interface -> link type of its frames: tunnels and PPP give bare IP packets."""

_IFF_UP: Final = 1
_SOL_PACKET: Final = getattr(socket, "SOL_PACKET", 263)
_PACKET_STATISTICS: Final = 6
_PACKET_IGNORE_OUTGOING: Final = 23
_SO_RCVBUFFORCE: Final = 33
_GONE: Final = frozenset((errno.ENETDOWN, errno.ENODEV, errno.ENXIO, errno.EBADF))


class _Tap:
    """One open interface."""

    __slots__ = ("linktype", "name", "socket")

    def __init__(self, name: str, opened: Any, linktype: int) -> None:
        self.name = name
        self.socket = opened
        self.linktype = linktype


class LiveSource:
    """Listens on the interfaces of ``settings``; ``any`` stands for all that are up.

    Raises SystemFailure when an interface is missing or capturing is not permitted, ConfigError
    when ``settings.filter`` is wrong.
    """

    def __init__(self, settings: CaptureSettings) -> None:
        self.name = ",".join(settings.interfaces)
        self.stats = LiveStats()
        self._settings = settings
        self._taps: dict[int, _Tap] = {}
        """File descriptor -> interface."""
        self._poll = select.epoll()
        self._next_scan = 0.0
        self._unusable: set[str] = set()
        """Interfaces of ``any`` whose link type cannot be read; told once."""
        try:
            self._open_all()
        except BaseException:
            self.close()
            raise

    @property
    def interfaces(self) -> tuple[str, ...]:
        """Names of the interfaces that are open now."""
        return tuple(sorted(tap.name for tap in self._taps.values()))

    def fileno(self) -> int:
        """One descriptor that is readable when any interface has frames; stays the same."""
        return self._poll.fileno()

    def read(self, limit: int = BATCH) -> list[Frame]:
        """Frames that have arrived, at most ``limit``, in order of time; never waits."""
        return self._read(self._poll.poll(0), limit)

    def batches(self, timeout: float = 0.2) -> Iterator[Sequence[Frame]]:
        """Frames as they arrive; an empty batch when none came for ``timeout`` seconds."""
        while not self._poll.closed:
            self.maintain()
            yield self._read(self._poll.poll(timeout), BATCH)

    def maintain(self) -> None:
        """Read the drop counters and look for interfaces that came up; call it every second."""
        for tap in self._taps.values():
            self._count(tap)
        now = time.monotonic()
        if now < self._next_scan:
            return
        self._next_scan = now + RESCAN
        for fd in [fd for fd, tap in self._taps.items() if _gone(tap)]:
            self._drop(fd)
        known = set(self.interfaces)
        for name in self._wanted():
            if name in known or name in self._unusable:
                continue
            try:
                self._open(name)
            except (SystemFailure, ConfigError) as error:
                self.stats.failures[f"{name}: {error}"] += 1
            else:
                self.stats.reopened += 1
                log.info("listening on %s", name)

    def close(self) -> None:
        """Close all sockets; may be called twice."""
        for fd in list(self._taps):
            self._drop(fd)
        self._poll.close()

    def _read(self, ready: list[tuple[int, int]], limit: int) -> list[Frame]:
        frames: list[Frame] = []
        for place, (fd, _) in enumerate(ready):
            # What is left is divided among those still to be read, so that none starves.
            share = max(1, (limit - len(frames)) // (len(ready) - place))
            tap = self._taps.get(fd)
            if tap is not None:
                self._read_tap(tap, share, frames)
        self.stats.read += len(frames)
        if len(ready) > 1:
            frames.sort(key=_time)
        return frames

    def _read_tap(self, tap: _Tap, share: int, frames: list[Frame]) -> None:
        receive, linktype = tap.socket.recv_raw, tap.linktype
        try:
            for _ in range(share):
                _, data, moment = receive()
                if data:
                    frames.append(Frame(float(moment), data, linktype))
        except BlockingIOError:
            return
        except OSError as error:
            self.stats.failures[f"{tap.name}: {error.strerror}"] += 1
            if error.errno in _GONE:
                self._next_scan = 0.0
            else:
                log.warning("reading from %s: %s", tap.name, error)

    def _open_all(self) -> None:
        """Open what is wanted at the start; of ``any`` a part is enough."""
        failed: SystemFailure | None = None
        for name in self._wanted():
            try:
                self._open(name)
            except SystemFailure as error:
                if name in self._settings.interfaces:
                    raise
                failed = error
        if not self._taps and self._settings.interfaces:
            raise failed or SystemFailure(f"no interface to listen on: {self.name}")

    def _wanted(self) -> list[str]:
        names = [name for name in self._settings.interfaces if name != ANY]
        if len(names) == len(self._settings.interfaces):
            return names
        return names + [name for name in _up_interfaces() if name not in names]

    def _open(self, name: str) -> None:
        """Open one interface, filter attached, buffer raised."""
        lean_scapy()
        from scapy.arch.linux import L2ListenSocket
        from scapy.config import conf
        from scapy.error import Scapy_Exception
        from scapy.interfaces import resolve_iface
        from scapy.layers import l2

        assert l2  # loaded so that scapy knows link types and does not warn
        conf.ifaces.reload()
        try:
            kind = int(resolve_iface(name, retry=False).type)
        except ValueError:
            raise SystemFailure(f"there is no interface {name}") from None
        linktype = _LINKTYPES.get(kind)
        if linktype is None:
            if ANY in self._settings.interfaces:
                self._unusable.add(name)
                return
            raise SystemFailure(f"{name}: frames of link type {kind} cannot be read")
        expression = sip_filter(self._settings, tags=linktype == _ETHERNET)
        try:
            opened = L2ListenSocket(iface=name, promisc=self._settings.promiscuous, filter=expression)
        except PermissionError:
            raise SystemFailure(f"{name}: capturing needs root or CAP_NET_RAW") from None
        except (Scapy_Exception, ImportError) as error:
            if self._settings.filter and not isinstance(error.__context__, ImportError):
                raise ConfigError(f"capture.filter: {error}") from None
            raise SystemFailure(f"{name}: {error}; is libpcap installed?") from None
        except OSError as error:
            raise SystemFailure(f"{name}: {error.strerror or error}") from None
        try:
            self._prepare(opened.ins, loopback=kind == _LOOPBACK)
        except OSError as error:
            opened.close()
            raise SystemFailure(f"{name}: {error.strerror}; Linux 4.20 or later is needed") from None
        self._taps[opened.ins.fileno()] = _Tap(name, opened, linktype)
        self._poll.register(opened.ins.fileno(), select.EPOLLIN)

    def _prepare(self, ins: socket.socket, *, loopback: bool) -> None:
        ins.settimeout(0)
        size = self._settings.buffer_bytes
        try:
            ins.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size)
        except OSError:  # without CAP_NET_ADMIN only up to net.core.rmem_max
            ins.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        if loopback:
            # On loopback each packet passes twice, going out and coming in; one is enough.
            ins.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        # What scapy's first, tiny buffer dropped is no loss of ours.
        ins.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)

    def _count(self, tap: _Tap) -> None:
        """Add the kernel's counters since the last call; asking sets them to zero."""
        with contextlib.suppress(OSError):
            answer = tap.socket.ins.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
            received, dropped = struct.unpack("II", answer)
            self.stats.received += received
            self.stats.dropped += dropped

    def _drop(self, fd: int) -> None:
        tap = self._taps.pop(fd)
        self._count(tap)
        with contextlib.suppress(OSError, ValueError):
            self._poll.unregister(fd)
        with contextlib.suppress(OSError):
            tap.socket.close()


def _time(frame: Frame) -> float:
    return frame.time


def _gone(tap: _Tap) -> bool:
    """Whether the interface of a socket was removed, or removed and made anew."""
    try:
        # A socket whose interface is gone has no name any more.
        bound = tap.socket.ins.getsockname()[0]
        return not bound or bound != tap.name
    except OSError:
        return True


def _up_interfaces() -> list[str]:
    """Interfaces that are up, without those stacked on another one (VLAN, bridge, bond).

    Their frames pass the lower interface too and would be counted twice.
    """
    names = []
    for _, name in socket.if_nameindex():
        place = Path("/sys/class/net") / name
        try:
            flags = int((place / "flags").read_text(), 16)
            stacked = any(place.glob("lower_*"))
        except (OSError, ValueError):
            flags, stacked = _IFF_UP, False  # no sysfs of this namespace: take it as it is
        if flags & _IFF_UP and not stacked:
            names.append(name)
    return names
