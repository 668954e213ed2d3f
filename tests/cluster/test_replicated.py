"""ReplicatedMap: merging in any order gives one result, on nodes whose clocks agree in nothing."""

from __future__ import annotations

from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from shield.cluster.clock import COUNTER_BITS, MAX_AHEAD
from shield.cluster.entry import TOMBSTONE_LIFETIME, Entry, Limits, Record
from shield.cluster.replicated import ReplicatedMap
from tests.cluster.test_store import STAMP, WALL, audit

Delivery = tuple[str, Record]
State = dict[bytes, Entry]


def new(node: str = "me", **limits: object) -> ReplicatedMap:
    return ReplicatedMap("test", node, b"secret of " + node.encode(), Limits(**limits))  # type: ignore[arg-type]


def state(table: ReplicatedMap) -> State:
    return {key: Entry._make(held) for bucket in table._buckets for key, held in bucket.items()}


RECORDS = st.tuples(
    st.sampled_from([b"a", b"b", b"c", b"d"]),
    st.integers(STAMP, STAMP + 4),
    st.integers(6_000, 9_000),
    st.none() | st.sampled_from([b"", b"v", b"w"]),
    st.integers(1, 3),
)
DELIVERIES = st.lists(st.tuples(st.sampled_from(["x", "y", "z"]), RECORDS), max_size=30)


def merged(deliveries: list[Delivery], now: float = 0, wall: float = WALL) -> ReplicatedMap:
    table = new()
    for origin, record in deliveries:
        table.merge(origin, record, now, wall)
    audit(table)
    return table


@settings(deadline=None)
@given(DELIVERIES, st.randoms(use_true_random=False), st.integers(0, 30))
def test_order_duplicates_and_batches_make_no_difference(
    deliveries: list[Delivery], random: object, again: int
) -> None:
    """Merge is commutative, associative and idempotent, also with contradictions of an origin."""
    one = merged(deliveries)
    shuffled = deliveries + deliveries[:again]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert state(merged(shuffled)) == state(one)
    batches = new()
    for origin in ("z", "x", "y"):
        batches.merge_many(origin, [record for name, record in shuffled if name == origin], 0, WALL)
    audit(batches)
    assert state(batches) == state(one)
    assert batches.digest(0) == one.digest(0)


@settings(deadline=None)
@given(st.lists(DELIVERIES, min_size=3, max_size=3))
def test_maps_that_give_each_other_everything_become_equal(parts: list[list[Delivery]]) -> None:
    """Whoever merges with whom first: (a + b) + c is a + (b + c)."""
    a, b, c = (merged(part) for part in parts)
    for source, target in ((a, b), (b, c), (c, b), (c, a)):
        for key, entry in state(source).items():
            record = source.record(key, 0)
            assert record is not None
            target.merge(entry.origin, record, 0, WALL)
    assert state(a) == state(b) == state(c) == state(merged([*parts[2], *parts[0], *parts[1]]))


@settings(deadline=None)
@given(DELIVERIES, st.floats(0, 1e6), st.floats(-11, 11))
def test_clocks_that_differ_by_hours_do_no_harm(
    deliveries: list[Delivery], now: float, hours: float
) -> None:
    """Contents and digests are equal, and what ends in a minute ends in a minute everywhere."""
    here, there = merged(deliveries), merged(deliveries, now, WALL + 3600 * hours)
    assert here.digest(0) == there.digest(now)
    for key, entry in state(here).items():
        other = state(there)[key]
        assert other._replace(until=0) == entry._replace(until=0)
        assert other.until - now == pytest.approx(entry.until, abs=1e-6)


def test_a_write_answers_what_was_seen_and_a_removal_outlives_it() -> None:
    """Also for a node whose clock is hours behind the one that it answers."""
    here, there = new("here"), new("there")
    there.put(b"k", b"v", 3 * 86400, 0, WALL + 5 * 3600)
    record = there.record(b"k", 0)
    assert record is not None
    change = here.merge("there", record, 100, WALL)
    assert change is not None
    assert (change[1].value, change[1].origin, change[2]) == (b"v", "there", None)
    tombstone = here.remove(b"k", 200, WALL)
    assert tombstone is not None
    assert tombstone.until == pytest.approx(100 + 3 * 86400)
    assert here.remove(b"k", 200, WALL) is None
    record = here.record(b"k", 200)
    assert record is not None
    change = there.merge("here", record, 100, WALL + 5 * 3600)
    assert change is not None
    assert (change[1].value, change[2] and change[2].value) == (None, b"v")
    assert there.live(b"k", 100) is None
    assert here.digest(200) == there.digest(100) != 0


def test_a_short_ban_that_was_removed_stays_removed_for_a_day() -> None:
    """A node that was cut off may hold it longer than the others think."""
    table = new()
    table.put(b"k", b"v", 60, 0, WALL)
    tombstone = table.remove(b"k", 1, WALL)
    assert tombstone is not None
    assert tombstone.until == 1 + TOMBSTONE_LIFETIME


def test_lifetimes_are_capped_on_receipt() -> None:
    """A mad node bans nobody for years, and no number breaks the arithmetic."""
    table = new(max_lifetime=100.0)
    for number, remaining in enumerate((101_000, 2**63, 5)):
        table.merge("x", (b"k%d" % number, STAMP, remaining, b"", 1), 10, WALL)
    assert [entry.until for _, entry in sorted(state(table).items())] == [
        110,
        110,
        pytest.approx(10.005),
    ]


def test_a_stamp_more_than_a_day_ahead_is_refused() -> None:
    """It would win against every later write."""
    table = new()
    stamp = int((WALL + MAX_AHEAD + 1) * 1000) << COUNTER_BITS
    assert table.merge("x", (b"k", stamp, 60_000, b"", 1), 0, WALL) is None
    assert table.counters == {"future_stamp": 1}
    assert table.clock.last == 0


@pytest.mark.parametrize(
    "record",
    [
        ("text", STAMP, 1, b"", 1), (b"", STAMP, 1, b"", 1), (b"k" * 513, STAMP, 1, b"", 1),
        (b"k", 1.5, 1, b"", 1), (b"k", STAMP, None, b"", 1), (b"k", STAMP, 1, "text", 1),
        (b"k", STAMP, 1, b"v" * 4097, 1), (b"k", STAMP, 1, b"", 2**63), (b"k", STAMP, 1, b"", -1),
        (b"k", STAMP, 1, b"", b"12345678"), (b"k", STAMP), (b"k", STAMP, 1, b"", 1, 1), 7, b"12345",
        None,        (b"k", True, 1, b"", 1), (b"k", STAMP, [], [], []),
    ],
)  # fmt: skip
@pytest.mark.parametrize("origin", ["x", "me"])
def test_garbled_records_are_counted_and_what_came_before_them_is_kept(
    record: object, origin: str
) -> None:
    """Nothing that a peer sends raises."""
    table, writer = new(), new()
    writer.put(b"good", b"", 60, 0, WALL)
    good = writer.record(b"good", 0)
    assert len(table.merge_many(origin, [good, record], 0, WALL)) == 1  # type: ignore[list-item]
    audit(table)
    assert table.counters["bad_record"] + table.counters["forged_origin"] == 1


def test_what_has_ended_or_is_of_no_use_is_not_exchanged() -> None:
    """It would be gone before it is stored."""
    table = new()
    table.put(b"k", b"", 6, 0, WALL)
    assert table.record(b"k", 0) is not None
    assert table.record(b"k", 2) is None
    assert table.record(b"other", 2) is None
    assert table.merge("x", (b"ended", STAMP, 0, b"", 1), 0, WALL) is None
    assert table.counters == {"ended": 1}


def test_what_is_too_long_is_the_callers_mistake() -> None:
    """Every other node would refuse it."""
    table = new()
    for key, value in ((b"", b""), (b"k" * 513, b""), (b"k", b"v" * 4097)):
        with pytest.raises(ValueError, match="beyond the limits"):
            table.put(key, value, 60, 0, WALL)


def test_a_stamp_from_the_future_drags_nothing_else_along() -> None:
    """One mad write, as far ahead as is believed, must not silence us for whose clock is slower."""
    me, slower = new(), new("slower")
    wall = WALL + 3600  # an hour ahead of the other
    stamp = me.clock.horizon(wall)
    assert me.merge("mad", (b"k", stamp, 600_000, b"mad", 1), 0, wall)
    assert slower.merge("mad", (b"k", stamp, 600_000, b"mad", 1), 0, WALL) is None
    me.put(b"other", b"", 600, 0, wall)
    record = me.record(b"other", 0)
    assert record is not None
    assert slower.merge("me", record, 0, WALL)
    answer = me.remove(b"k", 1, wall + 1)
    assert answer is not None
    assert answer.stamp > stamp, "what it wrote itself can be taken back all the same"


def test_an_own_record_does_not_come_back_for_longer_than_it_was_made_for() -> None:
    """The lifetime that a peer tells is not sealed: what has ended is answered by its removal."""
    me, hour, day = new(), 3600.0, 86_400.0
    assert me.put(b"k", b"one hour", hour, 0, WALL)
    old = me.record(b"k", 0)
    assert old is not None
    month = (old[0], old[1], int(29 * day * 1000), old[3], old[4])
    later = new()
    later.end_of = lambda _key, _value: WALL + hour
    later.merge_many("me", [month], 1.0, WALL + 1)
    entry = later.live(b"k", 1.0)
    assert entry is not None
    assert entry.until <= hour + MAX_AHEAD + 1
    late = new()
    late.end_of = later.end_of
    late.merge_many("me", [month], 2 * day, WALL + 2 * day)
    assert late.live(b"k", 2 * day) is None
    assert late.take_answers() == [b"k"]


def test_a_node_knows_its_own_records_again_after_it_has_forgotten_them() -> None:
    """It was restarted with an old journal; the others give back what it has written since."""
    before, after = new(), new()
    for number in range(5):
        before.put(b"%d" % number, b"v", 60, 0, WALL)
    records = [record for number in range(5) if (record := before.record(b"%d" % number, 0))]
    assert len(after.merge_many("me", records, 0, WALL - 3600)) == 5
    assert after.digest(0) == before.digest(0)
    assert after.take_answers() == []
    newer = after.put(b"0", b"w", 60, 0, WALL - 3600)
    assert newer is not None
    assert newer.stamp > records[0][1]


def test_a_record_forged_in_our_name_is_answered_by_a_newer_one() -> None:
    """By what we hold of that key, or by a tombstone; then all are equal again."""
    me, other = new(), new("other")
    me.put(b"mine", b"true", 60, 0, WALL)
    forged = [(key, STAMP + (5 << 16), 50_000, b"forged", 7) for key in (b"mine", b"new")]
    other.merge_many("me", forged, 0, WALL)
    assert me.merge_many("me", forged, 0, WALL) == []
    assert me.counters == {"forged_origin": 2}
    answers = me.take_answers()
    assert answers == [b"mine", b"new"]
    assert me.take_answers() == []
    other.merge_many("me", [record for key in answers if (record := me.record(key, 0))], 0, WALL)
    assert other.digest(0) == me.digest(0)
    live = other.live(b"mine", 0)
    assert live is not None
    assert live.value == b"true"
    assert other.live(b"new", 0) is None
    assert me.merge_many("me", forged, 0, WALL) == []
    assert me.take_answers() == [], "an old forgery needs no second answer"


def test_nobody_shortens_what_we_have_written() -> None:
    """The seal covers no lifetime; a peer that sends our record back changes it elsewhere only."""
    me, other = new(), new("other")
    me.put(b"k", b"v", 600, 0, WALL)
    record = me.record(b"k", 0)
    assert record is not None
    other.merge("me", record, 0, WALL)
    short = (*record[:2], 6_000, *record[3:])
    for table, until in ((me, 600), (other, 6)):
        assert table.merge("me", short, 0, WALL) is None
        entry = table.get(b"k")
        assert entry is not None
        assert entry.until == until


class MapMachine(RuleBasedStateMachine):
    """A map against a dict of what should be in it."""

    def __init__(self) -> None:
        super().__init__()
        self.table = new()
        self.now = 0.0
        self.model: dict[bytes, Entry] = {}
        self.seen: list[Delivery] = []
        self.forgotten = False

    @property
    def wall(self) -> float:
        return WALL + self.now

    keys = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])

    @rule(key=keys, value=st.sampled_from([b"v", b"w"]), lifetime=st.floats(1, 50))
    def put(self, key: bytes, value: bytes, lifetime: float) -> None:
        entry = self.table.put(key, value, lifetime, self.now, self.wall)
        assert entry is not None
        held = self.model.get(key)
        assert entry.stamp > (held.stamp if held is not None else 0)
        self.model[key] = entry

    @rule(key=keys)
    def remove(self, key: bytes) -> None:
        held = self.model.get(key)
        entry = self.table.remove(key, self.now, self.wall)
        assert (entry is None) == (held is None or held.value is None or held.until <= self.now)
        if entry is not None:
            self.model[key] = entry

    @rule(delivery=st.tuples(st.sampled_from(["x", "y"]), RECORDS), moved=st.integers(0, 60_000))
    def receive(self, delivery: Delivery, moved: int) -> None:
        origin, (key, stamp, remaining, value, _) = delivery
        record = (
            key,
            stamp + (moved << COUNTER_BITS),
            remaining,
            value,
            crc32(value or b"") + stamp % 5,
        )
        self.deliver(origin, record)
        self.seen.append((origin, record))

    @precondition(lambda self: self.seen)
    @rule(data=st.data())
    def receive_again(self, data: st.DataObject) -> None:
        self.deliver(*data.draw(st.sampled_from(self.seen)))

    def deliver(self, origin: str, record: Record) -> None:
        key, stamp, remaining, value, seal = record
        applied = self.table.merge(origin, record, self.now, self.wall)
        if origin == "y" and self.forgotten:
            assert applied is None
            return
        entry = Entry(stamp, origin, self.now + remaining * 0.001, value, seal)
        held = self.model.get(key)
        wins = held is None or (stamp, origin, seal) > (held.stamp, held.origin, held.seal)
        assert applied == ((key, entry, held) if wins else None)
        if wins or (entry._replace(until=held.until) == held and entry.until < held.until):
            self.model[key] = entry

    @rule(seconds=st.floats(0, 20), limit=st.integers(0, 9))
    def wait(self, seconds: float, limit: int) -> None:
        self.now += seconds
        for key, entry in self.table.expire(self.now, limit):
            assert self.model.pop(key) == entry
            assert entry.until <= self.now

    @rule()
    def expire_all(self) -> None:
        self.table.expire(self.now, 10_000)
        for key, entry in list(self.model.items()):
            if int(entry.until) < int(self.now):
                del self.model[key]

    @rule()
    def forget_or_admit(self) -> None:
        self.forgotten = not self.forgotten
        if not self.forgotten:
            self.table.admit("y")
            return
        gone = dict(self.table.forget("y"))
        assert gone == {key: entry for key, entry in self.model.items() if entry.origin == "y"}
        for key in gone:
            del self.model[key]

    @invariant()
    def agrees(self) -> None:
        assert state(self.table) == self.model
        audit(self.table)
        live = {
            key
            for key, entry in self.model.items()
            if entry.value is not None and entry.until > self.now
        }
        assert {key for key, _ in self.table.entries(self.now)} == live


TestMap = MapMachine.TestCase
TestMap.settings = settings(max_examples=60, deadline=None)
TestMap.__doc__ = "Any steps of writing, merging, waiting and forgetting agree with a plain dict."
