"""docs/rules.md against the code that reads rules."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from shield.detect.fields import FIELDS
from shield.detect.keys import KEYS, marks_of, marks_reference, reference
from shield.detect.rule import EVENTS, GROUPS, KINDS, PROOFS, parse_rule
from shield.detect.rulefiles import load_rules
from shield.detect.table import Table
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


def test_every_key_that_is_read_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader of rules asks for the keys of the reference and for no others."""
    asked: dict[str, set[str]] = {}
    take = Table.take

    def noting(self: Table, key: str, kinds: object, default: object) -> object:
        asked.setdefault(self.where.partition(".toml")[2].lstrip("."), set()).add(key)
        return take(self, key, kinds, default)  # type: ignore[arg-type]

    monkeypatch.setattr(Table, "take", noting)
    parse_rule({"description": "d"}, "r", "r.toml")
    explained = {
        table: {key.name.partition(".")[0] for key in keys} | ({*KEYS} - {""} if not table else set())
        for table, keys in KEYS.items()
    }
    assert asked == explained


def test_the_reference_on_the_page_is_that_of_the_code() -> None:
    """``scripts/generate-docs`` was run since the last change of a key."""
    assert reference() in PAGE
    assert marks_reference() in PAGE


def test_the_marks_on_the_page_are_those_of_the_rule() -> None:
    """Each with its weight and meaning."""
    [rule] = [rule for rule in load_rules() if rule.name == "disguised-tool"]
    assert marks_of(rule) in (ROOT / "docs" / "detection.md").read_text("utf-8")


@pytest.mark.parametrize("table", [*KEYS])
def test_an_unknown_key_is_an_error(table: str) -> None:
    """A misspelt key is no silent default, as the page says."""
    data = {"description": "d"}
    changed = {**data, table: {"unheard": 1}} if table else {**data, "unheard": 1}
    with pytest.raises(ConfigError, match="unheard"):
        parse_rule(changed, "r", "r.toml")
