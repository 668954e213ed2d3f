"""Protected: what no ban of another node may hit here, whatever its origin knows.

Our own SIP servers, the nodes of the cluster (who dropped the packets of one would hear nothing of it
any more, least of all that the ban was taken back), what the own allowlist covers, and networks so large
that somebody good is in them.
"""

from __future__ import annotations

from collections.abc import Iterable

from shield.blocklist.allowlist import Allowlist
from shield.blocklist.aside import Why
from shield.blocklist.sharing_settings import SharingSettings
from shield.errors import InputError
from shield.net import Network, pack
from shield.sip.servers import Servers

__all__ = ["Protected"]


class Protected:
    """Says why a network must not be banned on another node's word."""

    def __init__(self, settings: SharingSettings, allowlist: Allowlist, servers: Servers) -> None:
        self._settings = settings
        self._allowlist = allowlist
        self._servers = servers
        self._nodes: dict[str, frozenset[bytes]] = {}
        """Addresses of the other nodes."""
        self._members: frozenset[bytes] = frozenset()
        """All of them."""

    def refuses(self, network: Network) -> Why | None:
        """Reason not to apply a ban of another node."""
        if network.is_host:
            if network.address in self._servers.known and network.address not in self._servers.learned:
                return Why.OWN_SERVER
            if network.address in self._members:
                return Why.MEMBER
        else:
            settings = self._settings
            shortest = settings.min_prefix_v4 if network.version == 4 else settings.min_prefix_v6
            if network.length < shortest:
                return Why.PREFIX
            own = self._servers.known - self._servers.learned
            if any(network.contains(Network.host(server)) for server in own):
                return Why.OWN_SERVER
            if any(network.contains(Network.host(address)) for address in self._members):
                return Why.MEMBER
        return None if self._allowlist.covers_network(network) is None else Why.ALLOWLISTED

    def refuses_weak(self, network: Network) -> Why | None:
        """Reason not to apply an unproven ban: what answers like a server is no target of one either."""
        if not network.is_host:
            return Why.PREFIX
        learned = network.address in self._servers.learned
        return Why.OWN_SERVER if learned else self.refuses(network)

    def note(self, node: str, hosts: Iterable[str]) -> tuple[frozenset[bytes], bool]:
        """Note where a node is reached; gives what is new, and whether something is free now."""
        found = frozenset(address for host in hosts if (address := _packed(host)) is not None)
        fresh, self._nodes[node] = found - self._members, found
        return fresh, self._gather()

    def forget(self, node: str) -> bool:
        """Forget a node that has no part in the cluster any more; tells whether something is free now.

        And ``""``, the addresses known from before the start: its own may be among them.
        """
        for name in (node, ""):
            self._nodes.pop(name, None)
        return self._gather()

    def _gather(self) -> bool:
        before, self._members = self._members, frozenset().union(*self._nodes.values())
        return bool(before - self._members)


def _packed(host: str) -> bytes | None:
    try:
        return pack(host)
    except InputError:  # a name: the connection is made to whatever it resolves to, later
        return None
