"""The netlink socket: errors are named, answers to the wrong question are not believed."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Iterator

import pytest

from shield.firewall import nft_messages as nft
from shield.firewall import nft_netlink
from shield.firewall.nft_messages import Message
from shield.firewall.nft_netlink import NftError, NftSocket
from tests.firewall.wire import Wire


class Kernel:
    """The other end of a socket pair in place of the kernel."""

    def __init__(self, netlink: NftSocket) -> None:
        ours, self.end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        netlink._socket.close()
        netlink._socket = ours
        ours.settimeout(0.2)

    def answer(
        self, kind: int, sequence: int, code: int = 0, flags: int = 0, payload: bytes = b""
    ) -> None:
        body = struct.pack("=i", -code) if kind in (nft.ERROR, nft.DONE) else bytes(4) + payload
        self.end.send(struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body)


@pytest.fixture
def netlink() -> Iterator[NftSocket]:
    made = NftSocket()
    yield made
    made.close()


@pytest.fixture
def kernel(netlink: NftSocket) -> Iterator[Kernel]:
    made = Kernel(netlink)
    yield made
    made.end.close()


TWO = [Message(nft.NEW_ELEMENT, 0, b"", "set one"), Message(nft.NEW_ELEMENT, 0, b"", "set two")]


def test_refused_message_is_named(netlink: NftSocket, kernel: Kernel) -> None:
    """The error says which of the messages was refused, and why."""
    kernel.answer(nft.ERROR, 3, errno.ENOENT)
    with pytest.raises(NftError, match="set two: table or set is missing") as caught:
        netlink.commit(TWO)
    assert caught.value.code == errno.ENOENT


def test_refused_transaction(netlink: NftSocket, kernel: Kernel) -> None:
    """An error of the transaction as a whole is an error too."""
    kernel.answer(nft.ERROR, 1, errno.EPERM)
    with pytest.raises(NftError, match="commit: not permitted: needs root"):
        netlink.commit(TWO)


def test_stale_answers_are_left_out(netlink: NftSocket, kernel: Kernel) -> None:
    """What belongs to an earlier commit does not answer this one."""
    kernel.answer(nft.ERROR, 3)
    netlink.commit(TWO)
    kernel.answer(nft.ERROR, 2, errno.EEXIST)
    kernel.answer(nft.ERROR, 7)
    netlink.commit(TWO)


def test_no_answer(netlink: NftSocket, kernel: Kernel) -> None:
    """Silence is a failure, not a success."""
    with pytest.raises(NftError, match="no answer"):
        netlink.commit(TWO)


def test_overrun(netlink: NftSocket, kernel: Kernel) -> None:
    """A closed or overrun socket is one clear error."""
    netlink.close()
    with pytest.raises(NftError, match="send"):
        netlink.commit(TWO)


def test_interrupted_dump_is_asked_again(netlink: NftSocket, kernel: Kernel) -> None:
    """A dump during which the ruleset changed is not believed; the next one is."""
    kernel.answer(nft.NEW_ELEMENT, 1, payload=b"old1", flags=nft.DUMP_INTERRUPTED)
    kernel.answer(nft.DONE, 1)
    kernel.answer(nft.NEW_ELEMENT, 2, payload=b"new2")
    kernel.answer(nft.DONE, 2)
    assert netlink.ask(nft.GET_ELEMENT, b"", "set", dump=True) == [b"new2"]


def test_dump_always_interrupted(netlink: NftSocket, kernel: Kernel) -> None:
    """Where the ruleset never rests, the last dump has to do."""
    for number in range(1, nft_netlink.DUMP_TRIES + 1):
        kernel.answer(nft.NEW_ELEMENT, number, payload=b"try%d" % number, flags=nft.DUMP_INTERRUPTED)
        kernel.answer(nft.DONE, number)
    assert netlink.ask(nft.GET_ELEMENT, b"", "set", dump=True) == [b"try%d" % nft_netlink.DUMP_TRIES]


def test_numbers_start_again(netlink: NftSocket, kernel: Kernel) -> None:
    """The sequence number never leaves its 32 bits."""
    netlink._sequence = 0x7FFF0001
    kernel.answer(nft.ERROR, 3)
    netlink.commit(TWO)


@pytest.mark.system
def test_kernel_without_table(wire: Wire) -> None:
    """The real kernel says that the table is missing, and goes on answering."""
    with wire.sensor.inside():
        opened = NftSocket()
    question = nft.text(1, "nowhere")
    with contextlib.closing(opened):
        with pytest.raises(NftError, match="table: table or set is missing"):
            opened.ask(nft.GET_TABLE, question, "table")
        refused = list(opened.refused(nft.GET_TABLE, [question] * 200))
        assert refused == [(i, errno.ENOENT) for i in range(200)]
        assert opened.ask(nft.GET_GENERATION, b"", "generation")
