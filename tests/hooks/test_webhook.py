"""Webhooks over TLS against a real server."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from shield.hooks.delivery import Delivery, RetryError
from shield.hooks.settings import Webhook
from shield.hooks.webhook import Poster
from tests.hooks.receiver import Receiver

EVENT = {"event": "compromised", "kind": "found", "account": "10\u00e41", "value": "192.0.2.6"}


def post(settings: Webhook) -> str:
    async def main() -> str:
        poster = Poster(settings)
        try:
            return await poster.send(Delivery("node-a", 1, "compromised", EVENT, 1_800_000_000.0))
        finally:
            await poster.close()

    return asyncio.run(main())


def test_tls_is_verified(tmp_path: Path) -> None:
    """A certificate of a strange authority is refused; with ca_file it is trusted."""
    key, cert = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with Receiver(tls=context) as server:
        with pytest.raises(RetryError, match=r"(?i)certificate"):
            post(Webhook(url=server.url))
        assert not server.got
        assert post(Webhook(url=server.url, ca_file=str(cert))) == "HTTP 200"


def _certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "hooks")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return folder / "key.pem", folder / "cert.pem"
