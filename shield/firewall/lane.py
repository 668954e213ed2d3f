"""Lane: what still has to go to the kernel, and when it may be tried."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import islice

from shield.firewall.limits import Key
from shield.firewall.settings import FirewallSettings

__all__ = ["Lane"]


class Lane:
    """Keys whose state in the kernel is not what it should be, oldest first.

    Only names are kept: what to do with each is decided when it is committed, so a ban and an
    unban that wait together become one deletion, and a failed commit loses nothing.
    """

    def __init__(self, settings: FirewallSettings, pace: float) -> None:
        self._settings = settings
        self._pace = pace
        self._most = settings.batch_elements
        self.waiting: dict[Key, None] = {}
        self.ready_at = float("-inf")
        """Node time before which no commit is tried."""
        self.retry_wait = 0.0
        """Seconds between the last two tries; 0 when the last one went well."""

    def __len__(self) -> int:
        return len(self.waiting)

    def __iter__(self) -> Iterator[Key]:
        return iter(self.waiting)

    def add(self, networks: Iterable[Key]) -> None:
        """Remember that these must be committed."""
        self.waiting.update(dict.fromkeys(networks))

    def keep(self, networks: Container[Key]) -> None:
        """Forget all that are not among ``networks``."""
        self.waiting = {network: None for network in self.waiting if network in networks}

    def batch(self) -> list[Key]:
        """Name the next to commit; they stay until ``done``."""
        return list(islice(self.waiting, self._most))

    def done(self, networks: Iterable[Key], now: float) -> None:
        """Forget what the kernel has taken; the next commit collects for the lane's pace."""
        for network in networks:
            self.waiting.pop(network, None)
        self.ready_at = now + self._pace if not self.waiting else now
        self.retry_wait = 0.0
        self._most = min(self._settings.batch_elements, self._most * 2)

    def failed(self, networks: Sequence[Key], now: float) -> None:
        """Wait longer after each failure, and try fewer: one batch may be too large for a socket."""
        self.retry_wait = min(
            self._settings.retry_last, max(self._settings.retry_first, self.retry_wait * 2)
        )
        self.ready_at = now + self.retry_wait
        self._most = max(1, min(len(networks), self._most) // 2)
        if len(networks) == 1:
            # Behind the others: one element that the kernel never takes must not stop them.
            self.waiting.pop(networks[0], None)
            self.add(networks)
