"""Clusters, identities and TLS handshakes for tests."""

from __future__ import annotations

import ssl
from functools import cache

from shield.cluster.authority import Authority, create
from shield.cluster.identity import Identity, make_request, new_key, read_request

WALL = 1_800_000_000.0
"""Seconds since the epoch at which the clusters of tests are made."""


@cache
def cluster(name: str = "shield", node: str = "a", wall: float = WALL) -> tuple[Authority, Identity]:
    """A cluster that tests share; make another with `create` to change it."""
    return create(name, node, wall)


def member(authority: Authority, name: str, wall: float = WALL) -> Identity:
    """A node with a certificate of ``authority``."""
    key = new_key()
    _, public = read_request(make_request(key, name))
    return Identity.of(key, authority.issue(name, public, wall), authority.certificate)


class Handshake:
    """Client and server of one TLS connection, in memory."""

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext) -> None:
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server.wrap_bio(to_server, to_client, server_side=True)
        self.client = client.wrap_bio(to_client, to_server)

    def run(self) -> None:
        """Do the handshake and send a byte both ways; raises ssl.SSLError when a side refuses."""
        waiting = [self.client.do_handshake, self.server.do_handshake]
        for _ in range(10):
            waiting = [step for step in waiting if not _done(step)]
            if not waiting:
                break
        assert not waiting
        self.server.write(b"s")
        # TLS 1.3: a client hears only now that the server refused its certificate.
        assert self.client.read(1) == b"s"
        self.client.write(b"c")
        assert self.server.read(1) == b"c"


def _done(step: object) -> bool:
    try:
        step()  # type: ignore[operator]
    except ssl.SSLWantReadError:
        return False
    return True
