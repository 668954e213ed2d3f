"""Account: counts and digests of an origin follow its entries in any order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from shield.cluster.account import GROUP_SIZE, GROUPS, LEFT_OUT, Account
from shield.cluster.entry import Written, bucket_of


def written(number: int) -> Written:
    key = number.to_bytes(2, "big")
    return key, (number, "a", 9.0, None if number % 3 == 0 else b"xy", number * 7 + 1), None


def account_of(numbers: list[int]) -> Account:
    account = Account("a")
    for number in numbers:
        account.counts[bucket_of(written(number)[0])] += 1
    account.add([written(number) for number in numbers])
    return account


@settings(deadline=None)
@given(st.sets(st.integers(0, 999)), st.sets(st.integers(0, 999)))
def test_what_is_dropped_leaves_no_trace(keep: set[int], drop: set[int]) -> None:
    """An account is the same as if what was dropped had never been there."""
    drop -= keep
    account, expected = account_of([*drop, *keep]), account_of(sorted(keep, reverse=True))
    for number in drop:
        key, entry, _ = written(number)
        account.drop(key, bucket_of(key), entry)
    for name in ("records", "tombstones", "size", "digest", "digests", "counts"):
        assert getattr(account, name) == getattr(expected, name)
    assert account.records == len(keep)
    assert sum(account.counts) == len(keep)


def test_group_digests_are_made_of_bucket_digests_and_make_the_digest() -> None:
    """So one look at the groups finds the buckets that differ."""
    account = account_of(list(range(300)))
    total = 0
    for group, digest in enumerate(account.group_digests()):
        buckets = account.bucket_digests(group)
        assert len(buckets) == GROUP_SIZE
        xor = 0
        for bucket in buckets:
            xor ^= bucket
        assert xor == digest
        total ^= digest
    assert group == GROUPS - 1
    assert total == account.digest != 0


def test_an_origin_over_its_limits_is_compared_again_when_it_has_shrunk_or_later() -> None:
    """Not before: its contents cannot be equal, and asking for them again is work for nothing."""
    account = account_of(list(range(100)))
    assert not account.over(0)
    account.refuse(0)
    assert account.over(1)
    assert not account.over(LEFT_OUT)
    for number in range(6):
        key, entry, _ = written(number)
        account.drop(key, bucket_of(key), entry)
    assert not account.over(1)
