"""PcapSource: files, gzip, standard input, damage, progress and real time."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shield.capture import pcap as module
from shield.capture.pcap import BATCH, PcapSource
from shield.errors import InputError
from tests.capture.wire import ether, ip4, pcap, udp

ONE = ether(ip4(udp()))
MANY = pcap(*[(float(number), ONE) for number in range(BATCH * 2 + 5)])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "one.pcap"
    path.write_bytes(MANY)
    return path


def times(source: PcapSource) -> list[float]:
    return [frame.time for batch in source.batches() for frame in batch]


def test_all_frames_in_batches(file: Path) -> None:
    """In order of the file, in portions that keep a caller responsive."""
    source = PcapSource(file)
    sizes = [len(batch) for batch in source.batches()]
    source.close()
    source.close()
    assert sum(sizes) == BATCH * 2 + 5
    assert max(sizes) <= BATCH
    assert source.error is None
    assert source.name == str(file)


def test_gzip_is_seen_by_its_content(tmp_path: Path) -> None:
    """Whatever the name; the progress follows the compressed bytes."""
    path = tmp_path / "packed"
    path.write_bytes(gzip.compress(MANY))
    source = PcapSource(path)
    assert len(times(source)) == BATCH * 2 + 5
    assert source.progress() == 1.0
    source.close()


def test_progress_goes_to_one(tmp_path: Path) -> None:
    """From a share to all of the file."""
    path = tmp_path / "large.pcap"
    path.write_bytes(pcap(*[(1.0, ONE)] * 8000))
    source = PcapSource(path)
    seen = []
    for _ in source.batches():
        share = source.progress()
        assert share is not None
        seen.append(share)
    assert seen == sorted(seen)
    assert seen[0] < 0.9
    assert seen[-1] == 1.0
    source.close()
    assert source.progress() is None


def test_a_cut_file_gives_what_is_there_and_says_so(tmp_path: Path) -> None:
    """The text names file and offset."""
    path = tmp_path / "cut.pcap"
    path.write_bytes(MANY[:-10])
    source = PcapSource(path)
    assert len(times(source)) == BATCH * 2 + 4
    source.close()
    assert source.error == f"{path}: byte {len(MANY) - len(ONE) - 16}: a frame is cut short"


def test_a_cut_gzip_file_gives_what_is_there(tmp_path: Path) -> None:
    """A compressed file that ends early is told, not raised."""
    path = tmp_path / "cut.pcap.gz"
    path.write_bytes(gzip.compress(MANY, 0)[:-2000])
    source = PcapSource(path)
    assert len(times(source)) > 100
    source.close()
    assert source.error is not None
    assert source.error.startswith(f"{path}: byte ")


def test_damaged_gzip_is_told(tmp_path: Path) -> None:
    """A broken compressed block does not raise either."""
    path = tmp_path / "bad.pcap.gz"
    data = bytearray(gzip.compress(MANY, 0))
    data[-4:] = b"\0\0\0\0"
    path.write_bytes(data)
    source = PcapSource(path)
    times(source)
    source.close()
    assert source.error is not None


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is empty"),
        (b"hello, no capture", "is no pcap"),
        (b"\x1f\x8bhello", "cut short|compression"),
        (gzip.compress(b"hello, no capture", mtime=0), "is no pcap"),
    ],
)
def test_what_is_no_capture_is_refused(tmp_path: Path, content: bytes, text: str) -> None:
    """The error names the file."""
    path = tmp_path / "wrong"
    path.write_bytes(content)
    with pytest.raises(InputError, match=text) as caught:
        PcapSource(path)
    assert str(path) in str(caught.value)


def test_missing_files_and_directories_are_refused(tmp_path: Path) -> None:
    """With the system's words."""
    with pytest.raises(InputError, match="No such file"):
        PcapSource(tmp_path / "none")
    with pytest.raises(InputError, match="directory"):
        PcapSource(tmp_path)


@pytest.mark.parametrize("packed", [False, True])
def test_standard_input(packed: bool) -> None:
    """``-`` reads a pipe, also a compressed one, byte by byte if need be."""
    code = (
        "import sys; from shield.capture.pcap import PcapSource; s = PcapSource('-');"
        "print(sum(len(b) for b in s.batches()), s.progress(), s.error, s.name)"
    )
    root = Path(__file__).resolve().parents[2]
    data = gzip.compress(MANY) if packed else MANY
    shown = subprocess.run(
        [sys.executable, "-c", code], input=data, capture_output=True, check=True, cwd=root
    )
    assert shown.stdout.decode().split() == [str(BATCH * 2 + 5), "None", "None", "-"]


def test_frames_of_a_pipe_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that writes frame by frame is not made to fill a buffer first."""
    reading, writing = os.pipe()
    with open(reading, "rb") as stdin, open(writing, "wb", buffering=0) as feeder:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(stdin))
        feeder.write(pcap((1.0, ONE)))
        source = PcapSource("-")
        batches = source.batches()
        got = [next(batches)]
        while not got[-1]:
            got.append(next(batches))
        assert len(got[-1]) == 1


def test_real_time_waits_as_long_as_the_capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frames are released when due, and empty batches meanwhile let the caller look around."""
    path = tmp_path / "slow.pcap"
    path.write_bytes(pcap((100.0, ONE), (100.0, ONE), (101.0, ONE), (100.5, ONE), (103.0, ONE)))
    clock = [5000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(module.time, "sleep", lambda wait: clock.__setitem__(0, clock[0] + wait))
    source = PcapSource(path, realtime=True)
    released = [(round(clock[0] - 5000, 6), len(batch)) for batch in source.batches()]
    source.close()
    assert [(moment, size) for moment, size in released if size] == [(0.0, 2), (1.0, 2), (3.0, 1)]
    assert sum(1 for _, size in released if not size) >= 10
