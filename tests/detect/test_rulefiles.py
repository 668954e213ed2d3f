"""Facts of rule files: the built-in ones, own ones over them, and files that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from shield.detect import rulefiles
from shield.detect.rulefiles import MAX_RULE_BYTES, builtin_directory, load_rules
from shield.errors import ConfigError


def problems(own: Path, *disabled: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_rules(own, disabled)
    return caught.value.problems


def test_the_built_in_rules_are_sound() -> None:
    """Every file in the checkout is loaded, by name."""
    rules = load_rules()
    assert [rule.name for rule in rules] == sorted(p.stem for p in builtin_directory().glob("*.toml"))
    assert {"sipvicious", "password-guessing", "user-enumeration"} <= {rule.name for rule in rules}


def test_an_installed_package_has_its_own_rules(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Inside a wheel the rules lie in the package, not beside it."""
    (tmp_path / "builtin_rules").mkdir()
    monkeypatch.setattr(rulefiles, "_HERE", tmp_path)
    assert builtin_directory() == tmp_path / "builtin_rules"
    assert load_rules() == []


def test_an_own_rule_replaces_the_one_of_its_name(tmp_path: Path) -> None:
    """The rest stays as built in, and new names are added."""
    (tmp_path / "sipvicious.toml").write_text('description = "mine"\nseverity = 1\n')
    (tmp_path / "zz-own.toml").write_text('description = "new"\n')
    rules = {rule.name: rule for rule in load_rules(tmp_path)}
    assert len(rules) == len(load_rules()) + 1
    assert rules["sipvicious"].description == "mine"
    assert rules["sipvicious"].path == str(tmp_path / "sipvicious.toml")
    assert rules["zz-own"].description == "new"


def test_disabled_rules_are_left_out(tmp_path: Path) -> None:
    """A disabled rule is not read, so a broken one can be switched off; others stay."""
    (tmp_path / "broken.toml").write_text("severity = 99")
    names = {rule.name for rule in load_rules(str(tmp_path), ("sipvicious", "broken"))}
    assert names == {rule.name for rule in load_rules()} - {"sipvicious"}


def test_a_directory_that_is_missing_means_no_own_rules(tmp_path: Path) -> None:
    """/etc/shield/rules need not exist."""
    assert [rule.path for rule in load_rules(tmp_path / "none")] == [rule.path for rule in load_rules()]


def test_disabling_what_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    """Else a misspelt name would leave the rule on."""
    assert problems(tmp_path, "sipviscious") == ("detect.disabled: there is no rule 'sipviscious'",)


def test_every_file_is_checked_before_giving_up(tmp_path: Path) -> None:
    """Mistakes of all files come in one error, each with its file."""
    (tmp_path / "a.toml").write_text("not toml")
    (tmp_path / "b.toml").write_bytes(b'description = "\xff"')
    (tmp_path / "c.toml").write_text("#" * (MAX_RULE_BYTES + 1))
    (tmp_path / "d.toml").mkdir()
    (tmp_path / "e.toml").write_text('description = "x"\nspeed = 1')
    found = problems(tmp_path)
    assert len(found) == 5
    for name, line in zip("abcde", found, strict=True):
        assert line.startswith(str(tmp_path / f"{name}.toml"))
    assert "cannot be read" in found[1]
    assert f"larger than {MAX_RULE_BYTES} bytes" in found[2]
    assert found[4].endswith("e.toml.speed: unknown key")


def test_the_number_of_rules_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory of thousands of files is a mistake, not a rule set."""
    monkeypatch.setattr(rulefiles, "MAX_RULES", 3)
    assert problems(tmp_path)[0] == f"{tmp_path}: more than 3 rules"
