"""What the authority has revoked: signed, handed on by everybody, and never taken back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from types import MappingProxyType

from shield.cluster.identity import PrivateKey, Root, verify
from shield.cluster.names import is_name
from shield.errors import RemoteError
from shield.wire import pack_value, unpack_value

__all__ = ["MAX_REVOCATIONS", "Revocation", "Revocations"]

MAX_REVOCATION = 512
"""Octets of a signed revocation: two names and a number."""

MAX_REVOCATIONS = 10_000
"""Names kept. Only the authority can add one, and what it revoked 90 days ago has expired by itself."""

_REVOKED = b"shield revoked\x00"
# In front of what is signed: the authority's key also signs certificates, and no signature may pass
# for one that was made for something else.


@dataclass(frozen=True, slots=True)
class Revocation:
    """A node is put out: its certificates issued up to ``time`` (seconds since the epoch) are void."""

    name: str
    time: float
    body: bytes = field(repr=False)
    """msgpack array: cluster, name, time in milliseconds."""
    signature: bytes = field(repr=False)

    @staticmethod
    def make(key: PrivateKey, cluster: str, name: str, milliseconds: int) -> Revocation:
        """Sign one with the key of the authority; the time is in milliseconds since the epoch."""
        body = pack_value([cluster, name, milliseconds])
        return Revocation(name, milliseconds / 1000, body, key.sign(_REVOKED + body))

    @staticmethod
    def read(body: bytes, signature: bytes, authority_der: bytes) -> Revocation:
        """Read what a peer hands on; raises RemoteError("revocation") unless the authority signed it."""
        root = Root.read(authority_der)
        if len(body) > MAX_REVOCATION or not verify(root.public, signature, _REVOKED + body):
            raise RemoteError("revocation", "not signed by the authority of this cluster")
        match unpack_value(body):
            case [root.cluster, str(name), int(milliseconds), *_] if is_name(name):
                return Revocation(name, milliseconds / 1000, bytes(body), bytes(signature))
        raise RemoteError("revocation", "not for this cluster")


class Revocations:
    """All that is known: the union of what every node knows, of each name the latest."""

    def __init__(self, known: Iterable[Revocation] = ()) -> None:
        self._known: dict[str, Revocation] = {}
        self._times: dict[str, float] = {}
        self.times: Mapping[str, float] = MappingProxyType(self._times)
        """Name to the time up to which its certificates are void; for ``Certificate.check``."""
        self.digest = 0
        """XOR of 8 octets of each: two nodes with the same know the same."""
        for revocation in known:
            self.add(revocation)

    def add(self, revocation: Revocation) -> bool:
        """Take one in; whether it says more than was known, so that it must be kept and handed on."""
        if revocation.time <= self._times.get(revocation.name, -1.0):
            return False
        if before := self._known.get(revocation.name):
            self.digest ^= _fingerprint(before)
        self.digest ^= _fingerprint(revocation)
        self._known[revocation.name] = revocation
        self._times[revocation.name] = revocation.time
        if len(self._known) > MAX_REVOCATIONS:
            oldest = min(self._times, key=self._times.__getitem__)
            self.digest ^= _fingerprint(self._known[oldest])
            del self._known[oldest], self._times[oldest]
            return oldest != revocation.name
        return True

    def __iter__(self) -> Iterator[Revocation]:
        return iter(tuple(self._known.values()))

    def __len__(self) -> int:
        return len(self._known)


def _fingerprint(revocation: Revocation) -> int:
    return int.from_bytes(blake2b(revocation.body, digest_size=8).digest(), "big")
