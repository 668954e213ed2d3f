"""PeerCarrier: real TCP and TLS 1.3 on loopback; who is no member is not heard."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from pathlib import Path

import pytest
import uvloop

from shield.cluster.authority import create
from shield.cluster.capability import Incoming, SendResult
from shield.cluster.cluster import Cluster
from shield.cluster.identity_files import Directory
from shield.cluster.messages import Hello, decode, encode_message
from shield.cluster.peer_door import MAX_HANDSHAKES_EACH
from shield.errors import SystemFailure
from shield.wire import Frames
from tests.cluster.real import closing, prepare, start, together, until


@pytest.fixture(params=["asyncio", "uvloop"], autouse=True)
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything holds on both event loops: uvloop is used where it is installed."""
    if request.param == "uvloop":
        monkeypatch.setattr(asyncio, "run", uvloop.run)


def test_three_members_form_a_mesh_and_talk(tmp_path: Path) -> None:
    """Two that know the first find each other; broadcast, send and ask work between all."""

    async def main() -> None:
        prepare(tmp_path, "a", "b", "c")
        a = await start(tmp_path, "a")
        b, c = await start(tmp_path, "b", a), await start(tmp_path, "c", a)
        async with await closing(a, b, c):
            await together(a, b, c)
            got: list[tuple[str, object, str]] = []
            for cluster in (a, b, c):
                channel = cluster.channel("test")
                channel.message(lambda body, sender, to=cluster.name: got.append((to, body, sender)))
                channel.request(lambda body, _sender, to=cluster.name: (to, body))
            assert a.broadcast("test", ("x", b"\x00")) is SendResult.SENT
            assert b.send("c", "test", 7) is SendResult.SENT
            await until(lambda: len(got) == 3)
            assert set(got) == {("b", ("x", b"\x00"), "a"), ("c", 7, "b"), ("c", ("x", b"\x00"), "a")}
            result, answers = await a.ask("test", 1, include_self=True)
            assert result is SendResult.SENT
            assert answers.replies == {"a": ("a", 1), "b": ("b", 1), "c": ("c", 1)}
            result, answers = await a.ask("test", 2, node="b")
            assert answers.replies == {"b": ("b", 2)}
            assert (await a.ask("test", 2, node="nobody"))[0] is SendResult.UNREACHABLE

    asyncio.run(main())


def test_a_handler_that_fails_is_an_answer(tmp_path: Path) -> None:
    """An exception in a feature's function reaches who asked; the connection stays."""

    async def main() -> None:
        prepare(tmp_path, "a", "b")
        a = await start(tmp_path, "a")
        b = await start(tmp_path, "b", a)
        async with await closing(a, b):
            await together(a, b)
            b.channel("test").request(lambda body, _sender: 1 // body)
            _, answers = await a.ask("test", 0)
            assert "ZeroDivisionError" in answers.failures["b"]
            _, answers = await a.ask("test", 1)
            assert answers.replies == {"b": 1}

    asyncio.run(main())


def test_a_crash_is_noticed_at_once_and_leaving_is_not_a_crash(tmp_path: Path) -> None:
    """A broken connection makes a suspect within a second; a goodbye makes it left."""

    async def main() -> None:
        prepare(tmp_path, "a", "b", "c")
        a = await start(tmp_path, "a")
        b, c = await start(tmp_path, "b", a), await start(tmp_path, "c", a)
        async with await closing(a):
            await together(a, b, c)
            members = a.core.membership.members
            await b.close(leave=False)
            assert await until(lambda: members["b"].state.value in ("suspect", "dead")) < 1
            await until(lambda: members["b"].state.value == "dead")
            await c.close()
            await until(lambda: members["c"].state.value == "left")

    asyncio.run(main())


async def stranger(port: int, context: ssl.SSLContext | None) -> bytes:
    """Connect, say hello as nobody may, and give what comes back."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname="" if context else None
    )
    with contextlib.suppress(ConnectionError, ssl.SSLError, TimeoutError):
        writer.write(encode_message(Hello(1, 1, "voice", "b", 1, "", (), 0.0, ())))
        await writer.drain()
        async with asyncio.timeout(3):
            data = await reader.read(100)
        writer.close()
        return data
    writer.close()
    return b""


def test_who_is_no_member_is_not_heard(tmp_path: Path) -> None:
    """Plain text, no certificate, another cluster's certificate, an expired one: nothing is parsed."""

    async def main() -> None:
        prepare(tmp_path, "a")
        other, identity = create("voice", "b", time.time())
        Directory(tmp_path / "other").create(identity, other)
        a = await start(tmp_path, "a")
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
        foreign = Directory(tmp_path / "other").client_context()
        foreign.verify_mode = ssl.CERT_NONE
        async with await closing(a):
            for context in (None, bare, foreign):
                assert await stranger(a.carrier.port, context) == b""
            await until(lambda: a.carrier.refused.total() == 3)
            assert a.carrier.refused["no_certificate"] == 1
            assert a.carrier.refused["wrong_certificate"] == 1
            assert a.core.links.up == {}
            assert not a.core.links.opening

    asyncio.run(main())


def test_small_messages_wait_for_nothing(tmp_path: Path) -> None:
    """Both ends of a connection send at once (TCP_NODELAY), not after the answer to the last bytes."""

    async def main() -> None:
        prepare(tmp_path, "a", "b")
        a = await start(tmp_path, "a")
        b = await start(tmp_path, "b", a)
        async with await closing(a, b):
            await together(a, b)
            for cluster in (a, b):
                (peer,) = cluster.carrier._peers.values()
                assert peer._transport is not None
                line = peer._transport.get_extra_info("socket")
                assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    asyncio.run(main())


def test_tls_1_2_is_refused(tmp_path: Path) -> None:
    """Also with a good certificate."""

    async def main() -> None:
        prepare(tmp_path, "a", "b")
        a = await start(tmp_path, "a")
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.load_cert_chain(tmp_path / "b" / "node.crt", tmp_path / "b" / "node.key")
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        async with await closing(a):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                await stranger(a.carrier.port, old)

    asyncio.run(main())


def test_handshakes_of_one_address_are_bounded(tmp_path: Path) -> None:
    """Connections that never begin TLS hold a few places and are cut off."""

    async def main() -> None:
        prepare(tmp_path, "a")
        a = await start(tmp_path, "a")
        async with await closing(a):
            loop = asyncio.get_running_loop()
            silent = []
            for _ in range(MAX_HANDSHAKES_EACH + 4):
                connection = socket.socket()
                connection.settimeout(0)
                await loop.sock_connect(connection, ("127.0.0.1", a.carrier.port))
                silent.append(connection)
            await until(lambda: a.carrier.refused["too_many_handshakes"] == 4)
            for connection in silent:
                connection.close()

    asyncio.run(main())


async def as_member(
    folder: Path, name: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A program with a member's certificate that speaks the protocol by hand."""
    context = Directory(folder / name).client_context()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="")
    writer.write(encode_message(Hello(1, 1, "voice", name, 1, "", (), 0.0, ())))
    return reader, writer


def test_a_member_that_does_not_read_holds_up_nobody(tmp_path: Path) -> None:
    """What waits for it stays within its budget, others get theirs, and it is given up when silent."""

    async def main() -> None:
        prepare(tmp_path, "a", "b", "deaf")
        a = await start(tmp_path, "a", send_budget=1 << 20, link_timeout=4.0)
        b = await start(tmp_path, "b", a, link_timeout=60.0)
        async with await closing(a, b):
            await together(a, b)
            got: list[Incoming] = []
            b.channel("test").message(lambda body, _sender: got.append(body))
            reader, writer = await as_member(tmp_path, "deaf", a.carrier.port)
            await until(lambda: "deaf" in a.core.links.up)
            news = a.core.membership.record._replace(
                name="deaf",
                addresses=(),
                certificate=Directory(tmp_path / "deaf").load().identity.certificate,
            ).sign(Directory(tmp_path / "deaf").load().identity)
            writer.write(encode_message(news))
            await until(lambda: "deaf" in a.core.links.up and "deaf" in a.members())
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            link = a.core.links.up["deaf"]
            sent = 0

            async def arrived() -> None:
                await until(lambda: len(got) == sent)

            while not link.stats.dropped:
                assert sent < 1000
                a.broadcast("test", b"x" * 50_000)
                sent += 1
                await arrived()
                assert link.waiting <= 1 << 20
            await until(lambda: "deaf" not in a.core.links.up, 20)
            assert reader
            writer.close()

    asyncio.run(main())


def test_an_address_in_use_is_a_clear_error(tmp_path: Path) -> None:
    """It names the setting and the address."""

    async def main() -> None:
        prepare(tmp_path, "a", "b")
        a = await start(tmp_path, "a")
        async with await closing(a):
            with pytest.raises(SystemFailure, match=r"cluster.listen: cannot listen on 127"):
                await start(tmp_path, "b", listen=f"127.0.0.1:{a.carrier.port}")

    asyncio.run(main())


def test_guests_are_heard_only_while_an_invitation_is_open(tmp_path: Path) -> None:
    """Without one the handshake itself refuses; with one, the answer to no claim is a refusal."""

    async def main() -> None:
        prepare(tmp_path, "a")
        a = await start(tmp_path, "a")
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
        async with await closing(a):
            assert await stranger(a.carrier.port, bare) == b""
            a.invite()
            answer = await stranger(a.carrier.port, bare)
            frames = Frames()
            frames.feed(answer)
            frame = frames.next_frame()
            assert frame is not None
            assert "no_certificate" in str(decode(frame))

    asyncio.run(main())


def test_a_token_makes_a_member(tmp_path: Path) -> None:
    """Invite, join over the wire, start: the new node is a member, and the token is used up."""
    from shield.cluster.join import join

    async def main() -> None:
        prepare(tmp_path, "a")
        a = await start(tmp_path, "a")
        async with await closing(a):
            token = a.invite()
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, lambda: join(token, Directory(tmp_path / "new"), "new"))
            new = await start(tmp_path, "new")
            async with await closing(new):
                await together(a, new)
            with pytest.raises(Exception, match="used"):
                await loop.run_in_executor(None, lambda: join(token, Directory(tmp_path / "x"), "x"))

    asyncio.run(main())


def test_revoked_members_are_cut_off_and_stay_out(tmp_path: Path) -> None:
    """On every node, also after a restart of that node."""

    async def main() -> None:
        prepare(tmp_path, "a", "b", "bad")
        a = await start(tmp_path, "a")
        b, bad = await start(tmp_path, "b", a), await start(tmp_path, "bad", a)
        async with await closing(bad):
            await together(a, b, bad)
            a.revoke("bad")
            await until(lambda: a.members() == ("b",) and b.members() == ("a",))
            await b.close()
            b = await start(tmp_path, "b", a, bad)
            async with await closing(a, b):
                await until(lambda: b.members() == ("a",))
                await asyncio.sleep(0.5)
                assert bad.members() == ()
                assert b.core.errors["revoked"] > 0

    asyncio.run(main())


def test_a_certificate_renews_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node whose certificate nears its end gets a new one from the authority, and stores it."""

    async def main() -> None:
        prepare(tmp_path, "a", "b")
        a = await start(tmp_path, "a")
        old = Directory(tmp_path / "b").load().identity.certificate
        b = await start(tmp_path, "b", a)
        async with await closing(a, b):
            await together(a, b)
            monkeypatch.setattr(
                "shield.cluster.steward.needs_renewal", lambda own, _wall: own.der == old
            )
            await until(lambda: b.core.identity.certificate != old)
            await until(lambda: Directory(tmp_path / "b").load().identity.certificate != old)
            await until(
                lambda: a.core.membership.members["b"].record.certificate == b.core.identity.certificate
            )
            assert isinstance(b, Cluster)

    asyncio.run(main())
