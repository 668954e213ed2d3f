"""A real nats-server on loopback: TLS, users, and every way in which it can fail."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from shield.cluster.nats_settings import NatsSettings

PASSWORD = "correct horse"
STRANGER = "stranger"
"""Name and password of a user who may do what the nodes may, and is none."""
START_SECONDS = 10.0


class NatsServer:
    """Stopped at the end of the block. ``folder`` holds configuration, certificates and log.

    ``login``: what its configuration says of who may log in, instead of two users with passwords.
    """

    def __init__(
        self, folder: Path, *, tls: bool = True, max_payload: int | None = None, login: str = ""
    ) -> None:
        self.folder = folder
        self.tls = tls
        folder.mkdir(exist_ok=True)
        self.port = free_port()
        self.ca = folder / "ca.pem"
        self.password = folder / "password"
        self.password.write_text(PASSWORD + "\n")
        make_certificates(folder)
        users = f'{{user: node, password: "{PASSWORD}"}}, {{user: {STRANGER}, password: {STRANGER}}}'
        lines = [
            f"listen: 127.0.0.1:{self.port}",
            f'log_file: "{folder}/server.log"',
            login or f"authorization {{ users: [{users}] }}",
        ]
        if max_payload:
            lines.append(f"max_payload: {max_payload}")
        if tls:
            lines.append(f'tls {{ cert_file: "{folder}/server.pem", key_file: "{folder}/server.key" }}')
        self.config = folder / "server.conf"
        self.config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        return f"{'tls' if self.tls else 'nats'}://127.0.0.1:{self.port}"

    def settings(self, *, password: Path | None = None, heartbeat: float = 0.2) -> NatsSettings:
        """Settings of a node that may log in."""
        return NatsSettings(
            servers=(self.url,),
            heartbeat=heartbeat,
            user="node",
            password_file=str(password or self.password),
            ca=str(self.ca) if self.tls else "",
        )

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = subprocess.Popen(
            ["nats-server", "-c", str(self.config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            assert self._process.poll() is None, (self.folder / "server.log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError("nats-server does not listen")

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it do nothing, with all its connections."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_certificates(folder: Path) -> None:
    """An authority for servers, and a certificate for 127.0.0.1."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authority of {folder.name}")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    ca = (
        _certificate(ca_name, ca_name, ca_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "nats")])
    server = (
        _certificate(name, ca_name, key.public_key())
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    (folder / "server.pem").write_bytes(server.public_bytes(serialization.Encoding.PEM))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def _certificate(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
    )
