"""The explicit list of backends."""

from __future__ import annotations

from collections.abc import Callable

from shield.errors import ConfigError
from shield.firewall.backend import Backend
from shield.firewall.dryrun import DryRunBackend
from shield.firewall.iptables import IptablesBackend
from shield.firewall.nftables import NftablesBackend
from shield.firewall.settings import FirewallSettings

__all__ = ["BACKENDS", "make_backend"]

BACKENDS: dict[str, Callable[[FirewallSettings], Backend]] = {
    "nftables": NftablesBackend,
    "iptables": IptablesBackend,
    "dryrun": DryRunBackend,
}


def make_backend(settings: FirewallSettings) -> Backend:
    """Make the backend that the settings name; it is not open yet."""
    try:
        factory = BACKENDS[settings.backend]
    except KeyError:
        known = ", ".join(BACKENDS)
        raise ConfigError(f"firewall.backend: {settings.backend!r} is not one of {known}") from None
    return factory(settings)
