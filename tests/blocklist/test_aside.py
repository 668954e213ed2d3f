"""Aside: what is not applied, counted by origin and reason."""

from __future__ import annotations

from shield.blocklist.aside import Aside, Mark, Why


def test_each_record_has_one_reason() -> None:
    """The last one; counts follow, and a record that is taken back is no more."""
    aside = Aside()
    aside.put(b"1", "a", Why.HELD)
    aside.put(b"2", "a", Why.HELD)
    aside.put(b"2", "b", Why.QUORUM)
    assert aside.counts() == {Mark("a", Why.HELD): 1, Mark("b", Why.QUORUM): 1}
    assert (aside.count(Why.HELD), aside.count(Why.HELD, "b"), len(aside)) == (1, 0, 2)
    assert aside.get(b"2") == ("b", "quorum")
    assert aside.pop(b"2") == ("b", "quorum")
    assert aside.pop(b"2") is None
    assert (aside.counts(), aside.get(b"2")) == ({Mark("a", Why.HELD): 1}, None)


def test_keys_are_found_by_reason_and_origin() -> None:
    """Oldest first."""
    aside = Aside()
    for key, origin in ((b"1", "a"), (b"2", "b"), (b"3", "a")):
        aside.put(key, origin, Why.HELD)
    aside.put(b"4", "a", Why.PREFIX)
    assert aside.keys(Why.HELD) == [b"1", b"2", b"3"]
    assert aside.keys(Why.HELD, "a") == [b"1", b"3"]
    assert aside.keys(Why.QUORUM) == []
