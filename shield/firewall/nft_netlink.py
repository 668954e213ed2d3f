"""The netlink socket to nf_tables: transactions in, questions and answers out.

A transaction is worked off by the kernel inside ``send``, so its answers are there afterwards
without waiting. One object belongs to one thread.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from shield.errors import SystemFailure
from shield.firewall.nft_messages import (
    DONE,
    DUMP_INTERRUPTED,
    ERROR,
    NETLINK_NETFILTER,
    Message,
    Reply,
    encode,
    get,
    replies,
    transaction,
)

__all__ = ["NftError", "NftSocket"]

_T = TypeVar("_T")

SEND_BUFFER = 16 * 1024 * 1024
"""Bytes; one transaction must fit into the send buffer (20,000 IPv6 elements take about 1 MB)."""
RECEIVE_BUFFER = 4 * 1024 * 1024
"""Bytes; the kernel reports each refused message of a transaction with a copy of it."""
RECEIVE_MOST = 64 * 1024
"""Bytes of one receive call; the kernel fills up to 32 KiB of a dump into one datagram."""
PATIENCE = 5.0
"""Seconds that an answer may take; another program may hold the ruleset for a large transaction."""
PIPELINE = 64
"""Questions sent at once; each has one answer, so all answers fit into any receive buffer."""
DUMP_TRIES = 3
"""Dumps during which the ruleset changed are asked again; after that the last one is taken."""

_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33  # asm-generic/socket.h, not named in Python
_MEANING = {
    errno.EPERM: "not permitted: needs root or CAP_NET_ADMIN",
    errno.ENOENT: "table or set is missing",
    errno.EOPNOTSUPP: "the kernel has no nf_tables",
    errno.EPROTONOSUPPORT: "the kernel has no nf_tables",
}


class NftError(SystemFailure):
    """The kernel refused; ``code`` is its errno."""

    def __init__(self, code: int, about: str) -> None:
        self.code = code
        super().__init__(f"nf_tables: {about}: {_MEANING.get(code) or os.strerror(code)}")


class NftSocket:
    """One netlink socket in the network namespace of the thread that makes it."""

    def __init__(self) -> None:
        self._sequence = 0
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
            self._socket.bind((0, 0))
        except OSError as error:
            raise NftError(error.errno or errno.EIO, "socket") from None
        self._socket.settimeout(PATIENCE)
        for option, size in ((_SO_SNDBUFFORCE, SEND_BUFFER), (_SO_RCVBUFFORCE, RECEIVE_BUFFER)):
            with contextlib.suppress(OSError):  # without the right the smaller default stays
                self._socket.setsockopt(socket.SOL_SOCKET, option, size)

    def close(self) -> None:
        """Release the socket."""
        self._socket.close()

    def commit(self, messages: Sequence[Message]) -> None:
        """Send one transaction; raises NftError, and then nothing of it was done."""
        if not messages:
            return
        first = self._next(len(messages) + 2)
        self._send(transaction(messages, first))
        last = first + len(messages)
        for reply in self._receive(first):
            if reply.kind == ERROR and reply.error:
                self._drain()
                index = reply.sequence - first - 1
                about = messages[index].about if 0 <= index < len(messages) else "commit"
                raise NftError(reply.error, about)
            if reply.kind == ERROR and reply.sequence == last:
                return

    def ask(self, kind: int, payload: bytes, about: str, *, dump: bool = False) -> list[bytes]:
        """Ask, and return the payloads of the answers."""
        return self.collect(kind, payload, about, lambda found: [found], dump=dump)

    def collect(
        self,
        kind: int,
        payload: bytes,
        about: str,
        parse: Callable[[bytes], list[_T]],
        *,
        dump: bool = True,
    ) -> list[_T]:
        """Ask, parse each answer, join; raises NftError."""
        found: list[_T] = []
        for _ in range(DUMP_TRIES if dump else 1):
            found = []
            interrupted = False
            sequence = self._next(1)
            self._send(get(kind, payload, sequence, dump=dump))
            for reply in self._receive(sequence):
                interrupted |= bool(reply.flags & DUMP_INTERRUPTED)
                if reply.kind in (ERROR, DONE):
                    if reply.error:
                        raise NftError(reply.error, about)
                    break
                found += parse(reply.payload)
            if not interrupted:
                break
        return found

    def refused(self, kind: int, payloads: Iterable[bytes]) -> Iterator[tuple[int, int]]:
        """Ask many questions and yield index and errno of those that the kernel refuses."""
        waiting = iter(payloads)
        start = 0
        while part := list(itertools.islice(waiting, PIPELINE)):
            first = self._next(len(part))
            self._send(b"".join(encode(kind, 0, first + i, payload) for i, payload in enumerate(part)))
            left = len(part)
            for reply in self._receive(first):
                if reply.kind == ERROR and reply.error:
                    yield start + reply.sequence - first, reply.error
                left -= 1
                if not left:
                    break
            start += len(part)

    def _receive(self, first: int) -> Iterator[Reply]:
        """Answers from sequence number ``first`` on, until the caller has what it wants."""
        while True:
            try:
                data = self._socket.recv(RECEIVE_MOST)
            except TimeoutError:
                raise NftError(errno.ETIMEDOUT, "no answer") from None
            except OSError as error:
                raise NftError(error.errno or errno.EIO, "receive") from None
            for reply in replies(data):
                if reply.sequence >= first:  # older ones belong to a question given up
                    yield reply

    def _next(self, count: int) -> int:
        """Take the first of ``count`` fresh sequence numbers."""
        if self._sequence > 0x7FFF0000:  # the field has 32 bits
            self._sequence = 0
        first = self._sequence + 1
        self._sequence += count
        return first

    def _send(self, data: bytes) -> None:
        try:
            self._socket.send(data)
        except OSError as error:
            raise NftError(error.errno or errno.EIO, "send") from None

    def _drain(self) -> None:
        """Throw away what is left from an earlier failure."""
        self._socket.settimeout(0)
        with contextlib.suppress(OSError):
            while self._socket.recv(RECEIVE_MOST):
                pass
        self._socket.settimeout(PATIENCE)
