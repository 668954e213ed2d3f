"""TLS contexts of a node, made once and anew when its certificate is renewed."""

from __future__ import annotations

import ssl

from shield.cluster.identity_files import Directory

__all__ = ["Contexts"]


class Contexts:
    """Credentials for the carrier, from a directory."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self.renew()

    def renew(self) -> None:
        """Read the files again; connections that exist go on as they are."""
        self._server = self._directory.server_context()
        self._client = self._directory.client_context()

    def server_context(self, *, guests: bool) -> ssl.SSLContext:
        """For who connects to us; with ``guests`` also for somebody without a certificate."""
        self._server.verify_mode = ssl.CERT_OPTIONAL if guests else ssl.CERT_REQUIRED
        return self._server

    def client_context(self) -> ssl.SSLContext:
        """For those that we connect to."""
        return self._client
