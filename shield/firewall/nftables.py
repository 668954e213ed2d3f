"""nftables backend: one table of its own, hash sets for hosts, interval sets for networks.

``nft`` makes table, sets, chain and rules once (idempotent, one transaction, elements stay);
elements go by netlink: some 20 us for one ban where starting ``nft`` takes 4 ms. The chain sits in
prerouting and not in netdev ingress: the cost of a drop could not be told apart when measured, and
prerouting needs no interface names, so an interface that appears later is covered too. Packets that
a bridge forwards do not pass it. The table has no owner: it stays when shield stops or is killed.
"""

from __future__ import annotations

import contextlib
import errno
import math
from collections.abc import Iterable, Iterator, Sequence

from shield.errors import SystemFailure
from shield.firewall import nft_messages as nft
from shield.firewall.backend import Element
from shield.firewall.cover import outermost
from shield.firewall.limits import Key, Limit
from shield.firewall.nft_messages import Message, RawElement
from shield.firewall.nft_netlink import NftError, NftSocket
from shield.firewall.nft_plan import (
    Ability,
    Plan,
    limit_key,
    limit_set,
    read_limits,
    read_networks,
    set_name,
)
from shield.firewall.nft_ruleset import CHAIN, COUNTERS, PROBE, TYPES, render, setup
from shield.firewall.run import run
from shield.firewall.settings import FirewallSettings
from shield.net import Network

__all__ = ["NftablesBackend"]

LIMITS = ("limit4", "limit6", "ports4", "ports6")
"""Sets of limited addresses, and of ports whose packets are dropped."""

TRANSACTION_MOST = 20_000
"""Elements in one transaction; about 30 ms in which other programs wait for the ruleset."""


class NftablesBackend:
    """Drops banned sources with nf_tables. Needs CAP_NET_ADMIN and the ``nft`` program."""

    name = "nftables"

    def __init__(self, settings: FirewallSettings) -> None:
        self.settings = settings
        self._table = settings.table
        self._writer: NftSocket | None = None
        self._reader: NftSocket | None = None
        self._plan = Plan(settings.table, Ability(renews=False, destroys=False))
        self._shape: object = None
        self._allowed: list[Network] | None = None
        self._ranges: dict[Network, tuple[bytes, bytes]] = {}
        self._commits = 0
        self._seen: int | None = None

    def open(self) -> None:
        """Make what is missing; see Backend."""
        self._writer = self._writer or NftSocket()
        self._reader = self._reader or NftSocket()
        # A table switched off (dormant) must be woken in a transaction of its own.
        self._nft(f"add table inet {self._table}\n")
        try:
            self._nft(setup(self.settings))
        except SystemFailure:
            if not self._foreign_sets():
                raise
            # A set of ours has another type: only a new table helps. The Feed loads it again.
            self._nft(f"delete table inet {self._table}\n" + setup(self.settings))
        self._plan = Plan(self._table, self._probe())
        self._seen = None
        if self._allowed is not None:  # None: not told yet, so what an earlier run left stays
            self.allow(self._allowed)
        self._shape = self._read_shape()

    def undisturbed(self) -> bool:
        """Tell whether the ruleset's generation is what our own commits made it; 10 us."""
        before, self._seen = self._seen, self._generation() - self._commits
        return before == self._seen

    def healthy(self) -> bool:
        """Compare table, chain, rules, sets and allowed networks with what open() left."""
        try:
            if self._read_shape() != self._shape:
                return False
            if self._allowed is None:
                return True
            passing = [read_networks(self._elements(name))[0] for name in ("allow4", "allow6")]
            return passing[0].keys() | passing[1].keys() == set(self._allowed)
        except NftError as error:
            if error.code == errno.ENOENT:
                return False
            raise

    def active(self) -> dict[Key, float]:
        """Read all sets by netlink, in a third of the time of ``nft -j list``."""
        found: dict[Key, float] = {}
        try:
            for name in ("hosts4", "hosts6"):
                found |= {Network(key, len(key) * 8): left for key, _, left in self._elements(name)}
            ranges: dict[Network, tuple[bytes, bytes]] = {}
            for name in ("nets4", "nets6"):
                networks, odd = read_networks(self._elements(name))
                found.update(networks.items())
                ranges |= odd
            self._ranges = ranges
            for name in LIMITS:
                found.update(read_limits(self._elements(name)).items())
        except NftError as error:
            if error.code != errno.ENOENT:
                raise
            found = {}
        return found

    def missing(self, keys: Sequence[Key]) -> list[Key]:
        """Ask for each; 4 us a network."""
        table = nft.text(nft.LIST_TABLE, self._table)

        def question(key: Key) -> bytes:
            if isinstance(key, Limit):
                name, packed = limit_set(key), limit_key(key)
            else:
                name, packed = (
                    set_name("hosts" if key.is_host else "nets", len(key.address)),
                    key.address,
                )
            element = nft.attribute(nft.LIST_ELEMENTS | nft.NESTED, nft.element(packed))
            return table + nft.text(nft.LIST_SET, name) + element

        answers = self._read().refused(nft.GET_ELEMENT, map(question, keys))
        return [keys[i] for i, _ in answers]

    def commit(self, add: Sequence[Element], delete: Sequence[Key]) -> None:
        """One transaction up to TRANSACTION_MOST elements; beyond that, deletions go first."""
        plan = self._plan
        bans = [(key, timeout) for key, timeout in add if isinstance(key, Network)]
        unbans = [key for key in delete if isinstance(key, Network)]
        others = self._network_messages(bans, unbans)
        others += plan.delete_limits([key for key in delete if isinstance(key, Limit)])
        others += plan.add_limits({key: timeout for key, timeout in add if isinstance(key, Limit)})
        host_adds = [item for item in bans if item[0].is_host]
        host_deletes = [network for network in unbans if network.is_host]
        if len(host_adds) + len(host_deletes) <= TRANSACTION_MOST:
            self._commit([*others, *plan.delete_hosts(host_deletes), *plan.add_hosts(host_adds)])
            return
        self._commit(others)
        for start in range(0, len(host_deletes), TRANSACTION_MOST):
            self._commit(plan.delete_hosts(host_deletes[start : start + TRANSACTION_MOST]))
        for start in range(0, len(host_adds), TRANSACTION_MOST):
            self._commit(plan.add_hosts(host_adds[start : start + TRANSACTION_MOST]))

    def allow(self, networks: Sequence[Network]) -> None:
        """Replace the allowed networks in one transaction."""
        wanted = outermost(networks)
        self._commit(self._plan.allow(wanted))
        self._allowed = wanted

    def dropped(self) -> int:
        """Packets dropped by our rules, from the table's named counters."""
        total = 0
        with self._one_shot() as reader:
            for name in COUNTERS:
                question = nft.text(1, self._table) + nft.text(2, name) + nft.attribute(3, b"\0\0\0\1")
                for payload in reader.ask(nft.GET_OBJECT, question, f"counter {name}"):
                    counter = dict(nft.attributes(dict(nft.attributes(payload)).get(4, b"")))
                    total += int.from_bytes(counter.get(2, b""), "big")
        return total

    def render(self, elements: Sequence[Element], allowed: Sequence[Network] = ()) -> str:
        """Text for ``nft -f``."""
        return render(self.settings, elements, allowed)

    def close(self, *, remove: bool = False) -> None:
        """See Backend."""
        if remove:
            self._nft(f"add table inet {self._table}\ndelete table inet {self._table}\n")
        for opened in (self._writer, self._reader):
            if opened:
                opened.close()
        self._writer = self._reader = None

    def _network_messages(
        self, add: Sequence[tuple[Network, float]], delete: Sequence[Network]
    ) -> list[Message]:
        adds = [item for item in add if not item[0].is_host]
        deletes = [network for network in delete if not network.is_host]
        if not adds and not deletes:
            return []
        present: dict[Network, float] = {}
        if not self._plan.ability.destroys:
            with self._one_shot() as reader:
                for name in ("nets4", "nets6"):
                    present |= read_networks(self._elements(name, reader))[0]
        return self._plan.networks(adds, deletes, self._ranges, present)

    @contextlib.contextmanager
    def _one_shot(self) -> Iterator[NftSocket]:
        """Open a socket for a question asked while the reader may be in use in another thread."""
        reader = NftSocket()
        try:
            yield reader
        finally:
            reader.close()

    def _commit(self, messages: Sequence[Message]) -> None:
        if self._writer is None:
            raise SystemFailure("nftables backend is not open")
        if messages:
            self._writer.commit(messages)
            self._commits += 1

    def _read(self) -> NftSocket:
        if self._reader is None:
            raise SystemFailure("nftables backend is not open")
        return self._reader

    def _nft(self, script: str) -> None:
        run(["nft", "-f", "-"], script, self.settings.command_timeout)

    def _generation(self) -> int:
        answers = self._read().ask(nft.GET_GENERATION, b"", "generation")
        return int.from_bytes(dict(nft.attributes(answers[0]))[1], "big") if answers else -1

    def _elements(self, name: str, reader: NftSocket | None = None) -> list[RawElement]:
        question = nft.text(nft.LIST_TABLE, self._table) + nft.text(nft.LIST_SET, name)
        return (reader or self._read()).collect(
            nft.GET_ELEMENT, question, f"set {name}", nft.parse_elements
        )

    def _read_shape(self) -> object:
        """Read what the kernel has of our table, without what changes by itself."""
        reader, table = self._read(), nft.text(1, self._table)
        chain = table + nft.text(3, CHAIN)
        return (
            _only(reader.ask(nft.GET_TABLE, table, "table"), 2, 4),  # flags, handle
            _only(reader.ask(nft.GET_CHAIN, chain, "chain"), 2, 4, 5, 7),  # handle, hook, policy, type
            _only(reader.ask(nft.GET_RULE, table + nft.text(2, CHAIN), "rules", dump=True), 3, 4),
            _only(reader.ask(nft.GET_SET, table, "sets", dump=True), 2, 3, 5, 16),
        )

    def _foreign_sets(self) -> bool:
        """Tell whether a set has our name but another type (by its flags and length of key)."""
        sets = self._read().ask(nft.GET_SET, nft.text(1, self._table), "sets", dump=True)
        for fields in (dict(nft.attributes(payload)) for payload in sets):
            expected = TYPES.get(fields.get(2, b"").rstrip(b"\0").decode(errors="replace"))
            found = tuple(int.from_bytes(fields.get(kind, b""), "big") for kind in (3, 5))
            if expected not in (None, found):
                return True
        return False

    def _probe(self) -> Ability:
        """Find out what this kernel can do, on a set made for it."""
        key = b"\xc0\0\2\1"

        def commit(kind: int, timeout: float) -> None:
            elements = [nft.element(key, timeout)]
            self._commit(list(nft.element_messages(kind, self._table, PROBE, elements, 60)))

        commit(nft.NEW_ELEMENT, 100.0)
        commit(nft.NEW_ELEMENT, 1000.0)
        renews = any(raw.remaining > 500 for raw in self._elements(PROBE))
        try:
            commit(nft.DESTROY_ELEMENT, math.inf)
            destroys = True
        except NftError:
            destroys = False
        self._commit([nft.delete_set(self._table, PROBE)])
        return Ability(renews, destroys)


def _only(payloads: Iterable[bytes], *kinds: int) -> list[tuple[bytes | None, ...]]:
    """Pick the named attributes of each answer."""
    found = [dict(nft.attributes(payload)) for payload in payloads]
    return sorted(tuple(fields.get(kind, b"") for kind in kinds) for fields in found)
