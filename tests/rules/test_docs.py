"""docs/rules.md against the code that reads rules."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from shield.detect.fields import FIELDS
from shield.detect.rule import EVENTS, GROUPS, KINDS, PROOFS, parse_rule
from shield.errors import ConfigError

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "rules.md").read_text("utf-8")
EXAMPLE = tomllib.loads(PAGE.split("```toml\n")[1].split("```")[0])


def test_the_example_is_a_rule() -> None:
    """What readers copy is accepted as it stands."""
    rule = parse_rule(EXAMPLE, "room-scan", "room-scan.toml")
    assert (rule.max_retry, rule.find_time, rule.ban_time) == (5, 600.0, 14_400.0)
    assert rule.statuses == {401, 404, *range(480, 490)}


def test_every_name_is_explained() -> None:
    """Fields, events, kinds, groups and proofs are all on the page."""
    names = {*FIELDS, *EVENTS, *KINDS, *GROUPS, *PROOFS}
    assert {name for name in names if f"`{name}`" not in PAGE} == set()


def test_every_key_that_is_read_is_explained() -> None:
    """The keys in the source of the reader are rows of the page."""
    source = (ROOT / "shield" / "detect" / "rule.py").read_text("utf-8")
    pattern = r"\b(?:top|match|count|require|decision|mark)\.(?:take|number|words|seconds)\(\s*\"(\w+)\""
    keys = set(re.findall(pattern, source))
    assert len(keys) > 20
    assert {
        key for key in keys if not re.search(rf"`(?:\w+\.)?{key}(?:\.NAME)?`|\[\[{key}\]\]", PAGE)
    } == set()


@pytest.mark.parametrize("table", ["", "match", "count", "require", "decision"])
def test_an_unknown_key_is_an_error(table: str) -> None:
    """A misspelt key is no silent default, as the page says."""
    data = {"description": "d"}
    changed = {**data, table: {"unheard": 1}} if table else {**data, "unheard": 1}
    with pytest.raises(ConfigError, match="unheard"):
        parse_rule(changed, "r", "r.toml")
