"""The directory with a node's identity, and the TLS contexts made from it (files, ssl).

=============  =====================================================================
ca.crt         certificate of the authority
ca.key         its key; only where ``shield cluster init`` was run
issued.json    beside it: to whom certificates were given
invites.json   beside it: open invitations, of each secret only a hash
node.key       key of this node
node.crt       its certificate
revoked.json   signed revocations
members.json   signed records of the members, so that dead ones are known after a restart
tags.json      claims of sharing tags and what became of them
cluster.json   names of cluster and node, addresses of both; written last
=============  =====================================================================

Each file is replaced whole or not at all, so a crash leaves no half of one.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from shield.cluster.authority import Authority
from shield.cluster.identity import Certificate, Identity, PrivateKey
from shield.cluster.messages import MemberNews
from shield.cluster.revocation import Revocation, Revocations
from shield.cluster.settings import Address
from shield.cluster.state_files import StateFiles, failure
from shield.cluster.tag_state import Tag, restore
from shield.cluster.tokens import Invites
from shield.errors import ConfigError, InputError, RemoteError

__all__ = ["Directory", "Stored", "joiner_context"]

MAX_SEEDS = 1024
"""Addresses kept: several for each member of a large cluster."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the directory holds."""

    identity: Identity
    authority: Authority | None
    """Only on the node that admits others."""
    revocations: Revocations
    seeds: tuple[Address, ...]
    advertise: Address | None
    """Where others reach this node, if the operator said so when the cluster was made."""
    members: tuple[MemberNews, ...]
    """What members said of themselves before the last stop; whoever uses it checks signatures."""


class Directory:
    """Reads and writes one directory.

    Every method raises SystemFailure when the machine refuses and ConfigError when a file is not
    what it should be; both name the file.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._files = StateFiles(self.path)

    def holds(self) -> str:
        """Name of the file because of which nothing may be made here, or an empty text."""
        return next((name for name in ("cluster.json", "ca.key") if self._files.has(name)), "")

    def prepare(self) -> None:
        """Make the directory and see that it can be written to; InputError when it is in use."""
        if name := self.holds():
            raise InputError(
                f"{self.path / name} exists: this host is in a cluster already; to leave it for good, "
                f"stop shield and move {self.path} away"
            )
        self._files.make()
        self._files.probe()

    def create(
        self,
        identity: Identity,
        authority: Authority | None = None,
        seeds: Iterable[Address] = (),
        advertise: Address | None = None,
    ) -> None:
        """Write a new identity; raises InputError when there is one already."""
        self.prepare()
        if authority is not None:
            self._files.write("ca.key", _pem(authority.key))
            self.save_issued(authority)
        self._files.write("ca.crt", _certificate_pem(identity.authority))
        self._files.write("node.key", _pem(identity.key))
        self.save_certificate(identity)
        self.save_revocations(Revocations())
        self._save_names(identity, seeds, {"advertise": advertise} if advertise else {})

    def load(self) -> Stored:
        """Read everything; raises ConfigError also when there is no identity yet."""
        if not self._files.has("cluster.json"):
            raise ConfigError(
                f"{self.path}: no identity here; make one with `shield cluster init` or "
                "`shield cluster join`"
            )
        names = self._files.json("cluster.json", dict)
        root = self._certificate("ca.crt")
        identity = self._checked(
            "node.crt", lambda: Identity.of(self._key("node.key"), self._certificate("node.crt"), root)
        )
        if [names.get("cluster"), names.get("node")] != [identity.cluster, identity.name]:
            raise ConfigError(f"{self.path / 'cluster.json'}: names another node than node.crt")
        revocations = self._checked("revoked.json", lambda: self._revocations(root))
        authority = None
        if self._files.has("ca.key"):
            authority = self._checked("ca.key", lambda: self._authority(root, revocations))
        own = [names["advertise"]] if "advertise" in names else []
        seeds, advertise = self._checked(
            "cluster.json", lambda: (_addresses(names.get("seeds", ())), _addresses(own))
        )
        members = self._checked("members.json", self._members)
        return Stored(
            identity, authority, revocations, seeds, advertise[0] if advertise else None, members
        )

    def save_certificate(self, identity: Identity) -> None:
        """Keep a renewed certificate; the key stays."""
        self._files.write("node.crt", _certificate_pem(identity.certificate))

    def save_seeds(self, identity: Identity, seeds: Iterable[Address]) -> None:
        """Keep where members can be reached, for the next start."""
        self._save_names(identity, seeds, self._files.json("cluster.json", dict, missing={}))

    def save_revocations(self, revocations: Revocations) -> None:
        """Keep all of them."""
        rows = [[one.name, one.body.hex(), one.signature.hex()] for one in revocations]
        self._files.save("revoked.json", rows)

    def save_members(self, members: Iterable[MemberNews]) -> None:
        """Keep what members say of themselves, for the next start."""
        self._files.save("members.json", [[one.body.hex(), one.signature.hex()] for one in members])

    def save_issued(self, authority: Authority) -> None:
        """Keep to whom certificates were given; before any of them is handed out."""
        self._files.save("issued.json", authority.issued)

    def save_invites(self, rows: list[dict[str, Any]]) -> None:
        """Keep what ``Invites.rows`` gives: open invites, and those used up until they expire."""
        self._files.save("invites.json", rows)

    def load_invites(self) -> list[dict[str, Any]]:
        """Give what ``Invites`` takes; empty when there is no file."""
        rows = self._files.json("invites.json", list, missing=[])
        return list(self._checked("invites.json", lambda: Invites(rows).rows()))

    def save_tags(self, rows: Mapping[str, Any]) -> None:
        """Keep what ``tag_state.stored`` gives."""
        self._files.save("tags.json", rows)

    def load_tags(self, certificate_of: Callable[[str], Certificate | None]) -> dict[str, Tag]:
        """Give what was kept; empty when there is no file."""
        rows = self._files.json("tags.json", dict, missing={})
        return dict(self._checked("tags.json", lambda: restore(rows, certificate_of)))

    def server_context(self, *, guests: bool = False) -> ssl.SSLContext:
        """Make the context of the peer port: a certificate of this cluster is required.

        With ``guests``, while invites are open, a peer may also show none; one that is shown is
        checked as well.
        """
        context = self._context(ssl.PROTOCOL_TLS_SERVER)
        # A resumed session would skip the look at the certificate, which may be revoked by now.
        context.num_tickets = 0
        if guests:
            context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def client_context(self) -> ssl.SSLContext:
        """Make the context for calling members.

        The certificate must be of this cluster; whose it is, and whether revoked, is for the caller
        to check (``Certificate.read``): nodes have names of their own, not those of hosts.
        """
        context = self._context(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        return context

    def _context(self, protocol: int) -> ssl.SSLContext:
        context = ssl.SSLContext(protocol)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        self._files.private("node.key")
        file = self.path / "node.crt"
        try:
            # Only this authority: none of the system's is loaded.
            context.load_verify_locations(cadata=self._certificate("ca.crt"))
            context.load_cert_chain(file, self.path / "node.key")
        except ssl.SSLError as error:
            raise ConfigError(f"{file}: {error.reason or error}") from None
        except OSError as error:
            raise failure(error, file) from None
        return context

    def _save_names(
        self, identity: Identity, seeds: Iterable[Address], known: Mapping[str, Any]
    ) -> None:
        names = {"cluster": identity.cluster, "node": identity.name}
        self._files.save("cluster.json", {**known, **names, "seeds": list(seeds)[:MAX_SEEDS]})

    def _authority(self, root: bytes, revocations: Revocations) -> Authority:
        issued: Mapping[str, Any] = self._files.json("issued.json", dict, missing={})
        if not all(type(time) is int for time in issued.values()):
            raise ConfigError(f"{self.path / 'issued.json'}: must map names to milliseconds")
        return Authority(self._key("ca.key"), root, issued=issued, revocations=revocations)

    def _revocations(self, root: bytes) -> Revocations:
        rows = self._files.json("revoked.json", list, missing=[])
        return Revocations(
            Revocation.read(bytes.fromhex(body), bytes.fromhex(signature), root)
            for _name, body, signature in rows
        )

    def _members(self) -> tuple[MemberNews, ...]:
        rows = self._files.json("members.json", list, missing=[])
        return tuple(
            MemberNews(bytes.fromhex(body), bytes.fromhex(signature)) for body, signature in rows
        )

    def _checked(self, name: str, read: Any) -> Any:
        """Give what ``read`` gives; what it finds wrong gets the name of the file in front."""
        try:
            return read()
        except (RemoteError, ValueError, TypeError, LookupError, UnsupportedAlgorithm) as error:
            raise ConfigError(f"{self.path / name}: {error}") from None

    def _key(self, name: str) -> PrivateKey:
        self._files.private(name)
        key = self._checked(name, lambda: load_pem_private_key(self._files.read(name), None))
        if not isinstance(key, PrivateKey):
            raise ConfigError(f"{self.path / name}: not an Ed25519 key")
        return key

    def _certificate(self, name: str) -> bytes:
        text = self._files.read(name)
        return bytes(self._checked(name, lambda: ssl.PEM_cert_to_DER_cert(text.decode().strip())))


def joiner_context() -> ssl.SSLContext:
    """Make the context of a host without certificate: it compares the server's with its token.

    TLS proves that the server owns the key of the certificate that it shows, whatever the
    verification mode; whether that certificate is good is decided by ``admission.Joiner``.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _addresses(rows: Iterable[Any]) -> tuple[Address, ...]:
    return tuple((str(host), int(port)) for host, port in rows)


def _pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate_pem(der: bytes) -> bytes:
    return ssl.DER_cert_to_PEM_cert(der).encode()
