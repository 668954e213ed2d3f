"""The configuration as text."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from shield.config import Mode, NodeSettings, Settings, load, section_types
from shield.config_text import example, keys, reference, show


def written(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "shield.toml"
    file.write_text(text)
    settings = load(file)
    return replace(settings, node=replace(settings.node, name=""))


def test_the_example_changes_nothing(tmp_path: Path) -> None:
    """The file as shipped, put in place unread, leaves every default."""
    assert written(tmp_path, example()) == Settings()


def test_the_example_shows_the_true_defaults(tmp_path: Path) -> None:
    """With every line switched on the settings are still the defaults: none is out of date."""
    text, count = re.subn(r"^#(?=\w)", "", example(), flags=re.MULTILINE)
    assert count == sum(len(keys(section)) for section in section_types().values())
    assert written(tmp_path, text) == Settings()


def test_every_key_is_on_the_reference_page() -> None:
    """No setting exists that the page does not explain."""
    page = reference()
    for name, section in section_types().items():
        part = page.split(f"## [{name}]")[1].split("\n## ")[0]
        for key in keys(section):
            assert f"| `{key.name}` |" in part
            assert len(key.text) > 15, f"{name}.{key.name}"


def test_what_is_shown_reads_back(tmp_path: Path) -> None:
    """``show`` is a complete configuration, whatever the texts hold."""
    settings = replace(
        Settings(),
        node=NodeSettings(mode=Mode.ENFORCE, log_level="debug"),
        capture=replace(Settings().capture, filter='a "b" \\ \u00fc \x7f \n', ports=(5060, 5061)),
    )
    assert written(tmp_path, show(settings)) == settings


def test_long_times_are_shown_as_people_write_them() -> None:
    """A default in seconds is no riddle."""
    assert '#resolve_interval = "5m"' in example()


@dataclass(frozen=True)
class Silent:
    """A section with a field that says nothing."""

    size: int = 1


def test_a_field_without_text_is_a_bug() -> None:
    """A setting is not done without its help text."""
    with pytest.raises(TypeError, match=r"Silent\.size has no text"):
        keys(Silent)
