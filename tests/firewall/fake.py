"""A backend in memory with a clock, that refuses when told to."""

from __future__ import annotations

from collections.abc import Sequence

from shield.blocklist.decision import Change, ChangeKind, Decision
from shield.detect.alert import Proof
from shield.errors import SystemFailure
from shield.firewall.backend import Element
from shield.firewall.feed import Feed
from shield.firewall.limits import Key
from shield.firewall.settings import FirewallSettings
from shield.net import Network

SETTINGS = FirewallSettings(batch_elements=100)


class FakeBackend:
    """Like a kernel: refuses overlapping networks, forgets by itself, can be damaged."""

    name = "fake"

    def __init__(self) -> None:
        self.now = 0.0
        self.ends: dict[Key, float] = {}
        self.allowed: list[Network] = []
        self.table = False
        self.refuse = ""
        self.refuse_element: Key | None = None
        self.touched = True
        self.commits: list[tuple[list[Key], list[Key]]] = []
        self.calls: list[str] = []

    def _ask(self, what: str) -> None:
        self.calls.append(what)
        if self.refuse:
            raise SystemFailure(self.refuse)

    def open(self) -> None:
        self._ask("open")
        self.table = True
        self.touched = True

    def undisturbed(self) -> bool:
        self._ask("undisturbed")
        before, self.touched = self.touched, False
        return not before

    def healthy(self) -> bool:
        self._ask("healthy")
        return self.table

    def active(self) -> dict[Key, float]:
        self._ask("active")
        return {n: end - self.now for n, end in self.ends.items() if end > self.now}

    def missing(self, networks: Sequence[Key]) -> list[Key]:
        self._ask("missing")
        return [n for n in networks if self.ends.get(n, self.now) <= self.now]

    def commit(self, add: Sequence[Element], delete: Sequence[Key]) -> None:
        self._ask("commit")
        if not self.table:
            raise SystemFailure("no table")
        names = [item.key for item in add]
        if self.refuse_element in names:
            raise SystemFailure(f"refused {self.refuse_element}")
        ends = {n: end for n, end in self.ends.items() if end > self.now and n not in delete}
        ends |= {n: self.now + timeout for n, timeout in add}
        networks = [n for n in ends if isinstance(n, Network) and not n.is_host]
        for one in networks:
            assert not any(one != other and one.contains(other) for other in networks), "overlap"
        self.ends = ends
        self.commits.append((names, list(delete)))

    def allow(self, networks: Sequence[Network]) -> None:
        self._ask("allow")
        self.allowed = list(networks)

    def dropped(self) -> int:
        return 0

    def render(self, elements: Sequence[Element], allowed: Sequence[Network] = ()) -> str:
        return ""

    def close(self, *, remove: bool = False) -> None:
        self.calls.append("close")
        if remove:
            self.flush_ruleset()

    def flush_ruleset(self) -> None:
        """What an operator's ``nft flush ruleset`` does."""
        self.ends, self.table, self.touched = {}, False, True


def decision(text: str | Network, until: float = 1000.0) -> Decision:
    network = Network.parse(text) if isinstance(text, str) else text
    return Decision(network, "scanner", "node", Proof.PROVEN, 0.0, until, until, f"id {network}")


def change(kind: str, text: str | Network, until: float = 1000.0) -> Change:
    return Change(ChangeKind(kind), decision(text, until))


def hosts(count: int, first: int = 0x0A000000) -> list[Network]:
    """Hosts in a row."""
    return [Network((first + i).to_bytes(4, "big"), 32) for i in range(count)]


class Bench:
    """A feed on a fake backend, and one clock for both."""

    def __init__(self, settings: FirewallSettings = SETTINGS) -> None:
        self.backend = FakeBackend()
        self.feed = Feed(self.backend, settings)
        self.now = 0.0

    def at(self, now: float) -> float:
        self.now = self.backend.now = now
        return now

    def run(self, until: float) -> None:
        """Do what a node does: come when due, until nothing is due before ``until``."""
        for _ in range(10_000):
            due = self.feed.due(self.now)
            if due > until:
                break
            self.at(due)
            self.feed.tick(due)
        else:
            raise AssertionError("the feed is due again and again without time passing")
        self.at(until)

    def active(self) -> set[str]:
        return {str(n) for n, end in self.backend.ends.items() if end > self.now}
