"""Webhook: posts events to a web server, with TLS verified and redirects refused."""

from __future__ import annotations

import hashlib
import hmac
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from shield.errors import ConfigError, SystemFailure
from shield.hooks.delivery import Delivery, RetryError
from shield.hooks.settings import Webhook

if TYPE_CHECKING:
    import httpx

__all__ = ["Poster"]

AGAIN = frozenset({408, 425, 429})
"""Answers that ask for another try, beside those of 500 and above."""
MAX_FILE = 65_536
"""Bytes of a token or secret."""
MAX_AFTER = 86_400.0


class Poster:
    """One web server. Making it reads the files that its settings name; raises ConfigError."""

    parallel = 1
    """One after the other: events arrive in their order."""

    def __init__(self, settings: Webhook) -> None:
        self.name = settings.name
        self.events = frozenset(settings.events)
        self._settings = settings
        self._secret = _read(settings.secret_file, "secret_file")
        self._headers = {"Content-Type": "application/json", "User-Agent": "shield"}
        for line in settings.headers:
            name, _, value = line.partition(":")
            self._headers[name] = value.strip()
        if token := _read(settings.token_file, "token_file"):
            self._headers["Authorization"] = f"Bearer {token.decode('ascii', 'replace')}"
        self._tls = _context(settings)
        self._client: httpx.AsyncClient | None = None

    async def send(self, delivery: Delivery) -> str:
        """Post one event; gives the status. Raises RetryError, or SystemFailure when it is refused."""
        import httpx

        if (
            self._client is None
        ):  # httpx is loaded when the first event is there: not each node has hooks
            self._client = httpx.AsyncClient(
                verify=self._tls, timeout=self._settings.timeout, follow_redirects=False,
                trust_env=False,
            )  # fmt: skip
        headers = {**self._headers, "X-Shield-Event": delivery.event, "X-Shield-Delivery": delivery.id}
        if self._secret:
            digest = hmac.new(self._secret, delivery.body, hashlib.sha256).hexdigest()
            headers["X-Shield-Signature"] = f"sha256={digest}"
        try:
            async with self._client.stream(
                "POST", self._settings.url, content=delivery.body, headers=headers
            ) as answer:
                status, after = answer.status_code, answer.headers.get("Retry-After", "")
        except httpx.TimeoutException:
            raise RetryError(f"no answer within {self._settings.timeout:g} s") from None
        except httpx.HTTPError as error:
            raise RetryError(str(error) or repr(error)) from None
        if 200 <= status < 300:
            return f"HTTP {status}"
        if status in AGAIN or status >= 500:
            seconds = min(MAX_AFTER, float(after)) if after.isdecimal() else 0.0
            raise RetryError(f"HTTP {status}", seconds)
        raise SystemFailure(f"refused: HTTP {status}")

    async def close(self) -> None:
        """Close connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def _context(settings: Webhook) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"hooks.webhook: ca_file: {settings.ca_file}: {error}") from None


def _read(path: str, key: str) -> bytes:
    """The one line of a file; empty without one."""
    if not path:
        return b""
    try:
        with Path(path).open("rb") as file:
            text = file.read(MAX_FILE).strip()
    except OSError as error:
        raise ConfigError(f"hooks.webhook: {key}: {path}: {error.strerror or error}") from None
    if not text:
        raise ConfigError(f"hooks.webhook: {key}: {path}: is empty")
    return text
