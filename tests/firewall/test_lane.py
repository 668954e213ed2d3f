"""What waits for the kernel, and when it may be tried."""

from __future__ import annotations

from shield.firewall.lane import Lane
from shield.firewall.settings import FirewallSettings
from tests.firewall.fake import hosts

SETTINGS = FirewallSettings(batch_elements=8, retry_first=0.1, retry_last=1.0)


def test_waits_double_up_to_the_last() -> None:
    """Each failure doubles the wait, up to retry_last; a success ends it."""
    lane = Lane(SETTINGS, 0.0)
    lane.add(hosts(1))
    waits = []
    for _ in range(6):
        lane.failed(lane.batch(), 10.0)
        waits.append(lane.ready_at - 10.0)
    assert [round(wait, 3) for wait in waits] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    lane.done(lane.batch(), 20.0)
    assert (lane.retry_wait, lane.ready_at) == (0.0, 20.0)


def test_batches_shrink_and_grow() -> None:
    """A failure halves the batch, a success doubles it again."""
    lane = Lane(SETTINGS, 0.0)
    lane.add(hosts(100))
    sizes = []
    for ok in (False, False, False, True, True, True, True):
        batch = lane.batch()
        sizes.append(len(batch))
        (lane.done if ok else lane.failed)(batch, 0.0)
    assert sizes == [8, 4, 2, 1, 2, 4, 8]


def test_refused_one_goes_last() -> None:
    """A single element that fails lets the others go first."""
    lane = Lane(SETTINGS, 0.0)
    first, second = hosts(2)
    lane.add([first, second])
    lane.failed([first], 0.0)
    assert list(lane) == [second, first]


def test_pace_only_when_empty() -> None:
    """The pace collects new work; a backlog goes on at once."""
    lane = Lane(SETTINGS, 1.0)
    lane.add(hosts(10))
    lane.done(lane.batch(), 5.0)
    assert lane.ready_at == 5.0
    lane.done(lane.batch(), 5.0)
    assert (len(lane), lane.ready_at) == (0, 6.0)
