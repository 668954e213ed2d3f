"""What is kept of tags over a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from shield.cluster.identity_files import Directory
from shield.cluster.tag_claim import Claim
from shield.cluster.tag_state import Tag, TagState, reason_of, restore, stored
from shield.errors import ConfigError
from tests.cluster.fakenet import identity

CLAIM = Claim("cdr", 1_700_000_000_000 << 16, "a", active=True, reason="by hand")


def held() -> Tag:
    tag = Tag("cdr", CLAIM, CLAIM.sign(identity("a")))
    tag.history.append([1.7e9, "active", "a", "by hand"])
    return tag


def test_what_is_stored_comes_back() -> None:
    """The claim counts as old until the others were heard."""
    back = restore(stored([held(), Tag("unused")]), lambda node: identity(node).own)
    assert set(back) == {"cdr"}
    assert (back["cdr"].claim, back["cdr"].old) == (CLAIM, True)
    assert list(back["cdr"].history) == [[1.7e9, "active", "a", "by hand"]]


def test_a_claim_that_its_node_did_not_sign_is_left_out() -> None:
    """Somebody changed the file, or the node has another key; what happened stays."""
    back = restore(stored([held()]), lambda _node: identity("b").own)
    assert back["cdr"].claim is None
    assert back["cdr"].history
    assert restore(stored([held()]), lambda _node: None)["cdr"].claim is None


@pytest.mark.parametrize(
    "rows",
    [{"cdr": {}}, {"cdr": []}, {"no tag!": {}}, {"cdr": {"history": [[1]], "claim": []}},
     {"cdr": {"history": [], "claim": ["zz", ""]}}, {"cdr": {"history": [], "claim": ["80"]}}],
)  # fmt: skip
def test_a_damaged_file_is_named(tmp_path: Path, rows: Any) -> None:
    """As one line, whatever is wrong inside."""
    directory = Directory(tmp_path)
    directory.save_tags(rows)
    with pytest.raises(ConfigError, match=r"tags\.json"):
        directory.load_tags(lambda _node: None)


def test_each_state_has_its_reason() -> None:
    """In words for people."""
    assert reason_of(TagState.ACTIVE, CLAIM) == "by hand"
    assert reason_of(TagState.BACKUP, CLAIM) == "claimed by a at 2023-11-14T22:13:20Z: by hand"
    released = reason_of(TagState.BACKUP, CLAIM._replace(active=False))
    assert released == "released by a at 2023-11-14T22:13:20Z: by hand"
    assert reason_of(TagState.BACKUP, None) == "nobody has claimed it"
    assert "disabled" in reason_of(TagState.DISABLED, CLAIM)
