"""Nodes that share their blocklists over a network in memory, for tests of sharing."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shield.blocklist.allowlist import AllowEntry, Allowlist, AllowlistSettings
from shield.blocklist.aside import Why
from shield.blocklist.blocklist import Blocklist
from shield.blocklist.blocklist_settings import BlocklistSettings
from shield.blocklist.decision import Change, Decision
from shield.blocklist.journal_shared import SharedRow
from shield.blocklist.policy import Policy
from shield.blocklist.policy_settings import PolicySettings
from shield.blocklist.sharing import Sharing
from shield.blocklist.sharing_settings import SharingSettings
from shield.cluster.capability import Incoming, SendResult
from shield.cluster.entry import Limits
from shield.cluster.messages import Kind
from shield.cluster.replicated import ReplicatedMap
from shield.detect.alert import Alert, Evidence, Proof
from shield.errors import RemoteError
from shield.net import Network, pack
from shield.sip.servers import Servers
from shield.wire import pack_value, unpack_value

WALL = 1_700_000_000.0
LIMITS = Limits()


def net(text: str) -> Network:
    return Network.parse(text)


def alert(value: str, time: float = WALL, evidence: int = 1, messages: int = 12) -> Alert:
    """An alert as a rule makes it."""
    return Alert(
        time, pack(value), "sip-scan", "scan", Proof.PROVEN, ("nonce",), 3, 3, min(10, messages),
        messages,
        time - 5, 600.0,
        details=(("user_agent", "friendly-scanner"),),
        evidence=tuple(Evidence(time, f"OPTIONS sip:{n}@host SIP/2.0", "mark") for n in range(evidence)),
    )  # fmt: skip


class Record(NamedTuple):
    """What sharing asks of a member's record."""

    addresses: tuple[tuple[str, int], ...] = ()


class Member(NamedTuple):
    """What sharing asks of a member."""

    name: str
    record: Record = Record()


class LabOutlet:
    """Sends through the codec into the queues of the lab."""

    def __init__(self, lab: Lab, name: str) -> None:
        self._lab = lab
        self.name = name

    def send(self, node: str, body: Any, now: float) -> SendResult:
        return self._post(node, Kind.MESSAGE, 0, body)

    def broadcast(self, body: Any, now: float, *, include_self: bool = False) -> SendResult:
        for node in self.members():
            self._post(node, Kind.MESSAGE, 0, body)
        return SendResult.SENT

    def reply(self, incoming: Incoming, body: Any, now: float) -> SendResult:
        return self._post(incoming.sender, Kind.REPLY, incoming.tag, body)

    def fail(self, incoming: Incoming, why: str, now: float) -> SendResult:
        return self._post(incoming.sender, Kind.FAILURE, incoming.tag, why)

    def reachable(self, node: str) -> bool:
        return node in self.members()

    def members(self) -> tuple[str, ...]:
        cut = self._lab.cut
        return tuple(n for n in self._lab.nodes if n != self.name and not {n, self.name} & cut)

    def knows(self, node: str) -> bool:
        return node in self._lab.known

    def _post(self, node: str, kind: Kind, tag: int, body: Any) -> SendResult:
        if not self.reachable(node):
            return SendResult.UNREACHABLE
        packed = pack_value(body)
        assert len(packed) <= 512 * 1024
        self._lab.waiting.append((node, Incoming(self.name, kind, tag, packed)))
        return SendResult.SENT


class LabNode:
    """One node: all of the blocklist package, and a host that notes what it hears."""

    def __init__(self, lab: Lab, name: str, settings: SharingSettings, **more: Any) -> None:
        self.lab = lab
        self.name = name
        self.settings = settings
        self.more = more
        self.changes: list[Change] = []
        self.documents: list[Mapping[str, Any]] = []
        self.own: list[Mapping[str, Any]] = []
        self.replies: list[Any] = []
        self.disk: dict[bytes, SharedRow] = {}
        """Records in the journal."""
        self.good: dict[bytes, Why] = {}
        """What this node has seen of good users."""
        self.build()

    def build(self) -> None:
        """Make the parts; what was there is lost, as in a restart without a journal."""
        more = self.more
        self.allowlist = Allowlist(AllowlistSettings(entries=more.get("allowed", ())))
        self.bans = Blocklist(BlocklistSettings(**more.get("blocklist", {})), self.allowlist)
        self.policy = Policy(PolicySettings(), self.allowlist, self.name)
        servers = Servers(frozenset(map(pack, more.get("servers", ()))))
        limits = more.get("limits", LIMITS)
        records = ReplicatedMap("blocklist", self.name, self.name.encode() * 4, limits, journaled=True)
        self.sharing = Sharing(
            self.settings,
            records,
            blocklist=self.bans,
            allowlist=self.allowlist,
            policy=self.policy,
            servers=servers,
            wall=lambda: WALL + self.lab.now,
            good=self.good.get,
        )
        self.sharing.host = self
        self.sharing.connect(LabOutlet(self.lab, self.name), self.lab.now)

    # What the hub does.

    def take_shared(self, changes: Sequence[Change], now: float) -> None:
        self.changes += changes

    def take_allowed(self, added: Sequence[AllowEntry], removed: Sequence[str], now: float) -> None:
        self.enforce()

    def take_documents(self, documents: Sequence[Mapping[str, Any]]) -> None:
        self.documents += documents

    def documents_of(self, network: Network) -> Sequence[Mapping[str, Any]]:
        return [one for one in self.own if one["value"] == str(network)]

    def enforce(self) -> None:
        """What follows a change of the allowlist."""
        now = self.lab.now
        self.local(self.bans.enforce_allowlist(now))
        self.sharing.allowlist_changed(now)

    # What detection and operators do.

    def local(self, changes: Sequence[Change], **alerts: Alert) -> None:
        self.changes += changes
        found = {Network.host(one.source): one for one in alerts.values()}
        self.sharing.share(changes, self.lab.now, found)

    def decision(self, value: str, duration: float, **more: Any) -> Decision:
        self.lab.made += 1
        fields = {"origin": self.name, "proof": Proof.PROVEN, "scenario": "sip-scan", **more}
        return Decision(
            network=net(value), time=WALL + self.lab.now, until=self.lab.now + duration,
            duration=duration, id=f"{self.name}-{self.lab.made}", reason="a scanner", **fields,
        )  # fmt: skip

    def ban(self, value: str, duration: float = 600.0, **more: Any) -> None:
        self.local(self.bans.add(self.decision(value, duration, **more), self.lab.now))

    def suspect(self, value: str, duration: float = 300.0, messages: int = 9, **more: Any) -> None:
        """Ban an address on evidence that could be forged."""
        now = self.lab.now
        found = alert(value.partition("/")[0], WALL + now, messages=messages)
        decision = self.decision(value, duration, proof=Proof.UNPROVEN, **more)
        self.local(self.bans.add(decision, now), found=found)

    def unban(self, value: str) -> None:
        changes = self.bans.remove(net(value), self.lab.now)
        if changes:
            self.local(changes)
        else:
            assert self.sharing.unban(net(value), self.lab.now)

    def allow(self, value: str, duration: float | None = None) -> None:
        entry = self.allowlist.add(
            value, self.lab.now, reason="a friend", duration=duration, wall=WALL + self.lab.now
        )
        self.enforce()
        self.sharing.allowed(entry, self.lab.now)

    def disallow(self, value: str) -> None:
        entry = self.allowlist.remove(value)
        assert entry is not None
        self.sharing.disallowed(entry.value, self.lab.now)
        self.enforce()

    # What tests ask.

    def banned(self) -> set[str]:
        return {decision.value for decision in self.bans.decisions(self.lab.now)}

    def get(self, value: str) -> Decision:
        found = self.bans.get(net(value), self.lab.now)
        assert found is not None, f"{value} is not banned on {self.name}"
        return found

    def why(self, value: str) -> set[str]:
        """Reasons why what is said about a value is not applied."""
        said = self.sharing.admission.all_said(net(value), self.lab.now)
        marks = [self.sharing.aside.get(key) for key, _ in said]
        return {mark.why.value for mark in marks if mark is not None}

    def followed(self) -> dict[str, float]:
        """What a firewall that followed all changes would drop."""
        held: dict[str, float] = {}
        for change in self.changes:
            if change.kind.value in ("added", "extended"):
                held[change.decision.value] = change.decision.until
            else:
                held.pop(change.decision.value, None)
        return held

    def expire(self) -> None:
        while found := self.bans.expire(self.lab.now):
            self.local(found)


class Lab:
    """A cluster; ``cut`` names nodes that nobody reaches."""

    def __init__(self, *names: str, settings: SharingSettings | None = None, **more: Any) -> None:
        self.now = 100.0
        self.made = 0
        self.cut: set[str] = set()
        self.known: set[str] = set()
        """Names of members, also of those that are gone."""
        self.waiting: deque[tuple[str, Incoming]] = deque()
        self.errors: list[str] = []
        self.nodes: dict[str, LabNode] = {}
        for name in names:
            self.add(name, settings or SharingSettings(), **more)

    def add(self, name: str, settings: SharingSettings, **more: Any) -> LabNode:
        self.known.add(name)
        self.nodes[name] = LabNode(self, name, settings, **more)
        return self.nodes[name]

    def __getitem__(self, name: str) -> LabNode:
        return self.nodes[name]

    def deliver(self) -> None:
        """Let all messages arrive, and the answers to them."""
        while self.waiting:
            name, incoming = self.waiting.popleft()
            self.receive(name, incoming._replace(body=unpack_value(incoming.body)))

    def receive(self, name: str, incoming: Incoming) -> None:
        node = self.nodes[name]
        if incoming.kind in (Kind.REPLY, Kind.FAILURE):
            node.replies.append(incoming.body)
            return
        try:
            node.sharing.receive(incoming, self.now)
        except RemoteError as error:
            self.errors.append(error.reason)

    def run(self, seconds: float) -> None:
        """Let time pass: half a second at a time everybody ticks and hears the reports of the others."""
        end = self.now + seconds
        while self.now < end:
            self.now += 0.5
            for node in self.nodes.values():
                node.expire()
                node.sharing.tick(self.now)
            for node in self.nodes.values():
                report = node.sharing.report(self.now)
                for other in LabOutlet(self, node.name).members():
                    self.nodes[other].sharing.reported(node.name, report, self.now)
            self.deliver()

    def meet(self) -> None:
        """Tell everybody who can be reached."""
        for node in self.nodes.values():
            for other in self.nodes:
                if other != node.name:
                    node.sharing.member_changed(Member(other), self.now)  # type: ignore[arg-type]

    def agree(self) -> dict[str, float]:
        """Check that all blocklists are equal, ends within a second; returns the ends."""
        found = []
        for node in self.nodes.values():
            ends = {d.value: d.until for d in node.bans.decisions(self.now)}
            assert node.followed().keys() == ends.keys()
            found.append(ends)
        for ends in found[1:]:
            assert ends.keys() == found[0].keys()
            assert all(abs(ends[value] - until) < 1 for value, until in found[0].items())
        return found[0]
