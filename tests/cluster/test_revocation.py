"""Revocations: only the authority makes them, and all nodes come to know the same."""

from __future__ import annotations

import random

import pytest

from shield.cluster import revocation
from shield.cluster.authority import create
from shield.cluster.revocation import Revocation, Revocations
from shield.errors import RemoteError
from shield.wire import pack_value
from tests.cluster.identities import WALL, cluster, member

MS = int(WALL * 1000)


def make(name: str, milliseconds: int = MS) -> Revocation:
    return Revocation.make(cluster()[0].key, "shield", name, milliseconds)


def test_a_revocation_survives_the_wire() -> None:
    """What the authority signed is read by everybody as it was made."""
    authority, _ = cluster()
    made = make("b", MS + 1)
    assert made.time == WALL + 0.001
    assert Revocation.read(made.body, made.signature, authority.certificate) == made


@pytest.mark.parametrize("body", [b"", b"\xc1", pack_value(1), pack_value(["shield"])])
def test_even_signed_garbage_is_refused(body: bytes) -> None:
    """A body that is none raises nothing but RemoteError."""
    authority, _ = cluster()
    signature = authority.key.sign(b"shield revoked\x00" + body)
    with pytest.raises(RemoteError):
        Revocation.read(body, signature, authority.certificate)


def test_nobody_but_the_authority_revokes() -> None:
    """A captured node cannot put others out, nor change whom a revocation names."""
    authority, _ = cluster()
    node = member(authority, "c")
    forged = Revocation.make(node.key, "shield", "b", MS)
    spoken = node.sign(forged.body)
    changed = make("b").body.replace(b"b", b"d")
    for body, signature in (
        (forged.body, forged.signature),
        (forged.body, spoken),
        (changed, make("b").signature),
        (bytes(10_000), make("b").signature),
    ):
        with pytest.raises(RemoteError, match="revocation"):
            Revocation.read(body, signature, authority.certificate)


def test_a_revocation_of_another_cluster_is_refused() -> None:
    """Neither another authority's, nor one that names another cluster."""
    authority, _ = cluster()
    other, _ = create("shield", "a", WALL)
    foreign = other.revoke("b", WALL)
    with pytest.raises(RemoteError, match="revocation"):
        Revocation.read(foreign.body, foreign.signature, authority.certificate)
    named = Revocation.make(authority.key, "other", "b", MS)
    with pytest.raises(RemoteError, match="revocation"):
        Revocation.read(named.body, named.signature, authority.certificate)


def test_order_and_repetition_do_not_matter() -> None:
    """Nodes that hear the same revocations in any order know the same."""
    all_of_them = [make(name, MS + later) for name in "bcd" for later in (0, 5, 9)]
    expected = Revocations(all_of_them)
    for seed in range(20):
        shuffled = all_of_them * 2
        random.Random(seed).shuffle(shuffled)
        assert Revocations(shuffled).times == expected.times
    assert expected.times == dict.fromkeys("bcd", (MS + 9) / 1000)
    assert len(expected) == len(list(expected)) == 3


def test_only_news_are_handed_on() -> None:
    """What is known already is not sent round again, so that it does not circle for ever."""
    known = Revocations()
    assert known.add(make("b"))
    assert not known.add(make("b"))
    assert not known.add(make("b", MS - 1))
    assert known.add(make("b", MS + 1))


def test_there_is_a_limit_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded; certificates of the oldest revocation have expired by themselves."""
    monkeypatch.setattr(revocation, "MAX_REVOCATIONS", 2)
    known = Revocations([make("b", MS + 1), make("c", MS + 2)])
    assert known.add(make("d", MS + 3))
    assert set(known.times) == {"c", "d"}
    assert not known.add(make("e", MS))
    assert set(known.times) == {"c", "d"}
