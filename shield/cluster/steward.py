"""Steward: the cluster's own affairs between nodes: renewed certificates, members that are removed.

A node asks for its new certificate when a third of the old one's life is left; the node with the
authority signs it, for the same name and only for a member whose present certificate counts.
"""

from __future__ import annotations

from collections.abc import Callable

from shield.cluster.authority import Authority
from shield.cluster.capability import Incoming, Outlet
from shield.cluster.core import Core
from shield.cluster.identity import needs_renewal
from shield.cluster.member import Member
from shield.cluster.messages import Kind
from shield.cluster.requests import Answers
from shield.errors import RemoteError, ShieldError

__all__ = ["CAPABILITY", "Steward"]

CAPABILITY = "cluster"

RETRY_SECONDS = 600.0
"""Between two requests for a new certificate; there are weeks to get one."""

ANSWER_SECONDS = 10.0

SIGN_SECONDS = 60.0
"""Between two certificates of one member: each waits for the disk, and so does everything else."""


class Steward:
    """A capability of every node. ``keep`` stores what changed: identity, names given away."""

    name = CAPABILITY

    def __init__(self, core: Core, authority: Authority | None, keep: Callable[[], None]) -> None:
        self.problem = ""
        """Why the certificate could not be renewed, if so."""
        self._core = core
        self._authority = authority
        self._keep = keep
        self._unkept = False
        """The certificate in use is not on the disk yet."""
        self._next_try = 0.0
        self._signed: dict[str, float] = {}
        """When each member got its last certificate, node time."""
        self._outlet: Outlet = core.add(self)

    def remove(self, name: str, now: float) -> bool:
        """Forget a member that is not there, here and everywhere; False when it is there, or unknown."""
        if not self._core.forget(name, now):
            return False
        self._outlet.broadcast(("remove", name), now)
        return True

    def receive(self, incoming: Incoming, now: float) -> None:
        """Take an order or a request for a certificate."""
        match incoming.body:
            case ("remove", str(name), *_):
                self._core.forget(name, now)
            case ("renew", bytes(request), *_) if incoming.kind is Kind.REQUEST:
                self._outlet.reply(incoming, self._sign(incoming.sender, request, now), now)
            case _:
                raise RemoteError("unknown_order")

    def member_changed(self, member: Member, now: float) -> None:
        """Nothing to do."""

    def report(self, now: float) -> bytes:  # noqa: ARG002
        """Nothing to report."""
        return b""

    def reported(self, sender: str, report: bytes, now: float) -> None:
        """Nothing is reported."""

    def tick(self, now: float) -> None:
        """Ask for a new certificate when it is time."""
        core = self._core
        needed = needs_renewal(core.identity.own, core.wall(now))
        if now < self._next_try or not (needed or self._unkept):
            return
        self._next_try = now + RETRY_SECONDS
        if not needed:
            self._store()
            return
        if self._authority is not None:
            key, wall = core.identity.key, core.wall(now)
            self._take(self._authority.own_identity(core.name, wall, key).certificate, now)
            return
        request = core.identity.request()
        signers = tuple(
            member.name
            for member in core.membership.members.values()
            if member.certificate.authority and core.membership.reachable(member.name)
        )
        if not signers:
            self.problem = "the node with the authority cannot be reached"
            return
        core.post.ask(
            signers, self.name, ("renew", request), timeout=ANSWER_SECONDS, now=now,
            done=lambda answers: self._answered(answers, now),
        )  # fmt: skip

    def _answered(self, answers: Answers, now: float) -> None:
        for certificate in answers.replies.values():
            try:
                if type(certificate) is not bytes:
                    raise RemoteError("shape", "certificate")
                self._take(certificate, now)
            except RemoteError as error:
                self.problem = str(error)
            else:
                return
        self.problem = self.problem or "; ".join(answers.failures.values()) or "no answer"

    def _take(self, certificate: bytes, now: float) -> None:
        self._core.renew(self._core.identity.renewed(certificate), now)
        self._store()

    def _store(self) -> None:
        """Keep the certificate; a disk that is full now is asked again later."""
        try:
            self._keep()
        except ShieldError as error:
            self._unkept, self.problem = True, str(error)
        else:
            self._unkept, self.problem = False, ""

    def _sign(self, sender: str, request: bytes, now: float) -> bytes:
        if self._authority is None:
            raise RemoteError("no_authority", "this node signs no certificates")
        if now - self._signed.get(sender, -SIGN_SECONDS) < SIGN_SECONDS:
            raise RemoteError("too_soon", "there was a new certificate a moment ago")
        certificate = self._core.membership.members[sender].certificate
        signed = self._authority.renew(certificate, request, self._core.wall(now))
        self._signed[sender] = now
        try:
            self._keep()
        except ShieldError as error:  # nobody gets a certificate of which no trace is kept
            self.problem = str(error)
            raise RemoteError("not_kept", "the node with the authority cannot write its files") from None
        return signed
