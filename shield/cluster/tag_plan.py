"""What a node wants with sharing tags: ``tags`` of the configuration, and the names of tags."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from shield.errors import InputError

__all__ = ["TagPlan", "check_tag", "is_tag", "read_plans"]

_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,79}")
_LONGEST = 63
"""Characters of a tag that an operator makes; the others are for tags of shield itself."""


class TagPlan(NamedTuple):
    """What this node wants with a tag."""

    active: bool = False
    """Be active when nobody has ever claimed it."""
    takeover: float = 0.0
    """Seconds without an active node after which this one may take over; 0: never."""
    priority: int = 100
    """Of the nodes that may take over, the lowest does, then by name."""


def is_tag(text: str) -> bool:
    """Whether ``text`` may be the name of a tag."""
    return _TAG.fullmatch(text) is not None


def check_tag(text: str) -> str:
    """Give back the name of a tag that an operator wrote; raises InputError.

    A colon is for tags that shield makes for itself.
    """
    if not is_tag(text) or len(text) > _LONGEST or ":" in text:
        raise InputError(
            f"tag {text[:80]!r}: must be 1 to 63 of a-z, A-Z, 0-9, '.', '_' and '-', "
            "a letter or digit first"
        )
    return text


def read_plans(texts: Iterable[str], takeover: float, priority: int) -> dict[str, TagPlan]:
    """Read ``NAME`` and ``NAME=active`` of the configuration; raises InputError."""
    plans: dict[str, TagPlan] = {}
    for text in texts:
        name, equals, state = text.partition("=")
        if equals and state not in ("active", "backup"):
            raise InputError(f"{text[:80]!r}: must be NAME, NAME=active or NAME=backup")
        if check_tag(name) in plans:
            raise InputError(f"tag {name!r} is there twice")
        plans[name] = TagPlan(state == "active", takeover, priority)
    return plans
