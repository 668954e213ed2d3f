"""The authority of a cluster: signs certificates of its nodes, renews and revokes them (no I/O).

Its key lies on the node where ``shield cluster init`` was run and nowhere else. The cluster works on
without it; only joining, renewing and revoking wait.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shield.cluster.identity import (
    AUTHORITY_UNIT,
    ISSUE_SHIFT,
    Certificate,
    Identity,
    PrivateKey,
    Root,
    new_key,
    read_request,
)
from shield.cluster.names import check_name, node_uri
from shield.cluster.revocation import Revocation, Revocations
from shield.errors import RemoteError

__all__ = ["CERTIFICATE_LIFE", "Authority", "create"]

DAY = 86_400.0

CERTIFICATE_LIFE = 90 * DAY
"""Seconds: long enough to be away for two months (renewal begins at 60 days) and still come back."""

ROOT_LIFE = 20 * 365 * DAY
"""Seconds: a new authority means to join every node anew."""

TOLERANCE = DAY
"""Seconds by which validity begins before the time of issue, because clocks of nodes differ."""

MAX_ISSUED = 10_000
"""Names remembered as given away; beyond it the one issued first is forgotten."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Authority:
    """Key and memory of the authority.

    ``issued`` maps each name to the milliseconds since the epoch of its latest certificate; it must
    be kept over restarts (``rows``). ``revocations`` are those of the node, which ``revoke`` adds to.
    """

    def __init__(
        self,
        key: PrivateKey,
        certificate: bytes,
        *,
        issued: Mapping[str, int] | None = None,
        revocations: Revocations | None = None,
    ) -> None:
        self.root = Root.read(certificate)
        if self.root.public != key.public_key().public_bytes_raw():
            raise RemoteError("authority", "the certificate is for another key")
        self.key = key
        self.issued = dict(issued or {})
        self.revocations = Revocations() if revocations is None else revocations

    @property
    def cluster(self) -> str:
        """Name of the cluster."""
        return self.root.cluster

    @property
    def certificate(self) -> bytes:
        """Own certificate, DER."""
        return self.root.der

    def issue(self, name: str, public_key: bytes, wall: float, *, authority: bool = False) -> bytes:
        """Give a node certificate (DER) for a key (32 octets).

        ``authority`` marks the node that admits others. Raises InputError for a name that is none.
        """
        check_name(name)
        # Always later than what came before for this name, also when the clock was set back: a new
        # certificate must not fall under an old revocation, nor an old one escape a new revocation.
        latest = max(self.issued.get(name, -1), round(self.revocations.times.get(name, -0.001) * 1000))
        time = max(int(wall * 1000), latest + 1)
        der = self._sign_node(name, public_key, wall, serial=_serial(time), authority=authority)
        self.issued.pop(name, None)
        self.issued[name] = time
        if len(self.issued) > MAX_ISSUED:
            del self.issued[next(iter(self.issued))]
        return der

    def renew(self, certificate: Certificate, request: bytes, wall: float) -> bytes:
        """Give a new certificate (DER) to the owner of one, who has proved to be it.

        Raises RemoteError: "revoked", "expired", ... for the old certificate, "request" for a request
        that is none, "wrong_name" when it asks for another name.
        """
        certificate.check(wall, self.revocations.times)
        name, public_key = read_request(request)
        if name != certificate.name or certificate.cluster != self.cluster:
            raise RemoteError("wrong_name", f"{certificate.name} asks for a certificate for {name}")
        return self.issue(name, public_key, wall, authority=certificate.authority)

    def revoke(self, name: str, wall: float) -> Revocation:
        """Make every certificate of ``name`` issued so far void; raises InputError for a bad name."""
        check_name(name)
        time = max(int(wall * 1000), self.issued.get(name, -1))
        revocation = Revocation.make(self.key, self.cluster, name, time)
        self.revocations.add(revocation)
        return revocation

    def taken(self, name: str, wall: float) -> bool:
        """Whether somebody holds a certificate for ``name`` that is neither expired nor revoked."""
        time = self.issued.get(name)
        if time is None or time / 1000 + CERTIFICATE_LIFE < wall:
            return False
        return time / 1000 > self.revocations.times.get(name, -1.0)

    def own_identity(self, name: str, wall: float, key: PrivateKey | None = None) -> Identity:
        """Give the identity of the node that holds this authority, with ``key`` or a new one.

        Also to renew it: it asks nobody, so it may have been away until its certificate expired, or
        have got the authority's key from a backup.
        """
        key = key or new_key()
        der = self.issue(name, key.public_key().public_bytes_raw(), wall, authority=True)
        return Identity.of(key, der, self.certificate)

    def _sign_node(
        self, name: str, public_key: bytes, wall: float, *, serial: int, authority: bool
    ) -> bytes:
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        if authority:
            subject.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, AUTHORITY_UNIT))
        public = Ed25519PublicKey.from_public_bytes(public_key)
        names = [x509.DNSName(name), x509.UniformResourceIdentifier(node_uri(self.cluster, name))]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            _builder(self.cluster, x509.Name(subject), public, wall, CERTIFICATE_LIFE)
            .serial_number(serial)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        return builder.sign(self.key, None).public_bytes(Encoding.DER)


def create(cluster: str, node: str, wall: float) -> tuple[Authority, Identity]:
    """Make a cluster: its authority and the node that holds it; raises InputError for bad names."""
    check_name(cluster, "cluster name")
    check_name(node)
    key = new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cluster)])
    builder = (
        _builder(cluster, subject, key.public_key(), wall, ROOT_LIFE)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
    )
    authority = Authority(key, builder.sign(key, None).public_bytes(Encoding.DER))
    return authority, authority.own_identity(node, wall)


def _builder(
    issuer: str, subject: x509.Name, public: Ed25519PublicKey, wall: float, life: float
) -> x509.CertificateBuilder:
    """What all certificates have in common."""
    now = _EPOCH + timedelta(seconds=int(wall))
    return (
        x509.CertificateBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .subject_name(subject)
        .public_key(public)
        .not_valid_before(now - timedelta(seconds=TOLERANCE))
        .not_valid_after(now + timedelta(seconds=life))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _serial(milliseconds: int) -> int:
    """Give a serial number that holds the time of issue; the rest makes it unique."""
    return milliseconds << ISSUE_SHIFT | secrets.randbits(ISSUE_SHIFT)
