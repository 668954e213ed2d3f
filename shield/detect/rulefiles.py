"""Reads rule files: the built-in ones, overridden by the operator's own of the same name."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path

from shield.detect.rule import Rule, parse_rule
from shield.errors import ConfigError

__all__ = ["builtin_directory", "load_rules"]

MAX_RULE_BYTES = 65_536
MAX_RULES = 500
_HERE = Path(__file__).parent.parent


def builtin_directory() -> Path:
    """Where the built-in rules are: inside an installed package, or beside it in a checkout."""
    installed = _HERE / "builtin_rules"
    return installed if installed.is_dir() else _HERE.parent / "rules"


def load_rules(own: str | Path | None = None, disabled: Iterable[str] = ()) -> list[Rule]:
    """All rules, sorted by name; raises ConfigError with every mistake of every file."""
    files = {path.stem: path for path in sorted(builtin_directory().glob("*.toml"))}
    if own is not None and Path(own).is_dir():
        files.update({path.stem: path for path in sorted(Path(own).glob("*.toml"))})
    problems: list[str] = []
    if len(files) > MAX_RULES:
        problems.append(f"{own}: more than {MAX_RULES} rules")
    problems += [f"detect.disabled: there is no rule {name!r}" for name in disabled if name not in files]
    off = set(disabled)
    rules: list[Rule] = []
    for name, path in sorted(files.items()):
        if name not in off:
            try:
                rules.append(_load(path))
            except ConfigError as error:
                problems += error.problems
    if problems:
        raise ConfigError(*problems)
    return rules


def _load(path: Path) -> Rule:
    try:
        if path.stat().st_size > MAX_RULE_BYTES:
            raise ConfigError(f"{path}: larger than {MAX_RULE_BYTES} bytes")
        data = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    return parse_rule(data, path.stem, str(path))
