"""Which addresses are SIP servers: they answer and relay, and are never judged as attackers.

A server sends requests too: it relays calls, pings phones with OPTIONS. Judged as a client it would
look like a scanner. The operator names his servers, and a live sensor knows the addresses of its own
interfaces; in a capture from elsewhere they are learned from what only a server does:

- it answers REGISTER (RFC 3261 section 10.3: only a registrar does),
- it sends on a request that it has just received (a second Via names the first client),
- it answers requests of three or more clients that are no servers.

A client cannot make itself a server this way: it would have to show the sensor requests that others
send to it. Requests that come from servers, which a registered client does receive, do not count.
"""

from __future__ import annotations

from shield.sip.recent import RecentMap

__all__ = ["Servers"]

MAX_LEARNED = 1_024
"""Learned servers; a network of more is named in the configuration."""
MAX_CANDIDATES = 8_192
"""Addresses that answered something and may turn out to be servers."""
ENOUGH_CLIENTS = 3
"""One or two peers may be the lines of one registered client; three strangers are customers."""


class Servers:
    """Known server addresses; ``known`` is read on the packet path."""

    def __init__(self, configured: frozenset[bytes] = frozenset(), *, learn: bool = True) -> None:
        self.configured = configured
        self.known: set[bytes] = set(configured)
        self.learned: set[bytes] = set()
        self._learn = learn
        self._clients: RecentMap[bytes, set[bytes]] = RecentMap(MAX_CANDIDATES, 3_600.0)

    def use(self, configured: frozenset[bytes], *, learn: bool) -> None:
        """Take over a configuration read again; what was learned stays while ``learn`` does."""
        self._learn = learn
        if not learn:
            self.known -= self.learned
            self.learned.clear()
        self.known -= self.configured - self.learned
        self.known |= configured
        self.configured = configured

    def is_ours(self, address: bytes) -> bool:
        """Whether an address is configured or of this machine: nobody can make it so from outside."""
        return address in self.known and address not in self.learned

    def answered(self, server: bytes, client: bytes, method: bytes) -> None:
        """Note that ``server`` gave a final answer to a request of ``client``."""
        if not self._learn or client in self.known:
            return
        if method == b"REGISTER":
            self._add(server)
            return
        clients = self._clients.get(server)
        if clients is None:
            clients = set()
            self._clients.put(server, clients)
        clients.add(client)
        if len(clients) >= ENOUGH_CLIENTS:
            self._clients.pop(server)
            self._add(server)

    def relayed(self, server: bytes, client: bytes) -> None:
        """Note that ``server`` sent on a request that it had received from ``client``."""
        if self._learn and client not in self.known:
            self._add(server)

    def _add(self, server: bytes) -> None:
        if len(self.learned) < MAX_LEARNED:
            self.learned.add(server)
            self.known.add(server)
