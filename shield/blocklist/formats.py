"""Formats in which bans leave and enter: JSON, CSV, plain, nft and ipset. Text only, no files.

``dump`` yields lines that the program of that format reads back, and so does ``parse``.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, islice
from math import ceil

from shield.blocklist.decision import BAN, DECISION_KEYS, Decision
from shield.blocklist.networks import PrefixTable
from shield.blocklist.readers import (
    VALUE_NAMES,
    ImportEntry,
    Lines,
    Results,
    read_csv,
    read_json,
    read_plain,
)
from shield.blocklist.readers_kernel import read_ipset, read_nft
from shield.errors import InputError
from shield.net import Network

__all__ = ["LIMIT_FORMATS", "Format", "ImportEntry", "ImportResult", "detect", "dump", "parse"]

MAX_LINE = 4 << 20
"""Characters of one line: an nft file may hold 100,000 elements in one."""

MAX_ENTRIES = 2_000_000
"""Entries of one list, twice what the blocklist holds."""

MAX_PROBLEMS = 1_000
"""Problems that are kept as text; the rest is counted."""

SNIFFED_LINES = 50
"""Lines that are looked at to tell the format."""

MAX_TIMEOUT = 2_147_483
"""Longest timeout of an ipset element in seconds (ipset(8)): it counts milliseconds in 32 bits."""

CHUNK = 500
"""Elements of one nft command: keeps its lines short."""

_NFT = re.compile(
    r"(?:table|set|map|chain|flush)\s+\S.*|(?:add|create|delete|destroy)\s+(?:table|set|element|chain)\s.*"
    r"|elements\s*\+?=.*"
)
_IPSET = re.compile(r"(?:create|-N)\s+\S+\s+\S+:\S+.*|(?:add|-A)\s+\S+\s+[0-9a-fA-F].*")


class Format(StrEnum):
    """Names of the formats as the command line takes them."""

    JSON = "json"
    CSV = "csv"
    PLAIN = "plain"
    NFT = "nft"
    IPSET = "ipset"


LIMIT_FORMATS = frozenset({Format.JSON, Format.CSV})
"""Formats that can say that something is limited and not banned."""


@dataclass(slots=True)
class ImportResult:
    """What was in a list."""

    entries: list[ImportEntry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """``file:line: why`` for each mistake, at most MAX_PROBLEMS."""
    problem_count: int = 0
    """All mistakes, also those beyond MAX_PROBLEMS."""

    def add_problem(self, text: str) -> None:
        """Count a mistake, and keep it while there is room."""
        self.problem_count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(text)


def parse(
    lines: Iterable[str],
    name: str,
    format: Format | str | None = None,  # noqa: A002
    *,
    wall: float | None = None,
) -> ImportResult:
    """Read a list; without ``format`` it is told from the first lines.

    ``name`` is the file's name for the problems. ``wall`` is the time, needed only for what is left of
    fail2ban's bans. Raises InputError for an unknown format, never for what is in the list.
    """
    result = ImportResult()
    numbered = _bounded(lines, name, result)
    head = list(islice(numbered, SNIFFED_LINES))
    chosen = detect([line for _, line in head]) if format is None else _format(format)
    for place, found in _READERS[chosen](chain(head, numbered), wall):
        if isinstance(found, InputError):
            result.add_problem(f"{name}:{place}: {found}")
        elif len(result.entries) >= MAX_ENTRIES:
            result.add_problem(f"{name}:{place}: more than {MAX_ENTRIES} entries, the rest is left out")
            break
        else:
            result.entries.append(found)
    return result


def detect(lines: Iterable[str]) -> Format:
    """Tell the format from the first lines of a list."""
    first = ""
    for line in lines:
        text = line.strip().removeprefix("\ufeff")
        if not text or text[0] in "#;":
            continue
        if text[0] == "{" or re.match(r"\[\s*(?:[\[{\]]|\Z)", text):
            return Format.JSON if not first else Format.PLAIN
        if _NFT.fullmatch(text):
            return Format.NFT
        if _IPSET.fullmatch(text):
            return Format.IPSET
        first = first or text
    before, comma, _ = first.partition(",")
    if comma and ";" not in before and "#" not in before:
        return Format.CSV
    return Format.CSV if first.lower().strip('"') in VALUE_NAMES else Format.PLAIN


def dump(decisions: Iterable[Decision], format: Format | str, now: float) -> Iterator[str]:  # noqa: A002
    """Yield the lines of a list of what is live at ``now``, each with its line end.

    ``json`` and ``csv`` say all about each decision; the others have one entry for each network,
    with the latest end, and leave limits out: who reads them would ban. Raises InputError for an unknown
    format.
    """
    chosen = _format(format)
    live = (decision for decision in decisions if decision.until > now)
    if chosen not in LIMIT_FORMATS:
        live = (decision for decision in live if decision.type == BAN)
    return _WRITERS[chosen](live, now)


def _format(name: Format | str) -> Format:
    try:
        return Format(name)
    except ValueError:
        raise InputError(f"unknown format {name!r} (formats: {', '.join(Format)})") from None


def _bounded(lines: Iterable[str], name: str, result: ImportResult) -> Lines:
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_LINE:
            result.add_problem(f"{name}:{number}: a line of more than {MAX_LINE} characters, left out")
        else:
            yield number, line


def _json(decisions: Iterable[Decision], now: float) -> Iterator[str]:
    before = "[\n"
    for decision in decisions:
        yield before + json.dumps(decision.as_json(now))
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _csv(decisions: Iterable[Decision], now: float) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(DECISION_KEYS)
    yield buffer.getvalue()
    for decision in decisions:
        buffer.seek(0)
        buffer.truncate()
        shown = decision.as_json(now)
        # One entry is one line, so that a broken one can be skipped by itself.
        writer.writerow(" ".join(str(shown[name]).split()) for name in DECISION_KEYS)
        yield buffer.getvalue()


def _plain(decisions: Iterable[Decision], _now: float) -> Iterator[str]:
    for value in dict.fromkeys(decision.value for decision in decisions):
        yield f"{value}\n"


def _latest(decisions: Iterable[Decision], now: float) -> dict[tuple[int, bool], dict[Network, int]]:
    """Seconds left of each network, rounded up, by version and whether it is a host."""
    kinds: dict[tuple[int, bool], dict[Network, int]] = {}
    for decision in decisions:
        network = decision.network
        group = kinds.setdefault((network.version, network.is_host), {})
        group[network] = max(group.get(network, 1), min(ceil(decision.remaining(now)), MAX_TIMEOUT))
    return kinds


def _nft(decisions: Iterable[Decision], now: float) -> Iterator[str]:
    yield "# Load with: nft -f FILE. Then refer to the sets in a rule of the table inet blocklist.\n"
    yield "add table inet blocklist\n"
    for (version, host), group in sorted(_latest(decisions, now).items()):
        name = f"{'hosts' if host else 'networks'}{version}"
        flags = "timeout" if host else "interval, timeout"
        yield f"add set inet blocklist {name} {{ type ipv{version}_addr; flags {flags}; }}\n"
        chosen = group
        if not host:
            chosen, nested = _disjoint(group)
            for inner, outer in nested:
                yield f"# {inner} is inside {outer}: intervals of a set must not overlap\n"
        elements = iter(f"{network} timeout {left}s" for network, left in chosen.items())
        while chunk := list(islice(elements, CHUNK)):
            yield f"add element inet blocklist {name} {{ {', '.join(chunk)} }}\n"


def _disjoint(group: dict[Network, int]) -> tuple[dict[Network, int], list[tuple[Network, Network]]]:
    """Split into networks that overlap no other, and pairs of a network and the one that holds it."""
    table: PrefixTable[None] = PrefixTable()
    chosen: dict[Network, int] = {}
    nested = []
    for network, left in sorted(group.items(), key=lambda item: item[0].length):
        outer = next((found for found, _ in table.covering(network)), None)
        if outer is None:
            table.insert(network, None)
            chosen[network] = left
        else:
            nested.append((network, outer))
    return chosen, nested


def _ipset(decisions: Iterable[Decision], now: float) -> Iterator[str]:
    for (version, host), group in sorted(_latest(decisions, now).items()):
        name = f"blocklist-{'hosts' if host else 'networks'}{version}"
        kind = "hash:ip" if host else "hash:net"
        family = "inet" if version == 4 else "inet6"
        size = max(65536, len(group))
        yield f"create {name} {kind} family {family} maxelem {size} timeout 0 -exist\n"
        for network, left in group.items():
            yield f"add {name} {network} timeout {left} -exist\n"


_READERS: dict[Format, Callable[[Lines, float | None], Results]] = {
    Format.JSON: read_json,
    Format.CSV: read_csv,
    Format.PLAIN: read_plain,
    Format.NFT: read_nft,
    Format.IPSET: read_ipset,
}
_WRITERS: dict[Format, Callable[[Iterable[Decision], float], Iterator[str]]] = {
    Format.JSON: _json,
    Format.CSV: _csv,
    Format.PLAIN: _plain,
    Format.NFT: _nft,
    Format.IPSET: _ipset,
}
