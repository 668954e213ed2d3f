"""PcapSource: frames from a capture file or standard input, at full speed or in real time."""

from __future__ import annotations

import io
import os
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, cast

from shield.capture.pcapfile import reader_for
from shield.capture.source import Frame
from shield.errors import InputError

__all__ = ["PcapSource"]

BATCH: Final = 512
"""Frames given out at once: some milliseconds of work, so that a caller stays responsive."""
_CHUNK: Final = 1 << 18
_PATIENCE: Final = 0.2
"""In real time a caller gets an empty batch at least this often (seconds), to look for signals."""
_GZIP: Final = b"\x1f\x8b"
_GZIP_WINDOW: Final = 31
"""zlib's number for a gzip header and the largest window."""
_UNPACKED: Final = 1 << 20
"""Bytes unpacked at once, however small they were packed."""


class PcapSource:
    """Replays a pcap or pcapng file, also gzipped; ``-`` is standard input.

    Raises InputError when the file cannot be opened or is no capture at all. Damage further on ends
    the replay early and is told in ``error``.
    """

    def __init__(self, path: str | Path, *, realtime: bool = False) -> None:
        self.name = str(path)
        self.error: str | None = None
        """What is wrong with the file, naming it and the byte offset; None while all is well."""
        self._realtime = realtime
        self._size: int | None = None
        self._raw: BinaryIO | None = None
        try:
            self._pieces = self._open()
            self._first = self._peek(4)
        except (OSError, EOFError, zlib.error) as error:
            self.close()
            raise InputError(f"{self.name}: {getattr(error, 'strerror', None) or error}") from None
        reader = reader_for(self._first[:4])
        if reader is None:
            self.close()
            what = "is no pcap or pcapng capture" if self._first else "is empty"
            raise InputError(f"{self.name}: {what}")
        self._reader = reader

    def _open(self) -> Iterator[bytes]:
        """Open the file: its content in pieces, unpacked if it is gzipped."""
        if self.name == "-":
            self._raw = sys.stdin.buffer
        else:
            self._raw = Path(self.name).open("rb")  # noqa: SIM115 - closed by close()
            self._size = os.fstat(self._raw.fileno()).st_size or None
        # Both are buffered readers, so they can be looked into without consuming.
        buffered = cast("io.BufferedReader", self._raw)
        pieces = iter(lambda: buffered.read1(_CHUNK), b"")
        return _unpack(pieces) if buffered.peek(2)[:2] == _GZIP else pieces

    def _peek(self, count: int) -> bytes:
        """Read the first pieces until there are ``count`` bytes: a pipe may deliver them singly."""
        first = b""
        while len(first) < count and (piece := next(self._pieces, b"")):
            first += piece
        return first

    def batches(self) -> Iterator[Sequence[Frame]]:
        """Frames in file order; in real time an empty batch while the next one is not due."""
        pace = _Pace() if self._realtime else None
        for frames in self._chunks():
            for at in range(0, len(frames), BATCH):
                batch = frames[at : at + BATCH]
                if pace is None:
                    yield batch
                else:
                    yield from pace.release(batch)

    def _chunks(self) -> Iterator[list[Frame]]:
        data = self._first
        try:
            while data and self._reader.error is None:
                yield self._reader.feed(data)
                data = next(self._pieces, b"")
        except (OSError, EOFError, zlib.error, ValueError) as error:
            where = f"byte {self._raw.tell()}: " if self._size is not None and self._raw else ""
            self.error = f"{self.name}: {where}{getattr(error, 'strerror', None) or error}"
            return
        self._reader.end()
        if self._reader.error is not None:
            self.error = f"{self.name}: {self._reader.error}"

    def progress(self) -> float | None:
        """Share of the file that was read, 0 to 1; None when its size is not known."""
        if self._size is None or self._raw is None or self._raw.closed:
            return None
        return min(1.0, self._raw.tell() / self._size)

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._raw is not None and self.name != "-":
            self._raw.close()


def _unpack(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Undo gzip (also several members in a row); raises EOFError when it is cut short."""
    # Not gzip.GzipFile: behind damage it keeps back what it had unpacked already.
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    for piece in pieces:
        rest = piece
        while rest:
            if inflater.eof:
                inflater = zlib.decompressobj(_GZIP_WINDOW)
            out = inflater.decompress(rest, _UNPACKED)
            if out:
                yield out
            rest = inflater.unused_data.lstrip(b"\0") if inflater.eof else inflater.unconsumed_tail
    if not inflater.eof:
        raise EOFError("the compressed data is cut short")


class _Pace:
    """Holds frames back until as much time has passed as between them in the capture."""

    def __init__(self) -> None:
        self._shift: float | None = None
        """Capture time minus the clock; frames that go back in time do not change it."""

    def release(self, frames: Sequence[Frame]) -> Iterator[Sequence[Frame]]:
        """Give out the frames in groups when they are due, and empty batches meanwhile."""
        done = 0
        while done < len(frames):
            now = time.monotonic()
            if self._shift is None:
                self._shift = frames[done].time - now
            due = done
            while due < len(frames) and frames[due].time - self._shift <= now:
                due += 1
            if due > done:
                yield frames[done:due]
                done = due
                continue
            time.sleep(min(_PATIENCE, frames[done].time - self._shift - now))
            yield ()
