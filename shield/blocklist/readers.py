"""Readers of blocklists that shield or other programs wrote, one generator for each format.

A reader takes numbered lines and yields ``(place, entry)`` or ``(place, InputError)``; a mistake in one
entry never ends the reading. Nothing here opens a file or asks a clock.
"""

from __future__ import annotations

import csv
import ipaddress
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, islice
from math import isfinite
from typing import Any

from shield.blocklist.decision import BAN, LIMIT, read_ports
from shield.durations import MAX_DURATION, parse_duration
from shield.errors import InputError
from shield.net import Network

__all__ = [
    "VALUE_NAMES",
    "ImportEntry",
    "Lines",
    "Results",
    "entries",
    "read_csv",
    "read_json",
    "read_plain",
]

MAX_DOCUMENT = 64 << 20
"""Characters of a JSON document that is not one entry per line and so must be held whole."""

MAX_RANGE = 256
"""Networks that one range like 192.0.2.3-192.0.2.250 may turn into; an IPv6 range needs at most 254."""

MAX_DEPTH = 4
"""Lists inside lists in JSON: alerts with decisions need two."""

MAX_REASON = 200
"""Characters of a reason that are kept: it is one line of a table."""

Lines = Iterator[tuple[int, str]]
Results = Iterator[tuple[int | str, "ImportEntry | InputError"]]

VALUE_NAMES = ("value", "ip", "address", "network", "cidr", "range")
_DURATION_NAMES = ("remaining", "expiration", "timeout", "ttl", "duration", "bantime")
_REASON_NAMES = ("reason", "comment", "description")
_SCOPED = re.compile(r"(ip|range):(?=.)", re.IGNORECASE)
_FAIL2BAN = re.compile(r"(\S+)\s+(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) \+ (-?\d{1,12}) = (\S+ \S+)\s*")
_NEVER = "9999-12-31"


@dataclass(frozen=True, slots=True)
class ImportEntry:
    """One address or network that a list asks to ban."""

    network: Network
    duration: float | None = None
    """Seconds from now; None when the list says nothing or for ever."""
    reason: str = ""
    scenario: str = ""
    """Behaviour that led to it, empty when the list does not say."""
    type: str = BAN
    ports: str = ""
    """Of a limit, as ``Decision.as_json`` writes them."""


def entries(
    value: str, duration: float | None, reason: str = "", scenario: str = ""
) -> Iterator[ImportEntry]:
    """Make the entries of one value; raises InputError when it is no address, network or range."""
    if duration is not None and duration <= 0:
        raise InputError(f"{value[:80]} has ended")
    if len(value) > 100:
        raise InputError(f"not an address or network: {value[:80]!r}...")
    text = _SCOPED.sub("", value.strip(), count=1)
    low, dash, high = text.partition("-")
    networks = _range(low, high) if dash else [Network.parse(text)]
    clean = " ".join(reason.split())[:MAX_REASON]
    for network in networks:
        yield ImportEntry(network, duration, clean, scenario.strip()[:MAX_REASON])


def _range(low: str, high: str) -> list[Network]:
    try:
        parts = ipaddress.summarize_address_range(
            ipaddress.ip_address(low.strip()),
            ipaddress.ip_address(high.strip()),
        )
        return [Network.parse(str(part)) for part in parts][:MAX_RANGE]
    except (ValueError, TypeError) as error:
        raise InputError(f"not a range of addresses: {low}-{high} ({error})") from None


def read_plain(lines: Lines, wall: float | None) -> Results:
    """One value per line, then perhaps a duration; the comment at the end of a line is the reason.

    Reads also what ``fail2ban-client get JAIL banip --with-time`` prints. Its times are local ones;
    the time that is left needs ``wall``, else the whole ban time is taken.
    """
    for number, line in lines:
        text, reason = _comment(line)
        if not text:
            continue
        try:
            match = _FAIL2BAN.fullmatch(text)
            if match is not None:
                value, duration = match[1], _fail2ban(match, wall)
            else:
                value, _, rest = text.partition(" ")
                duration = parse_duration(rest) if rest.strip() else None
            for entry in entries(value, duration, reason):
                yield number, entry
        except InputError as error:
            yield number, error


def _comment(line: str) -> tuple[str, str]:
    at = min((i for i in (line.find("#"), line.find(";")) if i >= 0), default=len(line))
    return line[:at].replace("\t", " ").strip(), line[at:].strip(" #;\r\n")


def _fail2ban(match: re.Match[str], wall: float | None) -> float | None:
    seconds = float(match[3])
    if seconds < 0 or match[4].startswith(_NEVER):
        return None
    if wall is None:
        return min(seconds, MAX_DURATION)
    try:
        return time.mktime(time.strptime(match[4], "%Y-%m-%d %H:%M:%S")) - wall
    except (ValueError, OverflowError) as error:
        raise InputError(f"not a time: {match[4][:40]!r} ({error})") from None


def read_csv(lines: Lines, _wall: float | None) -> Results:
    """Columns by the names of a heading: shield's, CrowdSec's and usual others.

    Without a heading they are value, duration, reason.
    """
    heading: list[str] | None = None
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            # Line by line: a quote that is never closed must cost one entry and not all that follow.
            row = next(csv.reader([line], strict=True))
        except csv.Error as error:
            yield number, InputError(f"not CSV: {error}")
            continue
        if heading is None:
            heading = [name.strip().lower().removeprefix("\ufeff") for name in row]
            if any(name in VALUE_NAMES for name in heading):
                continue
            heading = ["value", "duration", "reason"]
        for result in _record(dict(zip(heading, row, strict=False))):
            yield number, result


def _record(record: Mapping[str, Any]) -> Iterator[ImportEntry | InputError]:
    """Entries of one CSV row or JSON object."""
    try:
        value = next((str(record[name]) for name in VALUE_NAMES if record.get(name)), "")
        if not value:
            raise InputError("no address or network in it")
        kind = str(record.get("type") or record.get("action") or "ban").lower()
        if kind not in {"ban", "drop", "block", LIMIT}:
            raise InputError(f"{value[:80]}: type {kind[:40]!r} is neither a ban nor a limit")
        scope = str(record.get("scope") or "ip").lower()
        if scope not in {"ip", "range", "network", "address"}:
            raise InputError(f"{value[:80]}: scope {scope[:40]!r} is no address or network")
        stated = next((record[n] for n in _DURATION_NAMES if record.get(n) not in (None, "")), None)
        reason = next((str(record[n]) for n in _REASON_NAMES if record.get(n)), "")
        made = entries(value, _seconds(stated), reason, str(record.get("scenario") or ""))
        if kind != LIMIT:
            yield from made
            return
        ports = " ".join(map(str, read_ports(str(record.get("ports") or ""))))
        for entry in made:
            yield replace(entry, type=LIMIT, ports=ports)
    except InputError as error:
        yield error


def _seconds(stated: object) -> float | None:
    if stated is None:
        return None
    if isinstance(stated, int | float) and not isinstance(stated, bool):
        if not isfinite(stated) or stated > MAX_DURATION:
            raise InputError(f"duration too long: {stated}")
        return float(stated)
    text = str(stated).strip()
    # Other programs show what has ended as a negative time.
    return -parse_duration(text[1:]) if text.startswith("-") else parse_duration(text)


def read_json(lines: Lines, _wall: float | None) -> Results:
    """One object per line (with or without an array around them), else one document.

    A document is a list of entries, or of alerts with ``decisions`` as CrowdSec prints it, or an object
    with such a list.
    """
    lines = ((number, line) for number, line in lines if line.strip())
    head = list(islice(lines, 1))
    if head and head[0][1].strip() == "[":
        head += islice(lines, 1)
    probe = head[-1][1].strip().rstrip(",") if head else ""
    everything = chain(head, lines)
    if probe.startswith("{") and probe.endswith("}"):
        return _json_lines(everything)
    return _json_document(everything)


def _json_lines(lines: Lines) -> Results:
    for number, line in lines:
        text = line.strip().rstrip(",")
        if text not in {"[", "]", ""}:
            for _, result in _flatten(_json(text), number, 0):
                yield number, result


def _json_document(lines: Lines) -> Results:
    held: list[str] = []
    size = 0
    for number, line in lines:
        size += len(line)
        if size > MAX_DOCUMENT:
            yield number, InputError(f"a JSON document of more than {MAX_DOCUMENT} characters")
            return
        held.append(line.rstrip("\r\n"))
    yield from _flatten(_json("\n".join(held)), 1, 0)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        return InputError(f"not JSON: {error.msg}, line {error.lineno} column {error.colno}")
    except (ValueError, RecursionError):
        return InputError("not JSON: nested too deep, or a number too long")


def _flatten(document: Any, place: int | str, depth: int) -> Results:
    if isinstance(document, InputError):
        yield place, document
    elif isinstance(document, list) and depth < MAX_DEPTH:
        for index, item in enumerate(document, 1):
            yield from _flatten(item, f"entry {index}" if depth == 0 else place, depth + 1)
    elif isinstance(document, dict) and isinstance(document.get("decisions"), list):
        yield from _flatten(document["decisions"], place, depth + (depth > 0))
    elif isinstance(document, dict):
        for result in _record(document):
            yield place, result
    elif document is not None:
        yield place, InputError(f"not an entry: {str(document)[:80]!r}")
