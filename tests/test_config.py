"""Reading the configuration: every mistake at once, each with file and key."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield import config
from shield.config import NAMED, Mode, NodeSettings, Settings, files, load
from shield.config_values import convert, describe, field_types
from shield.errors import ConfigError, InputError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "shield.toml"


def problems(file: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(file)
    return [problem.replace(f"{file.parent}/", "") for problem in caught.value.problems]


def test_a_fresh_configuration_observes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any file shield runs on its defaults, and they block nobody."""
    monkeypatch.setattr(config, "DEFAULT_PATH", str(tmp_path / "none" / "shield.toml"))
    settings = load()
    assert settings.node.mode is Mode.OBSERVE
    assert settings.capture == Settings().capture
    assert files() == []


def test_the_node_is_named_after_its_host(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unnamed node takes the host's name, and never one that means something else."""
    file.write_text("")
    monkeypatch.setattr(socket, "gethostname", lambda: "edge_1.example.net")
    assert load(file).node.name == "edge_1.example.net"
    monkeypatch.setattr(socket, "gethostname", lambda: "\u00fcber host")
    assert load(file).node.name == "ber-host"
    monkeypatch.setattr(socket, "gethostname", lambda: "cli")
    assert load(file).node.name == "node-cli"


def test_a_file_that_was_named_must_exist(file: Path) -> None:
    """A path given on the command line that is missing is no reason to run on defaults."""
    assert problems(file) == ["shield.toml: no such file"]


def test_values_of_every_type(file: Path) -> None:
    """Texts, numbers, lists, words and durations arrive as the types that the code declares."""
    file.write_text(
        """
        [node]
        name = "edge-1"
        mode = "enforce"
        [capture]
        interfaces = ["eth0", "eth1"]
        ports = [5060, 5080]
        promiscuous = true
        [allowlist]
        resolve_interval = "10m"
        """
    )
    settings = load(file)
    assert settings.node == NodeSettings(name="edge-1", mode=Mode.ENFORCE)
    assert settings.capture.interfaces == ("eth0", "eth1")
    assert settings.capture.ports == (5060, 5080)
    assert settings.capture.promiscuous is True
    assert settings.allowlist.resolve_interval == 600.0


def test_drop_ins_replace_single_keys_in_order(file: Path) -> None:
    """The last file that names a key wins; other keys of the table stay; other files are not read."""
    file.write_text('[capture]\nports = [5060]\nfilter = "not host 192.0.2.1"')
    folder = file.with_suffix(".d")
    folder.mkdir()
    (folder / "20-b.toml").write_text("[capture]\nports = [5062]")
    (folder / "10-a.toml").write_text('[capture]\nports = [5061]\n[node]\nname = "a"')
    (folder / "30-c.toml.bak").write_text("broken")
    (folder / ".hidden.toml").write_text("broken")
    settings = load(file)
    assert settings.capture.ports == (5062,)
    assert settings.capture.filter == "not host 192.0.2.1"
    assert settings.node.name == "a"
    assert [path.name for path in files(file)] == ["shield.toml", "10-a.toml", "20-b.toml"]


def test_every_mistake_of_every_file_at_once(file: Path) -> None:
    """One run names all mistakes, each with its file and key."""
    file.write_text(
        """
        verbose = true
        node = "edge"
        [captrue]
        [capture]
        port = [5060]
        ports = [70000]
        promiscuous = "yes"
        [control]
        mode = "0666"
        """
    )
    folder = file.with_suffix(".d")
    folder.mkdir()
    (folder / "a.toml").write_text('[control]\nsocket = "here"')
    (folder / "b.toml").write_text("[capture\n")
    found = problems(file)
    assert found[:5] == [
        "shield.toml: unknown key 'verbose'",
        "shield.toml: node: must be a table, written [node]",
        "shield.toml: unknown table 'captrue'; did you mean capture?",
        "shield.toml: capture.port: unknown key; did you mean ports?",
        "shield.toml: capture.promiscuous: must be true or false, not 'yes'",
    ]
    assert found[5].startswith("shield.d/b.toml: ")
    assert "line 1" in found[5]
    assert found[6].startswith("shield.toml: capture.ports: 70000 is not a port")
    assert [line.split(" '")[0] for line in found[7:]] == [
        "shield.d/a.toml: control.socket:",
        "shield.toml: control.mode:",
    ]


def test_what_is_no_text_file_is_named(file: Path) -> None:
    """Bytes that are no UTF-8, a directory, a huge file, deep nesting: one clear line each."""
    file.write_bytes(b'[node]\nname = "\xff"')
    assert problems(file) == ["shield.toml: not UTF-8 (at line 2)"]
    file.write_bytes(b"#" * (config.FILE_BYTES + 1))
    assert problems(file) == [f"shield.toml: longer than {config.FILE_BYTES} bytes"]
    file.write_text("x = " + "[" * 100_000)
    assert problems(file)[0].startswith("shield.toml: ")
    file.unlink()
    file.mkdir()
    assert problems(file) == ["shield.toml: Is a directory"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cli", "means something else"),
        ("import", "means something else"),
        ("a b", "letters"),
        ("-a", "letters"),
    ],
)
def test_names_that_a_node_must_not_have(name: str, words: str) -> None:
    """A node's name is the origin of its decisions, so it must not look like another origin."""
    with pytest.raises(ConfigError, match=words):
        NodeSettings(name=name)


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        (str, "x", "x"),
        (int, 5, 5),
        (float, 5, 5.0),
        (float, "1h30m", 5400.0),
        (bool, False, False),
        (tuple[str, ...], ["a"], ("a",)),
        (tuple[int, ...], [], ()),
        (tuple[float, ...], [1, "1m"], (1.0, 60.0)),
        (frozenset[str], ["a", "a"], frozenset({"a"})),
        (Literal["a", "b"], "b", "b"),
        (Colour, "red", Colour.RED),
        (int | None, 5, 5),
    ],
)
def test_types_that_a_field_may_have(kind: Any, value: Any, result: Any) -> None:
    """Each declared type has one way to be written."""
    converted = convert(value, kind)
    assert converted == result
    assert type(converted) is type(result)


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (str, 5, "text in quotes, not 5"),
        (int, True, "a whole number, not True"),
        (int, 5.0, "a whole number, not 5.0"),
        (int, "5", "a whole number, not '5'"),
        (float, True, "a number"),
        (float, float("inf"), "a number"),
        (float, float("nan"), "a number"),
        (float, "soon", "not a duration: 'soon'"),
        (bool, 1, "true or false, not 1"),
        (tuple[str, ...], "a", "a list of texts, not 'a'"),
        (tuple[int, ...], [1, "x"], "a whole number, not 'x'"),
        (Literal["a", "b"], "c", 'one of "a", "b", not \'c\''),
        (Colour, 1, 'one of "red", not 1'),
        (int | None, {}, "a whole number, not dict"),
    ],
)
def test_wrong_types_say_what_was_expected(kind: Any, value: Any, words: str) -> None:
    """The message holds what belongs there and what was found."""
    with pytest.raises(InputError) as caught:
        convert(value, kind)
    assert words in str(caught.value)


def test_every_field_of_every_section_can_be_written() -> None:
    """No part of shield declares a setting of a type that a file cannot express."""
    for name, section in config.section_types().items():
        for key, kind in field_types(section).items():
            assert describe(kind), f"{name}.{key}"


def test_every_section_is_frozen_and_has_defaults() -> None:
    """Settings are values: two made alike are equal, and none can change under a running part."""
    assert Settings() == Settings()
    for part in fields(Settings):
        if part.name in NAMED:
            assert NAMED[part.name].__dataclass_params__.frozen  # type: ignore[attr-defined]
            continue
        assert getattr(Settings(), part.name).__dataclass_params__.frozen


def test_a_section_may_complain_without_its_name(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error without the table in front gets it, and the file of its key."""

    @dataclass(frozen=True)
    class Odd:
        size: int = 1

        def __post_init__(self) -> None:
            if self.size > 1:
                raise InputError("too large")

    monkeypatch.setattr(config, "section_types", lambda: {"odd": Odd})
    file.write_text("[odd]\nsize = 2")
    assert problems(file) == ["shield.toml: odd: too large"]


@given(st.binary(max_size=80))
def test_noise_gives_settings_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes
) -> None:
    """Whatever a file holds, load() ends in Settings or in ConfigError."""
    file = tmp_path_factory.mktemp("noise") / "shield.toml"
    file.write_bytes(noise)
    found: tuple[str, ...] = ()
    try:
        load(file)
    except ConfigError as error:
        found = error.problems
    assert all(str(file) in problem for problem in found)


def test_a_file_without_permission_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who may not read the file learns which one."""
    file.write_text("")

    def refuse(*_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert problems(file) == ["shield.toml: Permission denied"]


def test_limits_are_about_the_sip_ports_unless_others_are_named(tmp_path: Path) -> None:
    """What is captured is what is limited; more than a rule of the firewall takes must be named."""
    assert Settings().kernel().limit_ports == (5060, 5066, 8088)
    file = tmp_path / "shield.toml"
    file.write_text("[capture]\nports = [5080]\n[firewall]\nlimit_ports = [5060, 5080]\n")
    assert load(file).kernel().limit_ports == (5060, 5080)
    file.write_text(f"[capture]\nports = {list(range(5060, 5080))}\n")
    with pytest.raises(ConfigError, match=r"firewall\.limit_ports: at most 15 ports"):
        load(file)


def test_tables_that_an_operator_names(file: Path, tmp_path: Path) -> None:
    """Each ``[clusters.NAME]`` is one further cluster; drop-ins replace single keys of it."""
    file.write_text(
        '[clusters.b]\ndirectory = "/b"\nlisten = "127.0.0.1:1"\n[clusters.c]\ndirectory = "/c"\n'
    )
    dropin = file.with_suffix(".d")
    dropin.mkdir()
    (dropin / "x.toml").write_text('[clusters.b]\nbridge = ["blocklist"]\n')
    b, c = load(file).clusters
    assert (b.label, b.directory, b.listen, b.bridge) == ("b", "/b", "127.0.0.1:1", ("blocklist",))
    assert (c.label, c.directory, c.bridge) == ("c", "/c", ())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[clusters.b]", "clusters.b.directory: must be given"),
        ('[clusters.b]\ndirectory = "/b"\nlisten = "x y"', "clusters.b.listen: not a host"),
        (
            '[clusters.b]\ndirectory = "/b"\nbridge = ["tags"]',
            "clusters.b.bridge: 'tags' cannot be carried",
        ),
        ('[clusters.b]\ndirectory = "/b"\nbridge_takeover = 0', "clusters.b.bridge_takeover: must be"),
        ('[clusters.b]\ndirectory = "/b"\nbridge_priority = -1', "clusters.b.bridge_priority: must be"),
        ('[clusters.b]\nlabel = "x"', "clusters.b.label: unknown key"),
        ("[clusters]\nb = 1", "clusters.b: must be a table"),
        ("clusters = 1", "clusters"),
    ],
)
def test_mistakes_in_named_tables(file: Path, text: str, problem: str) -> None:
    """With file, table and key."""
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert problem in str(caught.value)
    assert str(file) in str(caught.value)
