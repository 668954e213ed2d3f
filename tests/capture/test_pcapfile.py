"""Capture files are read in any portions; damage is told with its offset."""

from __future__ import annotations

import struct
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.capture import pcapfile
from shield.capture.pcapfile import reader_for
from shield.capture.source import Frame
from tests.capture.wire import ether, ip4, pcap, udp

ONE, TWO = ether(ip4(udp())), ether(ip4(udp(b"x" * 101)))


def read(data: bytes, *cuts: int) -> tuple[list[Frame], str | None]:
    """Feed a file cut at the given places."""
    reader = reader_for(data[:4])
    assert reader is not None
    edges = [0, *sorted({cut for cut in cuts if 0 < cut < len(data)}), len(data)]
    frames: list[Frame] = []
    for one, two in pairwise(edges):
        frames += reader.feed(data[one:two])
    reader.end()
    return frames, reader.error


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    size = len(body) + 12
    return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", size)


def section(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def interface(linktype: int = 1, options: bytes = b"", snap: int = 0, order: str = "<") -> bytes:
    return block(1, struct.pack(order + "HHI", linktype, 0, snap) + options, order)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def packet(data: bytes, ticks: int, number: int = 0, order: str = "<", tail: bytes = b"") -> bytes:
    head = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
    return block(6, head + data + bytes(-len(data) % 4) + tail, order)


PCAPNG = section() + interface() + packet(ONE, 1_500_000) + packet(TWO, 2_000_000)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nano", [False, True])
def test_pcap_of_both_orders_and_units(order: str, nano: bool) -> None:
    """Time, bytes and link type of every frame."""
    frames, error = read(pcap((1.5, ONE), (2.25, TWO), order=order, nano=nano, linktype=113))
    assert frames == [Frame(1.5, ONE, 113), Frame(2.25, TWO, 113)]
    assert error is None


def test_pcap_with_longer_record_headers() -> None:
    """The old modified format has eight more bytes before each frame."""
    data = struct.pack("<IHHiIII", 0xA1B2CD34, 2, 4, 0, 0, 65535, 1)
    data += struct.pack("<IIII", 1, 500_000, len(ONE), len(ONE)) + bytes(8) + ONE
    assert read(data) == ([Frame(1.5, ONE, 1)], None)


def test_frame_check_bits_do_not_change_the_link_type() -> None:
    """The upper bits of the link type field say something else."""
    data = bytearray(pcap((1.0, ONE)))
    data[23] = 0x14
    assert read(bytes(data))[0][0].linktype == 1


@given(
    st.lists(st.integers(1, 600), max_size=20), st.sampled_from((pcap((1.5, ONE), (2.0, TWO)), PCAPNG))
)
def test_portions_never_matter(cuts: list[int], data: bytes) -> None:
    """A file read in any portions gives the same frames."""
    assert read(data, *cuts) == read(data)
    assert len(read(data)[0]) == 2


@pytest.mark.parametrize("data", [pcap((1.5, ONE), (2.0, TWO)), PCAPNG])
def test_every_cut_gives_what_is_readable(data: bytes) -> None:
    """A file cut short anywhere gives its whole frames and says where it ends."""
    whole = read(data)[0]
    ends = set()
    for size in range(4, len(data)):
        frames, error = read(data[:size])
        assert frames == whole[: len(frames)]
        if error is None:
            ends.add(size)
        else:
            assert error.startswith("byte ")
            assert "cut short" in error
    assert len(ends) <= 4


def test_impossible_frame_length_is_damage() -> None:
    """A length over 256 KiB is told with its offset; frames before it are kept."""
    data = pcap((1.5, ONE)) + struct.pack("<IIII", 2, 0, 1 << 30, 1 << 30)
    frames, error = read(data + bytes(100))
    assert len(frames) == 1
    assert error == f"byte {24 + 16 + len(ONE)}: a frame of {1 << 30} bytes cannot be right"


def test_nothing_is_read_after_damage() -> None:
    """A damaged reader takes no more."""
    reader = reader_for(pcap()[:4])
    assert reader is not None
    reader.feed(pcap() + b"\xff" * 16)
    assert reader.error is not None
    assert reader.feed(pcap((1.0, ONE))) == []


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng(order: str) -> None:
    """Both byte orders, unknown blocks and options are stepped over."""
    data = section(order) + block(5, bytes(12), order) + interface(113, order=order)
    data += packet(ONE, 1_500_000, order=order, tail=option(1, b"comment", order) + bytes(4))
    assert read(data) == ([Frame(1.5, ONE, 113)], None)


@pytest.mark.parametrize(
    ("options", "ticks", "time"),
    [
        (option(9, b"\x09"), 1_500_000_000, 1.5),
        (option(9, b"\x03"), 1500, 1.5),
        (option(9, b"\x8a"), 1536, 1.5),
        (option(2, b"eth0") + option(9, b"\x06") + bytes(4), 1_500_000, 1.5),
        (option(14, struct.pack("<q", 100)), 1_500_000, 101.5),
        (option(9, b"\x09\x09"), 1_500_000, 1.5),
    ],
)
def test_pcapng_time_units(options: bytes, ticks: int, time: float) -> None:
    """Each interface has its own resolution (powers of ten and of two) and offset."""
    frames, error = read(section() + interface(options=options) + packet(ONE, ticks))
    assert error is None
    assert frames[0].time == pytest.approx(time)


def test_pcapng_interfaces_and_sections() -> None:
    """Packets get the link type of their own interface; a new section starts counting anew."""
    data = section() + interface(1) + interface(113) + packet(ONE, 0, 1) + packet(TWO, 0, 0)
    data += section(">") + interface(276, order=">") + packet(ONE, 0, 0, ">")
    assert [one.linktype for one in read(data)[0]] == [113, 1, 276]


def test_pcapng_simple_and_old_packets() -> None:
    """A simple packet has the time of the one before and is cut at the snapshot length."""
    old = struct.pack("<HHIIII", 0, 0, 0, 2_000_000, len(TWO), len(TWO)) + TWO
    simple = struct.pack("<I", len(ONE)) + ONE[:60]
    data = section() + interface(snap=60) + block(2, old) + block(3, simple)
    assert read(data)[0] == [Frame(2.0, TWO, 1), Frame(2.0, ONE[:60], 1)]


@pytest.mark.parametrize(
    "damage",
    [
        packet(ONE, 0, number=3),
        block(6, struct.pack("<IIIII", 0, 0, 0, 500, 500) + bytes(20)),
        block(6, bytes(8)),
        block(1, bytes(4)),
        struct.pack("<III", 6, 13, 0) + bytes(40),
        struct.pack("<III", 6, 1 << 31, 0),
        struct.pack("<II", 6, 8) + bytes(40),
        struct.pack("<II", 6, 32) + bytes(40),
        block(0x0A0D0D0A, bytes(16)),
    ],
)
def test_pcapng_damage_is_told_with_its_offset(damage: bytes) -> None:
    """Frames before the damage are kept."""
    good = section() + interface() + packet(ONE, 0)
    frames, error = read(good + damage)
    assert len(frames) == 1
    assert error is not None
    assert error.startswith(f"byte {len(good)}: ")


def test_interfaces_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of interface descriptions only does not eat memory."""
    monkeypatch.setattr(pcapfile, "MAX_INTERFACES", 3)
    assert "too many interfaces" in str(read(section() + interface() * 5)[1])


def test_other_files_have_no_reader() -> None:
    """The first bytes decide."""
    for magic in (b"", b"abcd", b"\x1f\x8b\x08\0", b"\xd4\xc3\xb2"):
        assert reader_for(magic) is None


@given(st.binary(max_size=200), st.sampled_from((pcap(), section() + interface(), section(">"))))
def test_noise_never_raises(noise: bytes, head: bytes) -> None:
    """Any bytes behind a good head give frames or an error text."""
    read(head + noise)


def test_scapy_reads_the_same(tmp_path: Path) -> None:
    """scapy's pcapng reader as a second opinion on the same file."""
    from scapy.utils import RawPcapNgReader

    path = tmp_path / "one.pcapng"
    path.write_bytes(PCAPNG)
    with RawPcapNgReader(str(path)) as reader:
        theirs = [
            (data, meta.linktype, ((meta.tshigh << 32) + meta.tslow) / meta.tsresol)
            for data, meta in reader
        ]
    assert [(one.data, one.linktype, one.time) for one in read(PCAPNG)[0]] == theirs
