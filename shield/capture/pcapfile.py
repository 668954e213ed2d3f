"""Read capture files from bytes in any portions: pcap and pcapng.

Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. Both readers are pushed bytes
and give the frames that are complete; what is wrong with the file is said in ``error`` with
the byte offset, after which nothing more is read. Written here and not
taken from scapy because its reader mixes up the interfaces of a file with several sections, cannot
tell a damaged file from its end, and takes twice the time.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, Protocol

from shield.capture.source import Frame

__all__ = ["CaptureReader", "reader_for"]

MAX_FRAME: Final = 1 << 18
"""Longest frame: libpcap's own limit (256 KiB)."""
MAX_BLOCK: Final = 1 << 24
"""Longest pcapng block; decryption secrets and name lists can be large."""
MAX_INTERFACES: Final = 65536
"""Interfaces of one pcapng section; each costs memory."""

_SECTION: Final = 0x0A0D0D0A
_INTERFACE, _OLD_PACKET, _SIMPLE, _ENHANCED = 1, 2, 3, 6
_PCAP_MAGICS: Final = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6, 16),
    b"\xa1\xb2\xc3\xd4": (">", 1e-6, 16),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9, 16),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9, 16),
    b"\x34\xcd\xb2\xa1": ("<", 1e-6, 24),
    b"\xa1\xb2\xcd\x34": (">", 1e-6, 24),
}
"""First bytes -> byte order, seconds of one time unit, length of a record header (24: Kuznetzov's)."""

_new_frame = tuple.__new__
"""Makes a Frame without the keyword handling of its constructor: this runs for every frame."""


class CaptureReader(Protocol):
    """Bytes of a capture file in, frames out."""

    error: str | None
    """What is wrong with the file, with the offset; reading has stopped there."""

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes; the frames they complete."""
        ...

    def end(self) -> None:
        """Say that the file has ended: sets ``error`` when it is cut short."""
        ...


def reader_for(magic: bytes) -> CaptureReader | None:
    """Choose the reader by a file's first four bytes, which are fed to it as well; None if unknown."""
    if magic in _PCAP_MAGICS:
        return _Pcap(*_PCAP_MAGICS[magic])
    if magic == b"\x0a\x0d\x0d\x0a":
        return _Pcapng()
    return None


class _Pcap:
    def __init__(self, order: str, unit: float, header: int) -> None:
        self.error: str | None = None
        self._head = Struct(order + "4sHHiIII")
        self._record = Struct(order + "IIII").unpack_from
        self._unit = unit
        self._header = header
        self._linktype: int | None = None
        self._rest = b""
        self._offset = 0
        """Where in the file ``_rest`` starts."""

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes; the frames they complete."""
        frames: list[Frame] = []
        if self.error is not None:
            return frames
        data = self._rest + data
        at, size = 0, len(data)
        if self._linktype is None:
            if size < self._head.size:
                self._rest = data
                return frames
            # The upper bits say whether a frame check sequence follows each frame.
            self._linktype = self._head.unpack_from(data)[6] & 0xFFFF
            at = self._head.size
        record, header, unit, linktype = self._record, self._header, self._unit, self._linktype
        add = frames.append
        while at + header <= size:
            seconds, fraction, length, _ = record(data, at)
            if length > MAX_FRAME:
                self.error = f"byte {self._offset + at}: a frame of {length} bytes cannot be right"
                break
            start = at + header
            if start + length > size:
                break
            at = start + length
            add(_new_frame(Frame, (seconds + fraction * unit, data[start:at], linktype)))
        self._rest = data[at:]
        self._offset += at
        return frames

    def end(self) -> None:
        """Say that the file has ended."""
        if self.error is None and (self._rest or self._linktype is None):
            what = "a frame" if self._linktype is not None else "the file header"
            self.error = f"byte {self._offset}: {what} is cut short"


class _Pcapng:
    def __init__(self) -> None:
        self.error: str | None = None
        self._order = ""
        self._interfaces: list[tuple[int, float, float, int]] = []
        """Link type, seconds of one time unit, seconds to add, snapshot length (0: none)."""
        self._rest = b""
        self._offset = 0
        self._time = 0.0
        """Of the last packet: simple packets have no time of their own."""

    def feed(self, data: bytes) -> list[Frame]:
        """Take the next bytes; the frames they complete."""
        frames: list[Frame] = []
        if self.error is not None:
            return frames
        data = self._rest + data
        at, size = 0, len(data)
        while at + 12 <= size and self.error is None:
            if data[at : at + 4] == b"\x0a\x0d\x0d\x0a" and not self._begin_section(data, at):
                break
            kind, length = self._pair(data, at)
            if length < 12 or length > MAX_BLOCK or length % 4:
                self._fail(at, f"a block of {length} bytes cannot be right")
                break
            if at + length > size:
                break
            if self._word(data, at + length - 4) != length:
                self._fail(at, "the two lengths of a block differ")
                break
            self._block(kind, data, at + 8, at + length - 4, frames)
            at += length
        self._rest = data[at:]
        self._offset += at
        return frames

    def end(self) -> None:
        """Say that the file has ended."""
        if self.error is None and self._rest:
            self._fail(0, "a block is cut short")

    def _fail(self, at: int, text: str) -> None:
        self.error = f"byte {self._offset + at}: {text}"

    def _begin_section(self, data: bytes, at: int) -> bool:
        """Each section has its own byte order and interfaces."""
        order = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}.get(data[at + 8 : at + 12])
        if order is None:
            self._fail(at, "a section header has no byte order mark")
            return False
        self._pair = Struct(order + "II").unpack_from
        self._packet = Struct(order + "IIIII").unpack_from
        self._old_packet = Struct(order + "HHIIII").unpack_from
        self._option = Struct(order + "HH").unpack_from
        self._half = Struct(order + "H").unpack_from
        self._order = order
        self._interfaces = []
        return True

    def _word(self, data: bytes, at: int) -> int:
        return int.from_bytes(data[at : at + 4], "little" if self._order == "<" else "big")

    def _block(self, kind: int, data: bytes, start: int, stop: int, frames: list[Frame]) -> None:
        """Read a block's body between two offsets; unknown kinds are stepped over."""
        size = stop - start
        if kind == _ENHANCED and size >= 20:
            number, high, low, length, _ = self._packet(data, start)
            body = start + 20
        elif kind == _OLD_PACKET and size >= 20:
            number, _, high, low, length, _ = self._old_packet(data, start)
            body = start + 20
        elif kind == _SIMPLE and size >= 4:
            number, high, low, length = 0, 0, 0, self._word(data, start)
            body = start + 4
            if self._interfaces and self._interfaces[0][3]:
                length = min(length, self._interfaces[0][3])
        else:
            if kind == _INTERFACE and size >= 8:
                self._interface(data, start, stop)
            elif kind in {_ENHANCED, _OLD_PACKET, _SIMPLE, _INTERFACE}:
                self._fail(start - 8, "a block is too short for its kind")
            return
        if number >= len(self._interfaces) or body + length > stop:
            self._fail(start - 8, "a packet has no interface or does not fit its block")
            return
        linktype, unit, shift, _ = self._interfaces[number]
        if kind != _SIMPLE:
            self._time = (high << 32 | low) * unit + shift
        frames.append(Frame(self._time, data[body : body + length], linktype))

    def _interface(self, data: bytes, start: int, stop: int) -> None:
        """Interface description: link type, and the options if_tsresol (9) and if_tsoffset (14)."""
        if len(self._interfaces) >= MAX_INTERFACES:
            self._fail(start - 8, "too many interfaces")
            return
        unit, shift = 1e-6, 0.0
        at = start + 8
        while at + 4 <= stop:
            code, length = self._option(data, at)
            value = data[at + 4 : min(at + 4 + length, stop)]
            if code == 0:
                break
            if code == 9 and len(value) == 1:
                power = value[0] & 0x7F
                unit = 2.0**-power if value[0] & 0x80 else 10.0**-power
            elif code == 14 and len(value) == 8:
                shift = float(
                    int.from_bytes(value, "little" if self._order == "<" else "big", signed=True)
                )
            at += 4 + length + -length % 4
        snapshot = self._word(data, start + 4)
        self._interfaces.append((self._half(data, start)[0], unit, shift, snapshot))
