"""How this node logs in to a NATS server: files of credentials, and TLS. Needs the extra ``nats``."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from shield.cluster.nats_settings import NatsSettings
from shield.errors import SystemFailure

if TYPE_CHECKING:
    from nats.aio.client import Client

__all__ = ["MISSING", "Login", "explain", "is_absence", "new_client"]

MISSING = "cluster.carrier: nats needs the NATS client: pip install 'shield-sip[nats]'"

MAX_SECRET = 64 * 1024
"""Octets of a file of credentials."""

_NO_TLS = "it offers no TLS (nothing was said to it)"


class Login:
    """The options of a connection. Files are read anew for each: what they hold may be exchanged."""

    def __init__(self, settings: NatsSettings) -> None:
        self._settings = settings

    def options(self) -> dict[str, Any]:
        """Options for ``Client.connect``; raises SystemFailure naming the setting and the file."""
        settings = self._settings
        options: dict[str, Any] = {"tls": self._context()}
        if settings.user:
            options["user"] = settings.user
            options["password"] = _secret("password_file", settings.password_file)
        elif settings.token_file:
            options["token"] = _secret("token_file", settings.token_file)
        elif settings.credentials:
            if "BEGIN NATS USER JWT" not in _secret("credentials", settings.credentials):
                raise _wrong("credentials", settings.credentials, "holds no JWT of a NATS user")
            options["user_credentials"] = settings.credentials
        elif settings.nkey:
            if not _secret("nkey", settings.nkey).startswith("SU"):
                raise _wrong("nkey", settings.nkey, "holds no seed of a NATS user (SU...)")
            options["nkeys_seed"] = settings.nkey
        return options

    def needs_tls(self, server: str) -> bool:
        """Whether nothing may be said to a server without TLS."""
        return urlsplit(server).scheme == "tls" or bool(self._settings.ca or self._settings.certificate)

    def _context(self) -> ssl.SSLContext:
        settings = self._settings
        name, path = ("ca", settings.ca)
        try:
            context = ssl.create_default_context(cafile=settings.ca or None)
            if settings.certificate:
                name, path = "certificate", settings.certificate
                context.load_cert_chain(settings.certificate, settings.key, password=_no_password)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise _wrong(name, path, explain(error)) from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


def new_client(*, needs_tls: bool) -> Client:
    """Make a client; with ``needs_tls`` it tells nothing to a server that offers no TLS.

    Raises SystemFailure when the extra is missing.
    """
    try:
        from nats.aio.client import Client
        from nats.errors import Error
    except ImportError:
        raise SystemFailure(MISSING) from None

    class Careful(Client):
        """The library believes a server, or who is between, that says it has no TLS."""

        def _connect_command(self) -> bytes:
            if needs_tls and not self._server_info.get("tls_required"):
                raise Error(_NO_TLS)
            return super()._connect_command()

    return Careful()


def explain(error: BaseException) -> str:
    """Say in a few words why there is no connection."""
    if isinstance(error, TimeoutError):
        return "no answer"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or str(error)).lower().replace('_', ' ')}"
    number = getattr(error, "errno", None) or 0
    text = os.strerror(number) if number > 0 else str(error) or type(error).__name__
    return text.removeprefix("nats: ")[:200]


def is_absence(error: BaseException) -> bool:
    """Whether nobody was there, instead of somebody who has refused us."""
    return isinstance(error, OSError | TimeoutError) and not isinstance(error, ssl.SSLError)


def _secret(name: str, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_SECRET + 1)
    except OSError as error:
        raise _wrong(name, path, error.strerror or str(error)) from None
    text = data.decode("utf-8", "replace").strip()
    if not text or len(data) > MAX_SECRET:
        raise _wrong(name, path, "is empty" if not text else f"is longer than {MAX_SECRET} bytes")
    return text


def _no_password() -> str:
    raise ValueError("the key is encrypted")


def _wrong(name: str, path: str, why: str) -> SystemFailure:
    return SystemFailure(f"cluster.nats.{name}: {path}: {why}")
