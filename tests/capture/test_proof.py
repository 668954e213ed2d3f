"""Only what the other side's answers told proves an address."""

from __future__ import annotations

import pytest

from shield.capture.proof import WINDOW, Numbers, distance, take_acknowledgment
from tests.capture.wire import segment


@pytest.mark.parametrize(
    ("one", "other", "ahead"),
    [
        (5, 3, 2),
        (3, 5, -2),
        (0, 0xFFFFFFFF, 1),
        (0xFFFFFFFF, 0, -1),
        (7, 7, 0),
        (1 << 31, 0, -(1 << 31)),
    ],
)
def test_distance_wraps(one: int, other: int, ahead: int) -> None:
    """Sequence numbers are compared modulo 2**32."""
    assert distance(one, other) == ahead


def test_acknowledged_initial_number_proves() -> None:
    """Who acknowledges the other side's random start has seen it."""
    client, server = Numbers(), Numbers()
    client.begin(100)
    server.begin(9000)
    assert take_acknowledgment(client, server, segment(seq=101, ack=9001))
    assert client.proven
    assert not server.proven
    assert take_acknowledgment(server, client, segment(seq=9001, ack=101, back=True))
    assert server.proven


@pytest.mark.parametrize("ack", [0, 101, 9000, 9002, 9000 + WINDOW, 8999, 9001 + (1 << 31)])
def test_a_guessed_number_proves_nothing(ack: int) -> None:
    """Below, at or beyond what the server really sent there is no proof."""
    client, server = Numbers(), Numbers()
    client.begin(100)
    server.begin(9000)
    take_acknowledgment(client, server, segment(seq=101, ack=ack))
    assert not client.proven


def test_without_the_servers_answer_nothing_is_proven() -> None:
    """A forged SYN and data that acknowledges anything: no answer was seen."""
    client, server = Numbers(), Numbers()
    client.begin(100)
    assert take_acknowledgment(client, server, segment(seq=101, ack=12345))
    assert not client.proven


def test_joined_in_the_middle_both_must_acknowledge_data() -> None:
    """One direction alone is no proof; both together are."""
    client, server = Numbers(), Numbers()
    client.join(500)
    client.sent(600)
    server.join(7000)
    server.sent(7100)
    take_acknowledgment(client, server, segment(seq=600, ack=7100))
    assert not client.proven
    take_acknowledgment(server, client, segment(seq=7100, ack=500, back=True))
    assert not server.proven
    take_acknowledgment(server, client, segment(seq=7100, ack=600, back=True))
    assert client.proven
    assert server.proven


def test_far_away_numbers_belong_elsewhere() -> None:
    """An acknowledgment outside the window is told to the caller."""
    client, server = Numbers(), Numbers()
    server.begin(9000)
    assert not take_acknowledgment(client, server, segment(seq=1, ack=9001 + WINDOW + 1))
    assert not take_acknowledgment(client, server, segment(seq=1, ack=9001 - WINDOW - 1))
