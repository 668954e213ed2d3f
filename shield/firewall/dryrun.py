"""Dry-run backend: says what it would do, and remembers it as a kernel would."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Sequence

from shield.firewall.backend import Element
from shield.firewall.cover import outermost
from shield.firewall.limits import Key
from shield.firewall.settings import FirewallSettings
from shield.net import Network

__all__ = ["DryRunBackend"]

LINES_MOST = 1000
"""Lines kept for ``lines``; older ones are only in the log."""

log = logging.getLogger(__name__)


class DryRunBackend:
    """Changes nothing. ``lines`` holds what it would have done, the newest last.

    It has no clock: remaining seconds stay as they were given, and nothing ends by itself.
    """

    name = "dryrun"

    def __init__(self, settings: FirewallSettings) -> None:
        self.settings = settings
        self.lines: deque[str] = deque(maxlen=LINES_MOST)
        self._active: dict[Key, float] = {}
        self._allowed: list[Network] = []

    def open(self) -> None:
        """See Backend."""
        self._say("open")

    def undisturbed(self) -> bool:
        """Nobody else can reach what is only in memory."""
        return True

    def healthy(self) -> bool:
        """See Backend."""
        return True

    def active(self) -> dict[Key, float]:
        """See Backend."""
        return dict(self._active)

    def missing(self, keys: Sequence[Key]) -> list[Key]:
        """See Backend."""
        return [key for key in keys if key not in self._active]

    def commit(self, add: Sequence[Element], delete: Sequence[Key]) -> None:
        """See Backend."""
        for key in delete:
            if self._active.pop(key, None) is not None:
                self._say(f"delete {key}")
        for key, timeout in add:
            self._active[key] = timeout
            self._say(_line(key, timeout))

    def allow(self, networks: Sequence[Network]) -> None:
        """See Backend."""
        self._allowed = outermost(networks)
        self._say("allow " + (", ".join(str(network) for network in self._allowed) or "nothing"))

    def dropped(self) -> int:
        """Nothing is dropped."""
        return 0

    def render(self, elements: Sequence[Element], allowed: Sequence[Network] = ()) -> str:
        """See Backend."""
        lines = [f"allow {network}" for network in outermost(allowed)]
        lines += [_line(key, timeout) for key, timeout in elements]
        return "".join(line + "\n" for line in lines)

    def close(self, *, remove: bool = False) -> None:
        """See Backend."""
        self._say("remove" if remove else "close")
        if remove:
            self._active.clear()

    def _say(self, line: str) -> None:
        self.lines.append(line)
        log.info("would %s", line)


def _line(key: Key, timeout: float) -> str:
    return f"add {key}" + ("" if timeout == math.inf else f" for {timeout:.0f} s")
