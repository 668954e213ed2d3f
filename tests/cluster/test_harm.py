"""What strangers, members that went mad and features with bugs cannot do to the others."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from shield.cluster.capability import SendResult
from shield.cluster.channel import Channel
from shield.cluster.cluster import Cluster
from shield.cluster.dialer import Attempt
from shield.cluster.events import Events
from shield.cluster.identity_files import Directory
from shield.cluster.messages import Message, Ping, Revoked, encode_message
from shield.cluster.peer_door import MAX_GUESTS_EACH
from shield.errors import SystemFailure
from tests.cluster.fakenet import FakeNet
from tests.cluster.real import closing, prepare, start, together, until
from tests.cluster.test_peer_carrier import as_member


class Broken(Channel):
    """A feature whose every method fails."""

    def receive(self, *_: Any) -> None:
        raise ZeroDivisionError

    member_changed = report = reported = tick = receive  # type: ignore[assignment]


def test_a_feature_with_a_bug_stops_neither_timers_nor_links() -> None:
    """Whatever it raises is counted and told to who asked; pings go on and a dead node is noticed."""
    net = FakeNet("a", "b", "c")
    for node in net.nodes.values():
        node.core.add(Broken("broken"))
    net.settle()
    net.run(3)
    core = net["a"].core
    links = dict(core.links.up)
    answers: list[Any] = []
    core.post.ask(("b",), "broken", 1, timeout=1, now=net.now, done=answers.append)
    net.run(1)
    assert answers[0].failures == {"b": "failed"}
    assert core.links.up == links
    net["c"].stop()
    net.run(3)
    assert core.membership.members["c"].state.value == "dead"
    assert core.post.errors["broken: crashed"] > 3


def test_a_users_function_that_fails_does_not_end_the_cluster(tmp_path: Path) -> None:
    """Who follows members with a bug still finds one that comes back."""

    async def main() -> None:
        prepare(tmp_path, "a", "b")
        a = await start(tmp_path, "a")
        b = await start(tmp_path, "b", a)
        await together(a, b)

        def fail(_member: object) -> None:
            raise ZeroDivisionError

        a.channel("test").on_member = fail
        await b.close(leave=False)
        await until(lambda: a.members() == ())
        b = await start(tmp_path, "b", a)
        async with await closing(a, b):
            await together(a, b)

    asyncio.run(main())


def test_a_long_list_costs_no_connection(tmp_path: Path) -> None:
    """What may be sent can be read: 150,000 numbers are one message like any other."""

    async def main() -> None:
        prepare(tmp_path, "a", "b")
        a = await start(tmp_path, "a")
        b = await start(tmp_path, "b", a)
        async with await closing(a, b):
            await together(a, b)
            got: list[int] = []
            b.channel("test").message(lambda body, _sender: got.append(len(body)))
            assert a.broadcast("test", [1] * 150_000) is SendResult.SENT
            await until(lambda: got == [150_000])
            assert b.core.errors == {}

    asyncio.run(main())


@pytest.mark.parametrize("host", ["a..b", "a\0b", "x" * 70])
def test_an_address_that_is_none_is_a_failed_try(tmp_path: Path, host: str) -> None:
    """A member may say anything of where it is; the next try comes all the same."""

    async def main() -> None:
        prepare(tmp_path, "a")
        a = await start(tmp_path, "a")
        async with await closing(a):
            ended: list[str] = []
            a.core.dialer.ended = lambda _attempt, _name, problem, _now: ended.append(problem)  # type: ignore[method-assign]
            await a.carrier._dial(Attempt("b", "b", (host, 7170), 1.0))
            assert len(ended) == 1
            assert ended[0]

    asyncio.run(main())


@pytest.mark.parametrize("host", ["a..b", "no-such-host.invalid"])
def test_a_place_to_listen_that_is_none_is_told(tmp_path: Path, host: str) -> None:
    """A mistake in the configuration is a failure of the machine, with the name of the setting."""

    async def main() -> None:
        prepare(tmp_path, "a")
        with pytest.raises(SystemFailure, match=r"cluster\.listen: cannot listen on"):
            await start(tmp_path, "a", listen=f"{host}:7170")

    asyncio.run(main())


def test_guests_of_one_address_are_bounded(tmp_path: Path) -> None:
    """While an invitation is open strangers hold a few connections, not all that a process may have."""

    async def main() -> None:
        prepare(tmp_path, "a")
        a = await start(tmp_path, "a")
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
        async with await closing(a):
            a.invite()
            writers = []
            for _ in range(MAX_GUESTS_EACH + 3):
                _, writer = await asyncio.open_connection(
                    "127.0.0.1", a.carrier.port, ssl=bare, server_hostname=""
                )
                writers.append(writer)
            await until(lambda: a.carrier.refused["too_many_guests"] == 3)
            assert a.carrier.door._guests.total() == MAX_GUESTS_EACH
            for writer in writers:
                writer.close()
            await until(lambda: not a.carrier.door._guests)

    asyncio.run(main())


def test_a_crowd_of_strangers_keeps_no_member_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All places for handshakes are taken: one at a member's address is greeted nevertheless."""

    async def main() -> None:
        prepare(tmp_path, "a", "b")
        a = await start(tmp_path, "a")
        b = await start(tmp_path, "b", a)
        async with await closing(a, b):
            await together(a, b)
            await until(lambda: a.carrier.door.hosts == {"127.0.0.1"})
            monkeypatch.setattr("shield.cluster.peer_door.MAX_HANDSHAKES", 0)
            for peer in list(a.carrier._peers.values()):
                peer.abort()
            await until(lambda: a.members() == ())
            await together(a, b)
            assert not a.carrier.refused
            a.core.membership.members.clear()
            await until(lambda: not a.carrier.door.hosts)
            _, writer = await asyncio.open_connection("127.0.0.1", a.carrier.port)
            await until(lambda: a.carrier.refused["too_many_handshakes"] > 0)
            writer.close()

    asyncio.run(main())


def test_a_full_disk_at_renewal_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority's own certificate is renewed in memory, the problem told, the file written later."""
    problems = ["disk full"]
    kept: list[bytes] = []

    def save(self: Directory, identity: Any) -> None:
        if problems:
            raise SystemFailure(problems.pop())
        kept.append(identity.certificate)

    prepare(tmp_path, "a")
    cluster = Cluster(tmp_path / "a")
    monkeypatch.setattr(Directory, "save_certificate", save)
    monkeypatch.setattr("shield.cluster.steward.needs_renewal", lambda _own, _wall: bool(problems))
    cluster.steward.tick(0.0)
    assert cluster.steward.problem == "disk full"
    assert not kept
    cluster.steward.tick(1.0)
    assert not kept, "not at once"
    cluster.steward.tick(1000.0)
    assert kept == [cluster.core.identity.certificate]
    assert cluster.steward.problem == ""


def test_a_member_gets_a_certificate_now_and_then(tmp_path: Path) -> None:
    """Each costs a write to the disk, for which all packets wait: a second request is refused."""

    async def main() -> None:
        prepare(tmp_path, "a", "b")
        a = await start(tmp_path, "a")
        b = await start(tmp_path, "b", a)
        async with await closing(a, b):
            await together(a, b)
            order = ("renew", b.core.identity.request())
            _, answers = await b.ask("cluster", order, node="a")
            assert list(answers.replies) == ["a"]
            _, answers = await b.ask("cluster", order, node="a")
            assert "too_soon" in answers.failures["a"]

    asyncio.run(main())


def test_texts_of_peers_cannot_forge_lines_of_the_log() -> None:
    """What ends up in events has no line ends and no escape sequences."""
    events = Events()
    events.add(0.0, "refused", "b", "it says\nERROR shield: \x1b[31mall is lost")
    assert events.latest()[0].text == "it says?ERROR shield: ?[31mall is lost"


@pytest.mark.parametrize(
    ("message", "many"), [(Ping(1, {}), 20_000), (Revoked(bytes(40), bytes(64)), 200)]
)
def test_a_member_that_floods_is_read_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: Message, many: int
) -> None:
    """Beyond MAX_FRAMES in one interval, fewer with signatures, it is not read on until the next.

    The others are served.
    """

    async def main() -> None:
        monkeypatch.setattr("shield.cluster.peer_connection.MAX_FRAMES", 1000)
        prepare(tmp_path, "a", "b", "mad")
        a = await start(tmp_path, "a")
        b = await start(tmp_path, "b", a)
        async with await closing(a, b):
            await together(a, b)
            b.channel("test").request(lambda body, _sender: body)
            _, writer = await as_member(tmp_path, "mad", a.carrier.port)
            flood = encode_message(message) * many
            writer.write(flood)
            writer.write(flood)
            await until(lambda: a.carrier.throttled > 0)
            _, answers = await a.ask("test", 1, timeout=2)
            assert answers.replies == {"b": 1}
            writer.close()

    asyncio.run(main())
