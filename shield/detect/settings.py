"""Settings of detection."""

from __future__ import annotations

from dataclasses import dataclass

from shield.errors import ConfigError, InputError
from shield.net import Network

__all__ = ["DetectSettings", "EvidenceSettings"]


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

    def addresses(self) -> frozenset[bytes]:
        """Packed ``servers``; raises ConfigError naming a wrong one."""
        found = set()
        for text in self.servers:
            try:
                network = Network.parse(text)
            except InputError as error:
                raise ConfigError(f"detect.servers: {error}") from None
            if not network.is_host:
                raise ConfigError(f"detect.servers: {text}: give single addresses")
            found.add(network.address)
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class EvidenceSettings:
    """What the nodes of a cluster tell each other about sources that are below every limit."""

    share: bool = True
    """Tell what rules counted here, and judge by what all nodes counted together. Users, numbers and
    Call-IDs travel as hashes with a secret of the cluster."""
    rate: int = 16_384
    """Octets a second that this node tells at most, to each other one. A scan of 1,000 sources at once
    needs about twice that for some seconds; the most suspicious sources go first."""

    def __post_init__(self) -> None:
        if not 1_024 <= self.rate <= 10_000_000:
            raise ConfigError("evidence.rate: must be between 1024 and 10000000")
