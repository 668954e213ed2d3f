"""Who a node is: its name, key and certificate.

Every node has an Ed25519 key and a certificate for it that the authority of the cluster has signed.
Nothing that a foreign certificate says is used before that signature has been checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from shield.cluster.names import is_name, node_uri
from shield.errors import RemoteError

__all__ = [
    "AUTHORITY_UNIT",
    "ISSUE_SHIFT",
    "MAX_CERTIFICATE",
    "Certificate",
    "Identity",
    "PrivateKey",
    "Root",
    "make_request",
    "needs_renewal",
    "new_key",
    "read_request",
    "verify",
]

MAX_CERTIFICATE = 4096
"""Octets of a certificate or a request for one; ours take about 500."""

CACHED = 1024
"""Certificates whose signature is not checked again: all members of a large cluster."""

ISSUE_SHIFT = 64
"""A serial number is the time of issue in milliseconds before these many random bits."""

AUTHORITY_UNIT = "authority"
"""Organizational unit of the node that admits others: only to it a joiner shows its token."""

_SIGNED = b"shield signed\x00"
# In front of what a node signs, so that no such signature can be passed off as one that its key made
# for a TLS handshake or a certificate request.

_ED25519 = bytes.fromhex("300506032b6570034100")
"""Algorithm identifier (RFC 8410) and head of the signature at the end of a certificate."""

_PURPOSES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)

PrivateKey = Ed25519PrivateKey


def new_key() -> PrivateKey:
    """Make a private key."""
    return Ed25519PrivateKey.generate()


def make_request(key: PrivateKey, name: str) -> bytes:
    """Give a certificate request (PKCS #10, DER) for ``name``, signed by the key itself."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, None).public_bytes(Encoding.DER)


def read_request(der: bytes) -> tuple[str, bytes]:
    """Give name and public key (32 octets) of a certificate request.

    Raises RemoteError("request") unless it is signed by the very key that it holds: whoever asks for
    a certificate must own the key.
    """
    if len(der) > MAX_CERTIFICATE:
        raise RemoteError("request", f"longer than {MAX_CERTIFICATE} octets")
    try:
        request = x509.load_der_x509_csr(der)
        key = request.public_key()
        if not isinstance(key, Ed25519PublicKey):
            raise RemoteError("request", "the key is not Ed25519")
        key.verify(request.signature, request.tbs_certrequest_bytes)
        name = _common_name(request.subject)
    except RemoteError:
        raise
    except InvalidSignature:
        raise RemoteError("request", "not signed by its own key") from None
    except Exception as error:  # noqa: BLE001 - the parser documents no complete list of its errors
        raise RemoteError("request", f"cannot be read: {error}") from None
    if not is_name(name):
        raise RemoteError("request", "its name is not fit for a node")
    return name, key.public_bytes_raw()


class Root(NamedTuple):
    """The certificate of an authority: the one thing in it that counts is the key."""

    cluster: str
    public: bytes
    """Its Ed25519 key, 32 octets; what join tokens pin."""
    der: bytes

    @staticmethod
    def read(der: bytes) -> Root:
        """Read a certificate of an authority; raises RemoteError("authority")."""
        return _read_root(bytes(der))


@lru_cache(maxsize=16)
def _read_root(der: bytes) -> Root:
    try:
        certificate = _load(der)
        key = certificate.public_key()
        if not isinstance(key, Ed25519PublicKey):
            raise RemoteError("authority", "the key is not Ed25519")
        key.verify(certificate.signature, certificate.tbs_certificate_bytes)
        if not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            raise RemoteError("authority", "the certificate is not that of an authority")
        cluster = _common_name(certificate.subject)
    except RemoteError:
        raise
    except InvalidSignature:
        raise RemoteError("authority", "not signed by itself") from None
    except Exception as error:  # noqa: BLE001 - see read_request
        raise RemoteError("authority", f"cannot be read: {error}") from None
    if not is_name(cluster):
        raise RemoteError("authority", "its name is not fit for a cluster")
    return Root(cluster, key.public_bytes_raw(), der)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A node's certificate, known to be signed by the authority. Times are seconds since the epoch."""

    name: str
    cluster: str
    serial: int
    not_before: float
    """A day before it was issued, because clocks of nodes differ."""
    not_after: float
    authority: bool
    """Whether this node admits others."""
    public: bytes = field(repr=False)
    """Its Ed25519 key, 32 octets."""
    der: bytes = field(repr=False)

    @staticmethod
    def read(der: bytes, authority_der: bytes) -> Certificate:
        """Read a foreign certificate.

        Raises RemoteError("certificate") unless the authority has signed it, for a node of its
        cluster, as server and client. Says nothing about time and revocation: ``check`` does.
        """
        root = Root.read(authority_der)
        return _read_certificate(bytes(der), root.cluster, root.public)

    @staticmethod
    def signed_by(der: bytes, cluster: str, public: bytes) -> Certificate:
        """The same for who knows only the key of the authority (32 octets), from a join token."""
        return _read_certificate(bytes(der), cluster, public)

    @property
    def issued(self) -> float:
        """When the authority made it, to the millisecond; what revocations compare."""
        return (self.serial >> ISSUE_SHIFT) / 1000

    def check(self, wall: float, revoked: Mapping[str, float]) -> None:
        """Raise RemoteError("revoked", "not_yet_valid" or "expired") unless it counts at ``wall``.

        ``revoked`` is a mapping of names to the time up to which their certificates are void.
        """
        if self.issued <= revoked.get(self.name, -1.0):
            raise RemoteError("revoked", f"{self.name} was put out of the cluster")
        if wall < self.not_before:
            raise RemoteError("not_yet_valid", f"certificate of {self.name}; is a clock wrong?")
        if wall > self.not_after:
            raise RemoteError("expired", f"certificate of {self.name}")

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Whether the owner of this certificate has signed ``data``."""
        return verify(self.public, signature, _SIGNED + data)


def needs_renewal(certificate: Certificate, wall: float) -> bool:
    """Whether no more than a third of its life is left."""
    return wall >= certificate.not_after - (certificate.not_after - certificate.issued) / 3


@lru_cache(maxsize=CACHED)
def _read_certificate(der: bytes, cluster: str, public: bytes) -> Certificate:
    try:
        certificate = _load(der)
        # First of all: what follows reads only what the authority has written.
        Ed25519PublicKey.from_public_bytes(public).verify(
            certificate.signature, certificate.tbs_certificate_bytes
        )
        return _node_certificate(certificate, cluster, der)
    except RemoteError:
        raise
    except InvalidSignature:
        raise RemoteError("certificate", "not signed by the authority of this cluster") from None
    except Exception as error:  # noqa: BLE001 - see read_request
        raise RemoteError("certificate", f"cannot be read: {error}") from None


def _node_certificate(certificate: x509.Certificate, cluster: str, der: bytes) -> Certificate:
    name = _common_name(certificate.subject)
    key = certificate.public_key()
    extension = certificate.extensions.get_extension_for_class
    names = extension(x509.SubjectAlternativeName).value
    if not is_name(name) or names.get_values_for_type(x509.DNSName) != [name]:
        raise RemoteError("certificate", "names differ")
    if names.get_values_for_type(x509.UniformResourceIdentifier) != [node_uri(cluster, name)]:
        raise RemoteError("certificate", "not for a node of this cluster")
    if extension(x509.BasicConstraints).value.ca or not isinstance(key, Ed25519PublicKey):
        raise RemoteError("certificate", "not that of a node")
    usages = extension(x509.ExtendedKeyUsage).value
    if not all(purpose in usages for purpose in _PURPOSES):
        raise RemoteError("certificate", "not for servers and clients")
    units = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return Certificate(
        name=name,
        cluster=cluster,
        serial=certificate.serial_number,
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        authority=any(unit.value == AUTHORITY_UNIT for unit in units),
        public=key.public_bytes_raw(),
        der=der,
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """This node: what it shows to others, and the key that proves it. Raises RemoteError("identity")."""

    name: str
    cluster: str
    certificate: bytes = field(repr=False)
    """DER."""
    authority: bytes = field(repr=False)
    """Certificate of the authority, DER."""
    expires: float
    """Seconds since the epoch."""
    key: PrivateKey = field(repr=False, compare=False)

    @classmethod
    def of(cls, key: PrivateKey, certificate_der: bytes, authority_der: bytes) -> Self:
        """Put together what belongs together; raises RemoteError when it does not."""
        certificate = Certificate.read(certificate_der, authority_der)
        if certificate.public != key.public_key().public_bytes_raw():
            raise RemoteError("identity", "the certificate is for another key")
        name, cluster = certificate.name, certificate.cluster
        return cls(name, cluster, certificate.der, authority_der, certificate.not_after, key)

    @property
    def own(self) -> Certificate:
        """This node's certificate as others read it."""
        return Certificate.read(self.certificate, self.authority)

    def sign(self, data: bytes) -> bytes:
        """Give an Ed25519 signature, 64 octets, that ``Certificate.verify`` accepts."""
        return self.key.sign(_SIGNED + data)

    def secret(self, purpose: bytes) -> bytes:
        """Give 32 octets that only this key leads to; each purpose (1 to 64 octets) has its own.

        They stay the same when the certificate is renewed, because the key does.
        """
        return blake2b(purpose, key=self.key.private_bytes_raw(), person=b"shield secret").digest()[:32]

    def request(self) -> bytes:
        """Give a request for a renewed certificate (PKCS #10, DER)."""
        return make_request(self.key, self.name)

    def renewed(self, certificate_der: bytes) -> Identity:
        """Give the same node with its new certificate; raises RemoteError when it is not for it."""
        fresh = Identity.of(self.key, certificate_der, self.authority)
        if fresh.name != self.name:
            raise RemoteError("identity", f"a certificate for {fresh.name}, not for {self.name}")
        return fresh


def _load(der: bytes) -> x509.Certificate:
    if len(der) > MAX_CERTIFICATE:
        raise RemoteError("certificate", f"longer than {MAX_CERTIFICATE} octets")
    certificate = x509.load_der_x509_certificate(der)
    # The signature does not cover the octets around itself: they must be the usual ones, so that
    # one certificate has one spelling.
    if not der.endswith(_ED25519 + certificate.signature):
        raise RemoteError("certificate", "not signed with Ed25519")
    return certificate


def _common_name(subject: x509.Name) -> str:
    (name,) = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(name.value)


def verify(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the owner of an Ed25519 key (32 octets) has signed exactly ``data``."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, data)
    except InvalidSignature:
        return False
    return True
