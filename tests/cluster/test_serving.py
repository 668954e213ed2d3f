"""Serving: a peer gets every record once, in chunks of limited size, at a limited rate."""

from __future__ import annotations

from typing import Any

import pytest

from shield.cluster import serving as module
from shield.cluster.chunks import CHUNK_RECORDS, pack_buckets, unpack_digests, unpack_records
from shield.cluster.entry import BUCKETS, bucket_of
from shield.cluster.replicated import ReplicatedMap
from shield.cluster.serving import BURST, REQUESTS_PER_SECOND, Server
from shield.errors import RemoteError
from tests.cluster.test_store import STAMP, WALL

ALL = pack_buckets(range(BUCKETS))


class Sent:
    """An outlet that remembers."""

    name = "me"

    def __init__(self) -> None:
        self.bodies: list[Any] = []

    def send(self, node: str, body: Any, now: float) -> None:
        self.bodies.append(body)


def server(records: int, size: int = 3) -> tuple[Server, Sent, ReplicatedMap]:
    table, sent = ReplicatedMap("test", "me", b"secret"), Sent()
    for number in range(records):
        origin = "x" if number % 4 else "y"
        table.merge(origin, (b"%d" % number, STAMP, 60_000, b"v" * size, number), 0, WALL)
    return Server(table, sent), sent, table  # type: ignore[arg-type]


def pull(served: Server, sent: Sent, origin: str, buckets: bytes) -> list[tuple[Any, ...]]:
    """Ask until there is no more; returns the records of each chunk."""
    found: list[tuple[Any, ...]] = []
    bucket, key = 0, b""
    while True:
        served.answer("peer", ("pull", 7, origin, buckets, bucket, key), 10.0 * len(sent.bodies))
        kind, tag, packed, bucket, key = sent.bodies[-1]
        assert (kind, tag) == ("chunk", 7)
        found.append(unpack_records(packed))
        if bucket is None:
            return found


def test_every_record_comes_once_in_chunks() -> None:
    """Of the origin asked for, in order of buckets and keys."""
    served, sent, _ = server(3000)
    chunks = pull(served, sent, "x", ALL)
    keys = [record[0] for chunk in chunks for record in chunk]
    assert [len(chunk) for chunk in chunks] == [CHUNK_RECORDS, CHUNK_RECORDS, 250]
    assert sorted(keys) == sorted(b"%d" % number for number in range(3000) if number % 4)
    assert keys == sorted(keys, key=lambda key: (bucket_of(key), key))
    assert pull(served, sent, "nobody", ALL) == [()]


def test_only_the_buckets_asked_for_are_sent() -> None:
    """The others are equal already."""
    served, sent, _ = server(3000)
    wanted = {3, 77, 4095}
    keys = [record[0] for chunk in pull(served, sent, "x", pack_buckets(wanted)) for record in chunk]
    assert keys
    assert {bucket_of(key) for key in keys} <= wanted


def test_large_records_make_small_chunks() -> None:
    """A chunk has a limit of octets too, also within one bucket."""
    served, sent, _ = server(300, 4000)
    chunks = pull(served, sent, "x", ALL)
    assert max(len(chunk) for chunk in chunks) == 65
    assert sum(len(chunk) for chunk in chunks) == 225


def test_a_rare_origin_among_many_entries_costs_little_in_one_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The search goes on in the next chunk."""
    monkeypatch.setattr(module, "MAX_LOOKED_AT", 200)
    served, sent, _ = server(3000)
    chunks = pull(served, sent, "y", ALL)
    assert len(chunks) > 3
    assert sum(len(chunk) for chunk in chunks) == 750


def test_digests_lead_to_the_buckets() -> None:
    """Of all origins, of groups, of buckets; an unknown origin has empty ones."""
    served, sent, table = server(30)
    served.answer("peer", ("ask", 1), 0)
    account = table.account("x")
    assert account is not None
    assert ("x", account.digest, 22, STAMP) in sent.bodies[-1][2]
    served.answer("peer", ("digests", 2, "x", None), 0)
    groups = unpack_digests(sent.bodies[-1][2][0])
    differ = tuple(number for number, digest in enumerate(groups) if digest)
    served.answer("peer", ("digests", 3, "x", differ), 0)
    buckets = [digest for packed in sent.bodies[-1][2] for digest in unpack_digests(packed)]
    assert sum(digest != 0 for digest in buckets) == 22
    for groups_asked in (None, (1, 2)):
        served.answer("peer", ("digests", 4, "nobody", groups_asked), 0)
        assert not any(unpack_digests(sent.bodies[-1][2][0]))


def test_an_origin_over_its_limits_is_not_offered() -> None:
    """What was refused here would differ for ever."""
    served, sent, table = server(8)
    account = table.account("x")
    assert account is not None
    account.refuse(0)
    served.answer("peer", ("ask", 1), 0)
    assert [origin for origin, *_ in sent.bodies[-1][2]] == ["y"]


def test_a_peer_that_asks_too_often_is_told_to_come_later() -> None:
    """It is counted, and others are served."""
    served, sent, table = server(1)
    for tag in range(1000):
        served.answer("peer", ("ask", tag), 0)
    served.answer("peer", ("ask",), 0)
    assert [body[:2] for body in sent.bodies[int(BURST) :]] == [("busy", tag) for tag in range(50, 1000)]
    del sent.bodies[int(BURST) :]
    assert table.counters["asked_too_often"] == 1001 - BURST
    served.answer("other", ("ask", 1), 0)
    served.answer("peer", ("ask", 1), 1.5 / REQUESTS_PER_SECOND)
    assert len(sent.bodies) == BURST + 2
    served.forget({"other"})
    assert list(served._tokens) == ["other"]


@pytest.mark.parametrize(
    "body",
    [
        ("ask",), ("ask", "1"), ("digests", 1, "x", (64,)), ("digests", 1, "x", (-1,)),
        ("digests", 1, "x", ("a",)),
        ("digests", 1, "x", tuple(range(64)) * 2), ("digests", 1, "x", 5), ("pull", 1, "x", b"", 0, b""),
        ("pull", 1, "x", ALL, None, b""), ("pull", 1, "x", ALL, 0, "k"), ("pull", 1, 5, ALL, 0, b""),
    ],
)  # fmt: skip
def test_requests_that_make_no_sense_are_refused(body: tuple[Any, ...]) -> None:
    """By RemoteError, which the caller counts."""
    served, sent, _ = server(1)
    with pytest.raises(RemoteError, match="garbled_sync"):
        served.answer("peer", body, 0)
    assert not sent.bodies
