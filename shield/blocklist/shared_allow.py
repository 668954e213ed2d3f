"""SharedAllow: allowlist entries that operators made, to and from the other nodes.

Entries of the configuration never travel. An entry without an end is renewed while some node has it.
"""

from __future__ import annotations

from shield.blocklist.allowlist import AllowEntry, Allowlist
from shield.blocklist.aside import Aside, Why
from shield.blocklist.shared_record import allow_key, allow_value, allowed_text, read_allow, source_of
from shield.blocklist.sharing_settings import SharingSettings
from shield.cluster.entry import Entry
from shield.cluster.replicated import ReplicatedMap
from shield.errors import InputError, RemoteError

__all__ = ["SharedAllow"]

RENEW_OWN = 20 * 86400.0
"""Seconds that must be left of the 30 days that a record lives; with less its origin renews it."""
RENEW_OTHERS = 10 * 86400.0
"""The same for entries of others: their origin is gone for ten days."""

FIXED = frozenset({"builtin", "config"})


class SharedAllow:
    """Keeps ``allowlist`` as the map says. ``added`` and ``removed`` collect what the host must know."""

    def __init__(
        self, settings: SharingSettings, records: ReplicatedMap, allowlist: Allowlist, aside: Aside
    ) -> None:
        self._settings = settings
        self._records = records
        self._allowlist = allowlist
        self._aside = aside
        self.added: list[AllowEntry] = []
        self.removed: list[str] = []

    # --- from others ------------------------------------------------------------------------

    def take(self, key: bytes, entry: Entry, now: float) -> None:
        """Follow a merged record."""
        try:
            text = allowed_text(key)
            known = self._allowlist.get(text)
            if entry.value is None:
                self._aside.pop(key)
                if known is not None and known.origin not in FIXED:
                    self._allowlist.remove(text)
                    self.removed.append(known.value)
                return
            why = self._refuses(text, entry, known)
            if why is None:
                self._add(text, entry, now)
        except (RemoteError, InputError):
            why = Why.UNREADABLE
        if why is None:
            self._aside.pop(key)
        else:
            self._aside.put(key, entry.origin, why)

    def _refuses(self, text: str, entry: Entry, known: AllowEntry | None) -> Why | None:
        settings, origin = self._settings, source_of(allow_key(text), entry)
        if origin == self._records.node:
            return None
        if not settings.share_allow:
            return Why.SWITCHED_OFF
        for network in Allowlist.networks_of(text):
            shortest = settings.min_prefix_v4 if network.version == 4 else settings.min_prefix_v6
            if network.length < shortest:
                return Why.PREFIX
        if (known is None or known.origin != origin) and (
            self._allowlist.count(origin) >= settings.max_allow
        ):
            return Why.HELD
        if known is None and len(self._allowlist) >= self._allowlist.settings.max_entries:
            return Why.FULL
        return None

    def _add(self, text: str, entry: Entry, now: float) -> None:
        said = read_allow(entry.value or b"")
        source = source_of(allow_key(text), entry)
        origin = "cli" if source == self._records.node else source
        left = None if said.endless else entry.until - now
        made = self._allowlist.add(
            text, now, reason=said.reason, origin=origin, duration=left, wall=said.time
        )
        if made.origin not in FIXED:
            self.added.append(made)

    def restored(self, key: bytes, entry: Entry, now: float) -> None:
        """Follow a record of the journal, unless the allowlist is already as it says."""
        try:
            present = self._allowlist.get(allowed_text(key)) is not None
        except (RemoteError, InputError):
            present = False
        if (entry.value is None) is present:
            self.take(key, entry, now)

    def again(self, key: bytes, now: float) -> None:
        """Apply a record that was held, whatever the budget says."""
        entry = self._records.live(key, now)
        self._aside.pop(key)
        if entry is not None:
            try:
                self._add(allowed_text(key), entry, now)
            except (RemoteError, InputError):
                self._aside.put(key, entry.origin, Why.UNREADABLE)

    # --- to others --------------------------------------------------------------------------

    def put(self, entry: AllowEntry, now: float, wall: float) -> bytes | None:
        """Write an entry of this node into the map; returns its key, None if it does not travel."""
        if entry.origin in FIXED:
            return None
        longest = self._records.limits.max_lifetime
        lifetime = longest if entry.until is None else entry.until - now
        value = allow_value(entry.reason, entry.time, endless=entry.until is None)
        key = allow_key(entry.value)
        if lifetime <= 0 or self._records.put(key, value, lifetime, now, wall) is None:
            return None
        return key

    def remove(self, value: str, now: float, wall: float) -> bytes | None:
        """Write into the map that an entry is no more; returns its key, None if there was none."""
        key = allow_key(value)
        return None if self._records.remove(key, now, wall) is None else key

    def renew(self, now: float, wall: float) -> list[bytes]:
        """Write again what has no end and would end in the map; call it about hourly."""
        renewed = []
        for entry in self._allowlist.entries(now):
            mine = entry.origin == "cli"
            said = self._records.get(allow_key(entry.value))
            if entry.origin in FIXED or (entry.until is not None and not (mine and said is None)):
                continue
            left = 0.0 if said is None else said.until - now
            if said is not None and said.value is None and left > 0:
                continue  # removed elsewhere a moment ago
            if left < (RENEW_OWN if mine else RENEW_OTHERS):
                key = self.put(entry, now, wall)
                renewed += [key] if key is not None else []
        return renewed
