"""Identities: certificates of this cluster are read, everything else is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import given
from hypothesis import strategies as st

from shield.cluster.authority import CERTIFICATE_LIFE, DAY, create
from shield.cluster.identity import (
    MAX_CERTIFICATE,
    Certificate,
    Identity,
    PrivateKey,
    Root,
    make_request,
    needs_renewal,
    new_key,
    read_request,
)
from shield.errors import RemoteError
from tests.cluster.identities import WALL, cluster, member

A_DAY = timedelta(days=1)


def forge(signer: PrivateKey, **changes: Any) -> bytes:
    """A node certificate signed by ``signer``, right but for the ``changes``."""
    parts: dict[str, Any] = {
        "name": "b",
        "dns": "b",
        "uri": "shield:shield/b",
        "ca": False,
        "usages": [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
        "key": new_key().public_key(),
        "serial": int(WALL * 1000) << 64,
        **changes,
    }
    now = datetime.fromtimestamp(WALL, UTC)
    names = [x509.DNSName(parts["dns"]), x509.UniformResourceIdentifier(parts["uri"])]
    builder = (
        x509.CertificateBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "shield")]))
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, parts["name"])]))
        .public_key(parts["key"])
        .serial_number(parts["serial"])
        .not_valid_before(now - A_DAY)
        .not_valid_after(now + 90 * A_DAY)
        .add_extension(x509.BasicConstraints(ca=parts["ca"], path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(parts["usages"]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return builder.sign(signer, None).public_bytes(Encoding.DER)


def reason_of(call: Any, *arguments: Any) -> str:
    with pytest.raises(RemoteError) as caught:
        call(*arguments)
    return caught.value.reason


def test_a_certificate_says_who_where_and_when() -> None:
    """Name, cluster, validity and the true time of issue are read from a certificate."""
    authority, _ = create("shield", "a", WALL)
    identity = member(authority, "b", WALL + 0.25)
    read = Certificate.read(identity.certificate, authority.certificate)
    assert (read.name, read.cluster, read.authority) == ("b", "shield", False)
    assert read.issued == WALL + 0.25
    assert read.not_before == WALL - DAY
    assert read.not_after == identity.expires == WALL + CERTIFICATE_LIFE
    assert read.der == identity.certificate
    assert read == identity.own


def test_a_certificate_of_another_authority_is_refused() -> None:
    """A cluster of the same name is still another cluster: the key counts."""
    authority, _ = cluster()
    other, _ = create("shield", "a", WALL)
    stranger = member(other, "b")
    assert reason_of(Certificate.read, stranger.certificate, authority.certificate) == "certificate"


def test_only_the_key_is_needed_to_check_a_certificate() -> None:
    """A join token holds nothing of the authority but its key."""
    authority, identity = cluster()
    public = authority.root.public
    assert Certificate.signed_by(identity.certificate, "shield", public) == identity.own
    assert reason_of(Certificate.signed_by, identity.certificate, "other", public) == "certificate"
    assert reason_of(Certificate.signed_by, identity.certificate, "shield", bytes(32)) == "certificate"


def test_the_forger_makes_certificates_that_are_read() -> None:
    """The cases below fail because of their one change and nothing else."""
    authority, _ = cluster()
    assert Certificate.read(forge(authority.key), authority.certificate).name == "b"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "B"},
        {"name": "c"},
        {"dns": "c"},
        {"uri": "shield:other/b"},
        {"uri": "shield:shield/c"},
        {"ca": True},
        {"usages": [ExtendedKeyUsageOID.SERVER_AUTH]},
        {"usages": [ExtendedKeyUsageOID.CLIENT_AUTH]},
        {"key": ec.generate_private_key(ec.SECP256R1()).public_key()},
    ],
    ids=",".join,
)
def test_a_certificate_is_for_a_node_or_refused(change: dict[str, Any]) -> None:
    """Even what the authority's key signed counts only with the names and purposes of a node."""
    authority, _ = cluster()
    assert reason_of(Certificate.read, forge(authority.key, **change), authority.certificate) == (
        "certificate"
    )


def test_a_forged_certificate_with_the_right_name_is_refused() -> None:
    """Signed by anybody but the authority, a perfect certificate is worth nothing."""
    authority, _ = cluster()
    node = member(authority, "c")
    for signer in (new_key(), node.key):
        assert reason_of(Certificate.read, forge(signer), authority.certificate) == "certificate"


@given(noise=st.binary(max_size=300), place=st.integers(0, 400))
def test_noise_is_refused_and_nothing_else_happens(noise: bytes, place: int) -> None:
    """Whatever bytes a peer sends as certificate, request or authority: RemoteError."""
    authority, identity = cluster()
    spoiled = identity.certificate[:place] + noise + identity.certificate[place + len(noise) :]
    for der in (noise, spoiled):
        if der != identity.certificate:
            assert reason_of(Certificate.read, der, authority.certificate) == "certificate"
            assert reason_of(Root.read, der) in {"authority", "certificate"}
            assert reason_of(read_request, der) == "request"


def test_oversize_is_refused_before_it_is_parsed() -> None:
    """A certificate is small; what is larger is none."""
    _, identity = cluster()
    large = bytes(MAX_CERTIFICATE + 1)
    assert reason_of(Certificate.read, large, identity.authority) == "certificate"
    assert reason_of(read_request, large) == "request"


def test_validity_and_revocation_are_checked_at_a_time() -> None:
    """Expired, not yet valid and revoked have reasons of their own; at other times all is well."""
    authority, _ = create("shield", "a", WALL)
    read = member(authority, "b").own
    read.check(WALL, {})
    read.check(WALL, {"c": WALL + 1, "b": WALL - 0.001})
    assert reason_of(read.check, WALL + CERTIFICATE_LIFE + 1, {}) == "expired"
    assert reason_of(read.check, WALL - DAY - 1, {}) == "not_yet_valid"
    assert reason_of(read.check, WALL, {"b": WALL}) == "revoked"


def test_a_clock_that_is_hours_behind_accepts_new_certificates() -> None:
    """Clocks of nodes differ by hours without harm."""
    authority, _ = cluster()
    member(authority, "b").own.check(WALL - 23 * 3600, {})


def test_renewal_begins_when_a_third_of_the_life_is_left() -> None:
    """A node has 30 days to reach the authority."""
    read = cluster()[1].own
    assert not needs_renewal(read, WALL + CERTIFICATE_LIFE * 0.66)
    assert needs_renewal(read, WALL + CERTIFICATE_LIFE * 0.67)


def test_what_a_node_signs_only_its_certificate_verifies() -> None:
    """Another node's certificate, other data and garbage do not."""
    authority, identity = cluster()
    signature = identity.sign(b"data")
    assert len(signature) == 64
    assert identity.own.verify(signature, b"data")
    assert not identity.own.verify(signature, b"data.")
    assert not identity.own.verify(b"", b"data")
    assert not member(authority, "b").own.verify(signature, b"data")


def test_a_signature_for_a_peer_is_none_over_the_bare_data() -> None:
    """A node cannot be made to sign a TLS handshake or a request in disguise."""
    _, identity = cluster()
    assert identity.key.sign(b"data") != identity.sign(b"data")


def test_secrets_differ_by_purpose_and_node_and_outlive_renewal() -> None:
    """Seals made before a renewal are still good after it, those of other nodes never are."""
    authority, _ = create("shield", "a", WALL)
    node = member(authority, "b")
    fresh = node.renewed(authority.renew(node.own, node.request(), WALL + 60 * DAY))
    assert fresh.expires > node.expires
    assert len(node.secret(b"seal")) == 32
    assert fresh.secret(b"seal") == node.secret(b"seal") != node.secret(b"other")
    assert member(authority, "b").secret(b"seal") != node.secret(b"seal")


def test_an_identity_shows_no_key() -> None:
    """A log line with an identity in it gives nothing away."""
    _, identity = cluster()
    assert identity.key.private_bytes_raw().hex() not in repr(identity)
    assert "key" not in repr(identity)


def test_a_certificate_for_another_key_or_name_makes_no_identity() -> None:
    """What does not belong together is noticed before it is used."""
    authority, identity = cluster()
    other = member(authority, "b")
    assert reason_of(Identity.of, other.key, identity.certificate, authority.certificate) == "identity"
    public = identity.own.public
    assert reason_of(identity.renewed, authority.issue("c", public, WALL)) == "identity"


def test_a_request_proves_that_its_key_is_owned() -> None:
    """A request that another key signed (somebody else's public key in it) is refused."""
    mine, theirs = make_request(new_key(), "b"), make_request(new_key(), "b")
    name, public = read_request(mine)
    assert name == "b"
    swapped = theirs.replace(read_request(theirs)[1], public)
    assert swapped != theirs
    assert reason_of(read_request, swapped) == "request"


@pytest.mark.parametrize("name", ["B", "a b", "x" * 64])
def test_a_request_for_no_name_is_refused(name: str) -> None:
    """The authority never sees names that are none."""
    assert reason_of(read_request, make_request(new_key(), name)) == "request"


def test_a_request_with_another_kind_of_key_is_refused() -> None:
    """Only Ed25519: one kind of signature everywhere."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "b")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, SHA256())
    assert reason_of(read_request, request.public_bytes(Encoding.DER)) == "request"


def test_a_node_is_no_authority() -> None:
    """A node certificate in place of the authority's is refused: nodes cannot admit in its name."""
    authority, identity = cluster()
    assert reason_of(Root.read, identity.certificate) == "authority"
    assert reason_of(Root.read, forge(authority.key)) == "authority"
    assert Root.read(authority.certificate).public == authority.root.public


def test_certificates_are_values() -> None:
    """The same bytes are parsed once and compare equal."""
    _, identity = cluster()
    assert identity.own is identity.own
    assert replace(identity.own) == identity.own
