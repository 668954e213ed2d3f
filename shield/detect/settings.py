"""Settings of detection."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DetectSettings"]


@dataclass(frozen=True, slots=True)
class DetectSettings:
    """What detection knows about this site and how much it may remember."""

    rules: str = "/etc/shield/rules"
    """Directory of own rules; one with the name of a built-in rule replaces it."""
    disabled: tuple[str, ...] = ()
    """Names of rules that are switched off."""
    servers: tuple[str, ...] = ()
    """Addresses of our own SIP servers; they are never judged. A live sensor adds
    the addresses of its interfaces by itself."""
    learn_servers: bool = True
    """Also take as servers the addresses that answer REGISTER or relay the requests of others."""
    domains: tuple[str, ...] = ()
    """Our SIP domains. Rules about foreign domains are silent while this is empty."""
    max_sources: int = 200_000
    """Client addresses remembered at most; the longest silent one without history goes first."""
    trust_time: float = 43_200.0
    """Seconds for which one accepted login or answered call keeps a source trusted."""
