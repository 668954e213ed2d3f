"""Cluster: this process as a member: identity, core and carrier together, for programs and the daemon.

async with Cluster("/var/lib/shield/cluster") as cluster:
    where = cluster.channel("where")
    where.request(lambda user, sender: registered.get(user))
    answers = await cluster.ask("where", "alice")
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from shield.cluster.admission import Admission, AdmissionGuest
from shield.cluster.capability import Capability, Outlet, SendResult
from shield.cluster.carrier import Carrier
from shield.cluster.channel import Channel
from shield.cluster.contexts import Contexts
from shield.cluster.core import Core
from shield.cluster.identity_files import Directory, Stored
from shield.cluster.member import MemberState
from shield.cluster.messages import Data, Kind
from shield.cluster.nats_carrier import NatsCarrier
from shield.cluster.nats_core import NatsCore
from shield.cluster.peer_carrier import PeerCarrier
from shield.cluster.peer_core import PeerCore
from shield.cluster.requests import Answers
from shield.cluster.revocation import Revocation
from shield.cluster.settings import DEFAULT_PORT, Address, ClusterSettings, parse_address
from shield.cluster.steward import Steward
from shield.cluster.switchboard import Switchboard
from shield.cluster.tag_plan import read_plans
from shield.cluster.tags import Tags
from shield.cluster.tokens import DEFAULT_VALID, Invites, JoinToken
from shield.errors import InputError, ShieldError

__all__ = ["Cluster"]

SAVE_SECONDS = 30.0
"""Between two looks whether addresses of members must be stored."""

ANYWHERE = "0.0.0.0:0"
"""All addresses of this host, any free port."""

_log = logging.getLogger(__name__)
_now = time.monotonic


class Cluster:
    """One member. Making it reads the directory; raises ConfigError or SystemFailure.

    Without ``settings`` the system chooses the port, so that a program can be a member beside the
    daemon of its host. ``addresses``: where others reach this host, when the settings do not say.
    """

    def __init__(
        self,
        directory: str | Path | None = None,
        settings: ClusterSettings | None = None,
        *,
        addresses: Iterable[str] = (),
        software: str = "shield",
    ) -> None:
        settings = settings or ClusterSettings(listen=ANYWHERE)
        if directory is not None:
            settings = replace(settings, directory=str(Path(directory).absolute()))
        self.settings = settings
        self._directory = Directory(settings.directory)
        stored = self._directory.load()
        if stored.advertise and not settings.advertise:
            host, port = stored.advertise
            self.settings = settings = replace(settings, advertise=f"[{host}]:{port}")
        self.authority = stored.authority
        self._seeds = stored.seeds
        self.invites = Invites(self._directory.load_invites())
        self._contexts = Contexts(self._directory)
        self.core, self.carrier = self._carried(stored, addresses, software)
        self.core.recall(stored.members, _now())
        self._members = set(stored.members)
        self.core.on_revoked = self._revoked
        self.switchboard = Switchboard(self.core)
        self.steward = Steward(self.core, self.authority, self._keep)
        self.tags = Tags(
            self.core,
            read_plans(settings.tags, settings.tag_takeover, settings.tag_priority),
            self._directory.load_tags(self.core.membership.certificate_of),
            self._directory.save_tags,
        )
        self.admission: Admission | None = None
        if self.authority is not None:
            self.admission = Admission(
                self.authority,
                self.invites,
                is_member=self._is_member,
                seeds=self.member_addresses,
                keep=self._keep_invites,
            )
        self._saver: asyncio.Task[None] | None = None

    def _carried(self, stored: Stored, addresses: Iterable[str], software: str) -> tuple[Core, Carrier]:
        """The two halves of the carrier that the settings name."""
        settings, now, wall = self.settings, _now(), time.time()
        if settings.carrier == "nats":
            admits = self.authority is not None
            nats = NatsCore(
                stored.identity, settings, now, wall,
                addresses=_advertised(settings, addresses, ()) if admits else (),
                revocations=stored.revocations, software=software,
            )  # fmt: skip
            guest = self._guest if admits else None
            return nats, NatsCarrier(nats, self._contexts, guest, self._expects_guests)
        peer = PeerCore(
            stored.identity, settings, now, wall,
            addresses=_advertised(settings, addresses, stored.seeds), seeds=stored.seeds,
            revocations=stored.revocations, software=software,
        )  # fmt: skip
        return peer, PeerCarrier(peer, self._contexts, self._guest, self._expects_guests)

    @property
    def name(self) -> str:
        """Name of this node."""
        return self.core.name

    @property
    def seeds(self) -> tuple[Address, ...]:
        """Where members were when this node was last in the cluster."""
        return self._seeds

    async def start(self) -> None:
        """Listen and connect; raises SystemFailure when the address cannot be had."""
        await self.carrier.start()
        if port := self.carrier.port:
            self.core.reached_at([(host, given or port) for host, given in self.core.addresses], _now())
        self._saver = asyncio.ensure_future(self._save_regularly())

    async def close(self, *, leave: bool = True) -> None:
        """Say goodbye and end all connections; without ``leave`` others take it for a crash."""
        if self._saver is not None:
            self._saver.cancel()
            self._save_places()
        await self.carrier.close(leave=leave)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    # --- messages ---------------------------------------------------------------------------

    def add(self, capability: Capability) -> Outlet:
        """Let a feature take part; raises ValueError when its name is taken."""
        return self.core.add(capability)

    def channel(self, name: str) -> Channel:
        """Make a feature of plain functions; raises ValueError when its name is taken."""
        channel = Channel(name)
        channel.outlet = self.core.add(channel)
        return channel

    def send(self, node: str, capability: str, body: Any) -> SendResult:
        """Send to one node."""
        return self.core.post.send(node, Data(capability, Kind.MESSAGE, 0, body), _now())

    def broadcast(self, capability: str, body: Any, *, include_self: bool = False) -> SendResult:
        """Send to everybody who can be reached."""
        message = Data(capability, Kind.MESSAGE, 0, body)
        return self.core.post.broadcast(message, _now(), include_self=include_self)

    async def ask(
        self,
        capability: str,
        body: Any,
        *,
        node: str | None = None,
        timeout: float = 2.0,  # noqa: ASYNC109 - a deadline of the answers, not of the call
        include_self: bool = False,
    ) -> tuple[SendResult, Answers]:
        """Ask one node, or all who can be reached, and wait for their answers.

        Who has not answered after ``timeout`` seconds, or is lost meanwhile, is ``missing``. When the
        result is not SENT nobody was asked.
        """
        done: asyncio.Future[Answers] = asyncio.get_running_loop().create_future()
        nodes = self.core.post.reachable() if node is None else (node,)
        if include_self and node is None:
            nodes = (*nodes, self.name)
        result = self.core.post.ask(
            nodes, capability, body, timeout=timeout, now=_now(),
            done=lambda answers: None if done.done() else done.set_result(answers),
        )  # fmt: skip
        return result, await done if result is SendResult.SENT else Answers()

    def members(self) -> tuple[str, ...]:
        """Everybody who can be reached, without this node."""
        return self.core.post.reachable()

    # --- orders -----------------------------------------------------------------------------

    def invite(self, *, node: str = "", valid: float = DEFAULT_VALID, advertise: str = "") -> JoinToken:
        """Allow one host to join; raises InputError, also on a node without the authority."""
        if self.authority is None:
            holders = [m.name for m in self.core.membership.members.values() if m.certificate.authority]
            where = f"; ask on {' or '.join(holders)}" if holders else ""
            raise InputError(f"this node cannot invite: it does not hold the authority{where}")
        addresses = self.core.addresses
        if advertise:
            addresses = (parse_address(advertise, self.carrier.port),)
        root = self.authority.root
        token = self.invites.create(
            root.cluster, root.public, addresses, time.time(), valid=valid, node=node
        )
        self._keep_invites()
        return token

    def revoke(self, name: str) -> Revocation:
        """Put a node out of the cluster, everywhere at once; raises InputError."""
        if self.authority is None:
            raise InputError("this node cannot revoke: it does not hold the authority")
        if name == self.name:
            raise InputError("a node cannot revoke itself")
        if name not in self.core.membership.members and name not in self.authority.issued:
            raise InputError(f"no node {name!r} is known")
        revocation = self.authority.revoke(name, time.time())
        self.core.revoked(revocation, _now())
        return revocation

    def member_addresses(self) -> tuple[Address, ...]:
        """Where members can be reached: this one, then those alive."""
        found = list(self.core.addresses)
        for member in self.core.membership.members.values():
            if member.state is not MemberState.LEFT:
                found += member.record.addresses
        return tuple(dict.fromkeys(found))

    def warnings(self) -> list[str]:
        """What an operator should know, one line each."""
        found = []
        if self.steward.problem:
            found.append(f"cluster: the certificate cannot be renewed: {self.steward.problem}")
        if self.core.membership.renamed > 2:
            found.append(f"cluster: another node seems to use the name {self.name}")
        for name, problem in self.carrier.problems().items():
            found.append(f"cluster: {name} cannot be reached: {problem}")
        return found + self.tags.warnings()

    # --- keeping ----------------------------------------------------------------------------

    def _guest(self, _host: str) -> AdmissionGuest | None:
        return AdmissionGuest(self.admission) if self.admission and self._expects_guests() else None

    def _expects_guests(self) -> bool:
        return self.admission is not None and self.invites.expected(time.time())

    def _is_member(self, name: str) -> bool:
        return name == self.name or name in self.core.membership.members

    def _keep_invites(self) -> None:
        self._directory.save_invites(self.invites.rows())
        if self.authority is not None:
            self._directory.save_issued(self.authority)

    def _keep(self) -> None:
        """Store a renewed certificate and whom the authority signed for."""
        self._directory.save_certificate(self.core.identity)
        self._contexts.renew()
        if self.authority is not None:
            self._directory.save_issued(self.authority)

    def _revoked(self, _revocation: Revocation) -> None:
        self._try(lambda: self._directory.save_revocations(self.core.revocations))

    async def _save_regularly(self) -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            self._save_places()

    def _save_places(self) -> None:
        """Store who belongs to the cluster and where, as far as that is news."""
        addresses = self.member_addresses()
        if addresses != self._seeds and len(addresses) > len(self.core.addresses):
            self._seeds = addresses
            self._try(lambda: self._directory.save_seeds(self.core.identity, self._seeds))
        members = {member.news for member in self.core.membership.members.values()}
        if members != self._members:
            self._members = members
            self._try(lambda: self._directory.save_members(members))

    def _try(self, save: Callable[[], None]) -> None:
        try:
            save()
        except ShieldError as error:  # the cluster goes on; a restart would know less
            _log.error("cluster: %s", error)
            self.core.events.add(time.time(), "warning", self.name, str(error))


def _advertised(
    settings: ClusterSettings, hosts: Iterable[str], seeds: Iterable[Address]
) -> tuple[Address, ...]:
    """Where others reach this node, the likeliest first."""
    host, port = parse_address(settings.listen, lowest=0)
    if settings.advertise:
        return (parse_address(settings.advertise, port or DEFAULT_PORT),)
    if host not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not listened on
        return ((host, port),)
    found = [*(name for seed in seeds if (name := _way_to(seed))), *hosts]
    return tuple((name, port) for name in dict.fromkeys(found))


def _way_to(seed: Address) -> str:
    """The address of this host from which a seed is reached; nothing is sent."""
    try:
        place = socket.getaddrinfo(*seed, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
        with socket.socket(place[0], socket.SOCK_DGRAM) as probe:
            probe.connect(place[4])
            return str(probe.getsockname()[0])
    except OSError:
        return ""
