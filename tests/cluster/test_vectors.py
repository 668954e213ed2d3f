"""What is inside the messages is fixed as well: signed bodies, tokens, records, comparisons.

``docs/peer-protocol.md`` describes these; a second implementation can check itself against
``vectors/bodies.json``. Ed25519 gives the same signature for the same key and bytes each time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from shield.blocklist.decision import Decision
from shield.blocklist.shared_record import allow_key, allow_value, ban_key, ban_value, vote_key
from shield.cluster.chunks import pack_buckets, pack_digests, report
from shield.cluster.entry import bucket_of, make_seal
from shield.cluster.identity import _SIGNED
from shield.cluster.member import ENABLED, Record
from shield.cluster.messages import Here
from shield.cluster.nats_wire import inner, packed
from shield.cluster.parcels import Parcel
from shield.cluster.revocation import Revocation, Revocations
from shield.cluster.tag_claim import Claim
from shield.cluster.tokens import JoinToken
from shield.detect.alert import Proof
from shield.net import Network
from shield.wire import pack_value

VECTORS = json.loads((Path(__file__).parent / "vectors" / "bodies.json").read_text())

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SECRET = bytes(range(32, 64))
RECORD = Record(
    "edge1", 1_700_000_000_000, 3, b"certificate", (("192.0.2.1", 7170),), (("edge2", 10),), 1, ENABLED,
    "shield 0.1.0",
)  # fmt: skip
PARCEL = Parcel(
    "edge1", 1_700_000_000_000, 9, "edge3", "blocklist", 0, 0, ("put", (), None), 1_700_000_000_500
)
BANNED = Network.parse("203.0.113.7")
DECISION = Decision(
    BANNED, "password-guessing", "edge1", Proof.PROVEN, 1.7e9, 100.0, 3600.0, "edge1-1-1", "8 of 8"
)
STAMP = 1_700_000_000_000 << 16 | 5


HERE = Here(3, 2000, bytes(8), {"blocklist": report(0x0102030405060708, 9)})
EVERYBODY = Parcel("edge1", 1_700_000_000_000, 10, "", *inner(HERE), 0)


class Signer:
    """Of an identity only the key matters."""

    @staticmethod
    def sign(data: bytes) -> bytes:
        return KEY.sign(_SIGNED + data)


def pack_claim() -> tuple[bytes, bytes]:
    """A claim as it is signed."""
    claim = Claim("cdr", STAMP, "edge1", active=True, reason="by hand")
    return claim.sign(Signer())  # type: ignore[arg-type]


def examples() -> dict[str, Any]:
    """Every body by name, as bytes, text or number."""
    revoked = Revocation.make(KEY, "voice", "edge9", 1_700_000_000_000)
    token = JoinToken(
        "voice", bytes(32), (("192.0.2.1", 7170),), bytes(8), bytes(16), 1_700_000_900.0, "edge2"
    )
    value = ban_value(DECISION)
    return {
        "member body": pack_value(RECORD),
        "member signature": KEY.sign(_SIGNED + pack_value(RECORD)),
        "parcel body": pack_value(PARCEL),
        "parcel signature": KEY.sign(_SIGNED + pack_value(PARCEL)),
        "parcel to everybody": pack_value(EVERYBODY),
        "parcel to everybody signature": KEY.sign(_SIGNED + pack_value(EVERYBODY)),
        "sign of life": packed(EVERYBODY.sign(Signer())),  # type: ignore[arg-type]
        "digest of revocations": Revocations([revoked]).digest.to_bytes(8, "big"),
        "revocation body": revoked.body,
        "revocation signature": revoked.signature,
        "token": token.encode(),
        "tag claim": pack_claim()[0],
        "tag claim signature": pack_claim()[1],
        "ban key": ban_key(BANNED),
        "ban key of a network": ban_key(Network.parse("2001:db8::/64")),
        "ban value": value,
        "vote key": vote_key(BANNED, "edge1"),
        "allow key": allow_key("carrier.example.com"),
        "allow value": allow_value("our carrier", 1.7e9, endless=True),
        "seal": make_seal(SECRET, ban_key(BANNED), STAMP, value),
        "seal of a tombstone": make_seal(SECRET, ban_key(BANNED), STAMP, None),
        "bucket": bucket_of(ban_key(BANNED)),
        "report": report(0x0102030405060708, 9),
        "report with the digest of the sender's own": report(0x0102030405060708, 9, 0x1112131415161718),
        "buckets": pack_buckets([0, 9, 4095]),
        "digests": pack_digests(list(range(64))),
    }


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_a_body_never_changes(name: str) -> None:
    """Nodes of different versions sign, seal and compare the same bytes."""
    made = examples()[name]
    assert (made.hex() if isinstance(made, bytes) else made) == VECTORS[name]


def test_no_body_is_without_a_vector() -> None:
    """Who adds one adds its vector."""
    assert set(examples()) == set(VECTORS)
