"""The token exchange, both sides (no I/O): one claim, one answer, over TLS.

The new host has no certificate yet. It knows the key of the authority from its token and checks the
server's certificate against it before it says anything. The server parses nothing from it but one
CLAIM of limited size, and answers ADMIT or REFUSE.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from shield.cluster.authority import Authority
from shield.cluster.identity import (
    Certificate,
    Identity,
    PrivateKey,
    Root,
    make_request,
    read_request,
)
from shield.cluster.messages import (
    MAX_ADDRESSES,
    MAX_TEXT,
    Admit,
    Claim,
    Message,
    Refuse,
    decode,
    encode_message,
)
from shield.cluster.names import check_name
from shield.cluster.settings import Address
from shield.cluster.tokens import Invite, Invites, JoinToken
from shield.errors import InputError, RemoteError, SystemFailure
from shield.wire import MAX_GREETING, Frames

__all__ = ["ANSWER_SECONDS", "Admission", "AdmissionGuest", "Admitted", "Joiner", "RefusedError"]

ANSWER_SECONDS = 10.0
"""Whole exchange after the handshake; both sides give up then."""


_log = logging.getLogger(__name__)


class Admission:
    """The side of the authority: decides about claims.

    ``is_member`` says whether a name belongs to a member (dead or alive, not revoked), ``seeds``
    gives addresses of members for the new node, ``keep`` must have invites and names that were
    given away on disk when it returns, or raise SystemFailure: it is called before a certificate leaves.
    """

    def __init__(
        self,
        authority: Authority,
        invites: Invites,
        *,
        is_member: Callable[[str], bool],
        seeds: Callable[[], Sequence[Address]],
        keep: Callable[[], None],
    ) -> None:
        self.authority = authority
        self.invites = invites
        self._is_member, self._seeds, self._keep = is_member, seeds, keep

    def admit(self, claim: Claim, wall: float) -> Admit:
        """Give a certificate for a claim; raises RemoteError with the reason of refusal."""
        invite = self._find(claim, wall)
        # Only now: of somebody who has no token, nothing more is parsed.
        name, key = read_request(claim.request)
        if name != claim.node:
            raise RemoteError("wrong_name", "the request is for another name than the claim")
        invite.allow(name, key)
        # An invite that names a node replaces that node: the operator has said so.
        again = invite.used_by == name
        if not invite.node and not again and self._taken(name, wall):
            raise RemoteError(
                "name_taken",
                f"there is a node {name} already; choose another --node, or replace it with a token "
                f"of `shield cluster invite --node {name}`",
            )
        certificate = self._issue(invite, name, key, wall)
        seeds = tuple(self._seeds())[:MAX_ADDRESSES]
        return Admit(certificate, self.authority.certificate, self.authority.cluster, seeds)

    def _issue(self, invite: Invite, name: str, key: bytes, wall: float) -> bytes:
        """Give the certificate once it is on disk that it was given."""
        used, issued = (invite.used_by, invite.used_key), self.authority.issued.get(name)
        certificate = self.authority.issue(name, key, wall)
        invite.use(name, key)
        try:
            self._keep()
        except SystemFailure:
            # As if nothing had been asked: the token is good when the disk is.
            invite.used_by, invite.used_key = used
            self.authority.issued.pop(name)
            if issued is not None:
                self.authority.issued[name] = issued
            raise
        return certificate

    def _find(self, claim: Claim, wall: float) -> Invite:
        try:
            return self.invites.find(claim.token, claim.secret, wall)
        except RemoteError as error:
            if error.reason == "wrong_secret":
                self._keep()  # a restart must give nobody five more guesses
            raise

    def _taken(self, name: str, wall: float) -> bool:
        return self._is_member(name) or self.authority.taken(name, wall)


class AdmissionGuest:
    """One connection of somebody without certificate; the carrier closes it when ``done``."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._frames = Frames(MAX_GREETING)
        self.done = False
        """Whether the answer was given: there is no second claim."""
        self.admitted = ""
        """Name of the new node."""
        self.reason = ""
        """Why there is none, as a counter name."""

    def receive_data(self, data: bytes, wall: float) -> bytes:
        """Take bytes and give the answer, empty until the claim is whole; raises nothing."""
        if self.done:
            return b""
        try:
            self._frames.feed(data)
            frame = self._frames.next_frame()
            if frame is None:
                return b""
            message = decode(frame)
            if not isinstance(message, Claim):
                raise RemoteError("no_certificate", "show a certificate or a claim")
            answer: Message = self._admission.admit(message, wall)
            self.admitted = message.node
        except RemoteError as error:
            self.reason = error.reason
            answer = Refuse(error.reason, _detail(error)[:MAX_TEXT])
        except SystemFailure as error:
            _log.error("cannot admit a node: %s", error)
            self.reason = "not_kept"
            answer = Refuse(self.reason, "the other node cannot write its files; see its log")
        self.done = True
        return encode_message(answer)


class RefusedError(InputError):
    """The authority said no; ``reason`` is its counter name for it."""

    def __init__(self, reason: str, text: str) -> None:
        self.reason = reason
        super().__init__(f"refused ({reason}): {text}" if text else f"refused: {reason}")


class Admitted(NamedTuple):
    """What a new node gets."""

    identity: Identity
    seeds: tuple[Address, ...]


class Joiner:
    """The side of the new host: checks the server, then shows the token, then checks the answer.

    ``node`` is the wanted name. Raises InputError when it is none or not that of the token.
    """

    def __init__(self, token: JoinToken, node: str, key: PrivateKey) -> None:
        if token.node and node != token.node:
            raise InputError(f"this token is for a node named {token.node}, not {node}")
        self._token, self._node, self._key = token, check_name(node), key
        self._frames = Frames(MAX_GREETING)

    def claim(self, server_certificate: bytes | None, wall: float) -> bytes:
        """Give the bytes to send to the server that showed a certificate (DER) in the handshake.

        Raises RemoteError unless it is the node with the authority of the token's cluster. There is
        no other way to the claim, so nobody else ever sees the secret.
        """
        token = self._token
        server = Certificate.signed_by(server_certificate or b"", token.cluster, token.public)
        server.check(wall, {})
        if not server.authority:
            # A captured node must not be able to collect tokens.
            raise RemoteError("certificate", f"{server.name} is not the node with the authority")
        request = make_request(self._key, self._node)
        return encode_message(Claim(token.id, token.secret, self._node, request))

    def receive_data(self, data: bytes) -> Admitted | None:
        """Take bytes and give what the node has got, None until the answer is whole.

        Raises RefusedError, or RemoteError when the answer is not what it must be.
        """
        self._frames.feed(data)
        frame = self._frames.next_frame()
        if frame is None:
            return None
        match decode(frame):
            case Admit() as admit:
                return self._checked(admit)
            case Refuse(reason, text):
                raise RefusedError(_printable(reason), _printable(text))
        raise RemoteError("unexpected", "neither admitted nor refused")

    def _checked(self, admit: Admit) -> Admitted:
        """Believe nothing of the answer that does not follow from the token."""
        token, root = self._token, Root.read(admit.authority)
        if (root.public, root.cluster, admit.cluster) != (token.public, token.cluster, token.cluster):
            raise RemoteError("authority", "not the one of the token")
        identity = Identity.of(self._key, admit.certificate, admit.authority)
        if identity.name != self._node:
            raise RemoteError("certificate", "not for the name that was asked for")
        return Admitted(identity, admit.seeds)


def _detail(error: RemoteError) -> str:
    return str(error).removeprefix(f"{error.reason}: ")


def _printable(text: str) -> str:
    """What a peer says goes to a terminal: no escape sequences."""
    return "".join(character if character.isprintable() else "?" for character in text)
