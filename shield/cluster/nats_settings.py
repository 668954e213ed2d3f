"""Section ``[cluster.nats]`` of the configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from shield.errors import ConfigError

__all__ = ["MAX_HEARTBEAT", "NatsSettings"]

MAX_HEARTBEAT = 4.0
"""Seconds: what a node has is compared with what its heartbeats report (``sync.SILENCE``)."""

MAX_SERVERS = 64
"""Servers to try one after the other."""

_SUBJECT = re.compile(r"[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,7}")


@dataclass(frozen=True, slots=True)
class NatsSettings:
    """Where the NATS servers are, and how this node logs in. Read when ``carrier`` is ``nats``."""

    servers: tuple[str, ...] = ()
    """NATS servers to try in turn, such as ``tls://nats1.example.com:4222``. With ``tls`` nothing is
    said to a server before its certificate is checked; ``nats`` allows a connection without TLS."""
    subject: str = "shield"
    """First part of all subjects: ``shield.CLUSTER.here``, ``.all`` and ``.node.NAME``."""
    heartbeat: float = 2.0
    """Seconds between two signs of life of this node, 0.1 to 4. A node of which none has come for three
    times as long is out of reach."""
    credentials: str = ""
    """File with a JWT and its seed (``.creds``), as ``nsc`` writes it."""
    nkey: str = ""
    """File with the seed of an NKey."""
    user: str = ""
    """User name, with ``password_file``."""
    password_file: str = ""
    """File with the password of ``user``."""
    token_file: str = ""
    """File with a token."""
    ca: str = ""
    """File with the certificates (PEM) that sign those of the servers; empty: those of the system."""
    certificate: str = ""
    """File with a client certificate (PEM), if the servers ask for one; with ``key``."""
    key: str = ""
    """File with the key of ``certificate`` (PEM)."""

    def __post_init__(self) -> None:
        problems = []
        if len(self.servers) > MAX_SERVERS:
            problems.append(f"cluster.nats.servers: more than {MAX_SERVERS}")
        for number, server in enumerate(self.servers[:MAX_SERVERS]):
            if why := _wrong(server):
                problems.append(f"cluster.nats.servers[{number}]: {server!r} {why}")
        if not _SUBJECT.fullmatch(self.subject):
            problems.append(
                f"cluster.nats.subject: {self.subject!r} must be 1 to 8 words of letters, digits, "
                "'_' and '-', with dots between them"
            )
        if not 0.1 <= self.heartbeat <= MAX_HEARTBEAT:
            problems.append(f"cluster.nats.heartbeat: must be between 0.1 and {MAX_HEARTBEAT:g} seconds")
        for name in ("credentials", "nkey", "password_file", "token_file", "ca", "certificate", "key"):
            path = getattr(self, name)
            if path and not path.startswith("/"):
                problems.append(f"cluster.nats.{name}: {path!r} must be an absolute path")
        if bool(self.user) != bool(self.password_file):
            problems.append("cluster.nats.user: needs password_file, and that needs user")
        if bool(self.certificate) != bool(self.key):
            problems.append("cluster.nats.certificate: needs key, and that needs certificate")
        ways = [name for name in ("credentials", "nkey", "user", "token_file") if getattr(self, name)]
        if len(ways) > 1:
            problems.append(f"cluster.nats.{ways[1]}: only one of {', '.join(ways)} can be used")
        if problems:
            raise ConfigError(*problems)

    @property
    def silence(self) -> float:
        """Seconds without a sign of life after which a node is out of reach."""
        return 3 * self.heartbeat


def _wrong(server: str) -> str:
    """Why a text is no address of a server; empty when it is one."""
    try:
        parts = urlsplit(server)
        port = parts.port
    except ValueError:
        return "is no address such as tls://nats.example.com:4222"
    if parts.scheme not in ("nats", "tls") or not parts.hostname or port == 0:
        return "is no address such as tls://nats.example.com:4222"
    if parts.username or parts.password:
        return "must hold no password: use user and password_file, or token_file"
    if parts.path.strip("/") or parts.query or parts.fragment:
        return "must end after host and port"
    return ""
