"""Reads ``/etc/shield/shield.toml`` and its drop-ins into one frozen ``Settings``.

Each part of shield declares its settings as a frozen dataclass beside the code that uses them;
this file only composes them. It knows no key by name: what may be written, and of which type,
is read from the dataclasses, so a new field is a new key. Every mistake in all files is
reported at once. A drop-in (``/etc/shield/shield.d/*.toml``, in order of name) replaces single
keys of what came before it.
"""

from __future__ import annotations

import re
import socket
import tomllib
import typing
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Literal

from shield.blocklist.allowlist import AllowlistSettings
from shield.blocklist.blocklist_settings import BlocklistSettings
from shield.blocklist.journal import JournalSettings
from shield.blocklist.policy_settings import PolicySettings
from shield.blocklist.sharing_settings import SharingSettings
from shield.capture.settings import CaptureSettings
from shield.cdr.settings import CdrSettings
from shield.cluster.settings import ClusterSettings
from shield.cluster.side_settings import SideSettings
from shield.conference.settings import ConferenceSettings
from shield.config_values import convert, field_types, meant
from shield.control.remote import RemoteSettings
from shield.control.settings import ControlSettings
from shield.detect.settings import DetectSettings, EvidenceSettings
from shield.errors import ConfigError, InputError
from shield.firewall.settings import FirewallSettings
from shield.hooks.settings import HooksSettings
from shield.location.settings import LocationSettings
from shield.redirect.settings import RedirectSettings
from shield.script_settings import ScriptSettings

__all__ = ["DEFAULT_PATH", "Mode", "NodeSettings", "Settings", "files", "load"]

DEFAULT_PATH = "/etc/shield/shield.toml"

FILE_BYTES = 1 << 20
"""Largest configuration file: an allowlist of thousands fits; a log given by mistake does not."""

RESERVED_NAMES = frozenset({"builtin", "cli", "config", "import"})
"""Origins of decisions and allowlist entries that are no node."""

NAMED: Mapping[str, type] = {"clusters": SideSettings}
"""Tables of which there are as many as an operator names: ``[clusters.NAME]``."""

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")


class Mode(StrEnum):
    """Whether decisions reach the firewall."""

    OBSERVE = "observe"
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """This node as a whole."""

    name: str = ""
    """Name of this node in decisions and logs; empty means the name of the host."""
    mode: Mode = Mode.OBSERVE
    """``observe`` detects, decides and shows, but blocks nobody; ``enforce`` lets the firewall drop."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least important messages that are logged."""

    def __post_init__(self) -> None:
        if self.name in RESERVED_NAMES:
            raise ConfigError(f"node.name: {self.name!r} means something else in decisions")
        if self.name and not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"node.name: {self.name!r} must be 1 to 64 letters, digits, '.', '_' or '-'"
            )


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration; a field is a table of the file."""

    node: NodeSettings = field(default_factory=NodeSettings)
    capture: CaptureSettings = field(default_factory=CaptureSettings)
    detect: DetectSettings = field(default_factory=DetectSettings)
    policy: PolicySettings = field(default_factory=PolicySettings)
    blocklist: BlocklistSettings = field(default_factory=BlocklistSettings)
    allowlist: AllowlistSettings = field(default_factory=AllowlistSettings)
    journal: JournalSettings = field(default_factory=JournalSettings)
    cluster: ClusterSettings = field(default_factory=ClusterSettings)
    clusters: tuple[SideSettings, ...] = ()
    sharing: SharingSettings = field(default_factory=SharingSettings)
    evidence: EvidenceSettings = field(default_factory=EvidenceSettings)
    location: LocationSettings = field(default_factory=LocationSettings)
    conference: ConferenceSettings = field(default_factory=ConferenceSettings)
    redirect: RedirectSettings = field(default_factory=RedirectSettings)
    script: ScriptSettings = field(default_factory=ScriptSettings)
    cdr: CdrSettings = field(default_factory=CdrSettings)
    remote: RemoteSettings = field(default_factory=RemoteSettings)
    firewall: FirewallSettings = field(default_factory=FirewallSettings)
    control: ControlSettings = field(default_factory=ControlSettings)
    hooks: HooksSettings = field(default_factory=HooksSettings)

    def kernel(self) -> FirewallSettings:
        """What the firewall works with: limits are about the SIP ports unless others are named.

        Raises ConfigError when there are more ports than a firewall rule takes.
        """
        if self.firewall.limit_ports:
            return self.firewall
        ports = tuple(dict.fromkeys((*self.capture.ports, *self.capture.websocket_ports)))
        return replace(self.firewall, limit_ports=ports)


def files(path: str | Path | None = None) -> list[Path]:
    """Files that load() reads, in its order; raises ConfigError when a ``path`` given is missing."""
    main = Path(path or DEFAULT_PATH)
    dropins = main.with_suffix(".d")
    try:
        found = [main] if main.exists() else []
        if dropins.is_dir():
            found += sorted(file for file in dropins.glob("*.toml") if not file.name.startswith("."))
    except OSError as error:
        raise ConfigError(f"{error.filename or main}: {error.strerror or error}") from None
    if path and main not in found:
        raise ConfigError(f"{main}: no such file")
    return found


def load(path: str | Path | None = None) -> Settings:
    """Read ``path`` (default: DEFAULT_PATH where it exists) and the drop-ins beside it.

    Raises ConfigError with one line for every mistake in any of the files.
    """
    problems: list[str] = []
    values: dict[str, dict[str, Any]] = defaultdict(dict)
    origin: dict[str, Path] = {}
    for file in files(path):
        document = _read(file, problems)
        for name, key, value in _checked(document, f"{file}", problems):
            values[name][key] = value
            origin[f"{name}.{key}"] = file
    built = _build(values, origin, Path(path or DEFAULT_PATH), problems)
    if problems:
        raise ConfigError(*problems)
    settings = Settings(**built)
    settings.kernel()  # raises where there are too many ports
    if settings.node.name:
        return settings
    return replace(settings, node=replace(settings.node, name=_host_name()))


def _read(file: Path, problems: list[str]) -> dict[str, Any]:
    """Give the document of one file; a file that cannot be read is a problem and an empty document."""
    try:
        with file.open("rb") as stream:
            data = stream.read(FILE_BYTES + 1)
        if len(data) > FILE_BYTES:
            problems.append(f"{file}: longer than {FILE_BYTES} bytes")
            return {}
        return tomllib.loads(data.decode())
    except OSError as error:
        problems.append(f"{file}: {error.strerror or error}")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problems.append(f"{file}: not UTF-8 (at line {line})")
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{file}: {error}")
    except RecursionError:
        problems.append(f"{file}: nested too deeply")
    return {}


def _checked(
    document: Mapping[str, Any], where: str, problems: list[str]
) -> Iterator[tuple[str, str, Any]]:
    """Give (table, key, value) of everything in a document that is right so far."""
    sections = section_types()
    for name, table in document.items():
        if name in NAMED and isinstance(table, dict):
            yield from _named(name, table, where, problems)
            continue
        if name not in sections:
            kind = "table" if isinstance(table, dict) else "key"
            problems.append(f"{where}: unknown {kind} {name!r}{meant(name, sections)}")
            continue
        if not isinstance(table, dict):
            problems.append(f"{where}: {name}: must be a table, written [{name}]")
            continue
        inner = {key: value for key, value in table.items() if f"{name}.{key}" in sections}
        yield from _checked({f"{name}.{key}": value for key, value in inner.items()}, where, problems)
        rest = {key: value for key, value in table.items() if key not in inner}
        yield from _keys(name, rest, sections[name], where, problems)


def _named(
    name: str, tables: Mapping[str, Any], where: str, problems: list[str]
) -> Iterator[tuple[str, str, Any]]:
    for label, table in tables.items():
        if isinstance(table, dict) and _NAME.fullmatch(label):
            yield f"{name}.{label}", "label", label
            yield from _keys(f"{name}.{label}", table, NAMED[name], where, problems)
        else:
            problems.append(f"{where}: {name}.{label}: must be a table, written [{name}.NAME]")


def _keys(
    name: str, table: Mapping[str, Any], section: type, where: str, problems: list[str]
) -> Iterator[tuple[str, str, Any]]:
    hints = field_types(section)
    for key, value in table.items():
        if key not in hints:
            problems.append(f"{where}: {name}.{key}: unknown key{meant(key, hints)}")
            continue
        try:
            yield name, key, convert(value, hints[key])
        except InputError as error:
            problems.append(f"{where}: {name}.{key}: {error}")


def _build(
    values: Mapping[str, Mapping[str, Any]], origin: Mapping[str, Path], main: Path, problems: list[str]
) -> dict[str, Any]:
    """Make each section; what its own check complains of gets the file of its key in front."""
    built: dict[str, Any] = {}
    named = {name: name.partition(".")[0] for name in values if name.partition(".")[0] in NAMED}
    tables = section_types() | {name: NAMED[kind] for name, kind in named.items()}
    # Tables within tables first, for the table that holds them.
    for name, kind in sorted(tables.items(), key=lambda item: "." not in item[0]):
        inner = {
            key.rpartition(".")[2]: built.pop(key) for key in [*built] if key.startswith(f"{name}.")
        }
        try:
            built[name] = kind(**values[name], **inner)
        except (ConfigError, InputError) as error:
            for problem in getattr(error, "problems", (str(error),)):
                line = problem if problem.startswith(f"{name}.") else f"{name}: {problem}"
                key = re.match(r"[\w.]+", line)
                problems.append(f"{origin.get(key[0] if key else '', main)}: {line}")
    for many in NAMED:
        built[many] = tuple(built.pop(name) for name in named if named[name] == many and name in built)
    return built


@cache
def section_types() -> dict[str, type]:
    """Tables of the file and their dataclasses, in the order of Settings.

    A field of a table that is a dataclass itself is a table within it: ``cluster.nats``.
    """
    found: dict[str, type] = {}
    for name, kind in typing.get_type_hints(Settings).items():
        if name in NAMED:
            continue
        found[name] = kind
        inner = typing.get_type_hints(kind)
        found |= {f"{name}.{key}": inner[key] for key in inner if is_dataclass(inner[key])}
    return found


def _host_name() -> str:
    """Name of this machine, with what a node name may not hold replaced."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64].strip(".-_")
    return name if name and name not in RESERVED_NAMES else f"node-{name or 'shield'}"
