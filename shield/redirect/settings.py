"""Section ``[redirect]`` of the configuration: answers for proxies, over SIP."""

from __future__ import annotations

from dataclasses import dataclass

from shield.cluster.settings import parse_address
from shield.errors import ConfigError, InputError
from shield.net import Network

__all__ = ["DEFAULT_PORT", "RedirectSettings"]

DEFAULT_PORT = 5060


@dataclass(frozen=True, slots=True)
class RedirectSettings:
    """A SIP server that answers each question with 302 and the serving node, or 404."""

    listen: tuple[str, ...] = ()
    """Addresses with ports, UDP and TCP, such as ``127.0.0.1:5070``. Empty: no responder."""
    allow: tuple[str, ...] = ("127.0.0.0/8", "::1")
    """Addresses and networks that may ask, besides this machine and ``detect.servers``; others get no
    answer. Who may ask finds out who is online."""
    rate: int = 2_000
    """Questions a second of one address that are answered; beyond, the rest is dropped and counted."""

    def __post_init__(self) -> None:
        problems = []
        for text in self.listen:
            try:
                parse_address(text, DEFAULT_PORT, lowest=0)
            except (InputError, ConfigError) as error:
                problems.append(f"redirect.listen: {error}")
        for text in self.allow:
            try:
                Network.parse(text)
            except InputError as error:
                problems.append(f"redirect.allow: {error}")
        if not 1 <= self.rate <= 1_000_000:
            problems.append("redirect.rate: must be between 1 and 1000000")
        if problems:
            raise ConfigError(*problems)
