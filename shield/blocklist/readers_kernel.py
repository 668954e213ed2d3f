"""Readers of what ``nft list ...`` and ``ipset save`` print, and of files made for their programs."""

from __future__ import annotations

import re
from collections import deque
from itertools import pairwise

from shield.blocklist.readers import Lines, Results, entries
from shield.durations import parse_duration
from shield.errors import InputError

__all__ = ["read_ipset", "read_nft"]

_ALLOWED = re.compile(r"allow|white|trust|permit|pass|ignore", re.IGNORECASE)
"""Names of sets that hold what must not be banned: a whole ruleset has them beside the others."""

_ADDRESS_TYPES = frozenset({"ipv4_addr", "ipv6_addr"})
_TOKEN = re.compile(r'"([^"]*)"?|([{},;])|([^\s{},;"]+)')

_IPSET = re.compile(r"(?:add|-A)\s+(\S+)\s+(\S+)\s*(.*)")
_IPSET_CREATE = re.compile(r"(?:create|-N)\s+(\S+)\s+(\S+)")
_OPTION = re.compile(r'"([^"]*)"|(\S+)')


def read_nft(lines: Lines, _wall: float | None) -> Results:
    """Elements of every ``elements = { ... }`` and ``add element ... { ... }``; all else is passed over.

    What is left (``expires``) counts before ``timeout``. Sets of ports and the like and sets whose name
    says that they allow are named as problems and skipped.
    """
    reader = _NftReader()
    for number, line in lines:
        for match in _TOKEN.finditer(line):
            quoted, sign, word = match[1], match[2], match[3]
            if word is not None and word.startswith("#"):
                break
            if reader.inside:
                yield from reader.element(number, quoted, sign, word)
            elif sign is None:
                reader.outside(word or "")
            elif sign == "{":
                yield from reader.opening(number)
            else:
                reader.words.clear()
    if reader.inside:
        yield reader.started, InputError("elements = { is never closed")


class _NftReader:
    """Where in a ruleset the reading is: outside, or inside the elements of a set."""

    def __init__(self) -> None:
        self.inside = False
        self.started = 0
        self.words: deque[str] = deque(maxlen=6)
        """Last words of the statement."""
        self._set = ""
        self._type = ""
        self._skipped = False
        self._element: list[tuple[str, str]] = []

    def outside(self, word: str) -> None:
        """Follow a word of a statement."""
        if self.words and self.words[-1] == "type":
            self._type = word
        self.words.append(word)

    def opening(self, number: int) -> Results:
        """Follow a brace: of elements, or of a table, set or chain."""
        words = self.words
        command = "element" in words
        self.inside = command or "".join(words).endswith(("elements=", "elements+="))
        if command or not self.inside:
            self._set, self._type = (words[-1] if words else ""), ""
        if self.inside:
            self.started, self._element = number, []
            problem = _unwanted(self._set, self._type)
            self._skipped = bool(problem)
            if problem:
                yield number, InputError(problem)
        words.clear()

    def element(self, number: int, quoted: str | None, sign: str | None, word: str | None) -> Results:
        """Follow a token between the braces."""
        if sign is None:
            if not self._element:
                self.started = number
            self._element.append((word or "", quoted or ""))
        elif sign in {",", "}"}:
            if self._element and not self._skipped:
                yield from _element(self._element, self.started)
            self._element = []
            self.inside = sign == ","


def _unwanted(name: str, kind: str) -> str:
    if kind and kind not in _ADDRESS_TYPES:
        return f"set {name[:60]}: type {kind[:40]} is no list of addresses, skipped"
    if _ALLOWED.search(name):
        return f"set {name[:60]}: its name says that it allows, skipped"
    return ""


def _element(tokens: list[tuple[str, str]], number: int) -> Results:
    words = [word for word, _ in tokens]
    try:
        if "." in words:
            raise InputError(f"{' '.join(words)[:80]!r} is more than an address")
        stated = {a: b for a, b in pairwise(words) if a in {"timeout", "expires"}}
        left = stated.get("expires") or stated.get("timeout")
        comment = next((q for (w, _), (_, q) in pairwise(tokens) if w == "comment"), "")
        for entry in entries(words[0], parse_duration(left) if left else None, comment):
            yield number, entry
    except InputError as error:
        yield number, error


def read_ipset(lines: Lines, _wall: float | None) -> Results:
    """Lines ``add SET VALUE [timeout N] [comment "..."]``; ``create`` lines tell which sets to skip."""
    unwanted: set[str] = set()
    for number, line in lines:
        text = line.strip()
        created = _IPSET_CREATE.match(text)
        if created is not None:
            name, kind = created.groups()
            if kind not in {"hash:ip", "hash:net", "bitmap:ip"}:
                unwanted.add(name)
                yield (
                    number,
                    InputError(f"set {name[:60]}: {kind[:40]} is no list of addresses, skipped"),
                )
            elif _ALLOWED.search(name):
                unwanted.add(name)
                yield number, InputError(f"set {name[:60]}: its name says that it allows, skipped")
            continue
        match = _IPSET.fullmatch(text)
        if match is None:
            if (
                text
                and not text.startswith("#")
                and text.split()[0] not in {"flush", "COMMIT", "destroy"}
            ):
                yield number, InputError(f"not a line of ipset save: {text[:80]!r}")
        elif match[1] not in unwanted:
            yield from _added(match[2], match[3], number)


def _added(value: str, rest: str, number: int) -> Results:
    options = [(match[2] or "", match[1] or "") for match in _OPTION.finditer(rest)]
    words = [word for word, _ in options]
    try:
        if "nomatch" in words:
            raise InputError(f"{value[:80]}: an exception (nomatch) cannot be imported")
        pairs = list(pairwise(options))
        seconds = next((b for (a, _), (b, _) in pairs if a == "timeout"), "0")
        comment = next((q for (a, _), (_, q) in pairs if a == "comment"), "")
        duration = parse_duration(seconds)
        for entry in entries(value, duration or None, comment):  # 0 means for ever
            yield number, entry
    except InputError as error:
        yield number, error
