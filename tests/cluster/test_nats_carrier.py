"""NatsCarrier: a real nats-server that is down, frozen, wrong, or used by strangers."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import nkeys
import pytest
from nats.aio.client import Client

from shield.cluster.capability import SendResult
from shield.cluster.cluster import Cluster
from shield.cluster.identity_files import Directory
from shield.cluster.messages import Hello, encode_message
from shield.cluster.nats_settings import NatsSettings
from shield.errors import SystemFailure
from tests.cluster.contract import Site
from tests.cluster.nats_jwt import write_credentials
from tests.cluster.nats_server import PASSWORD, STRANGER, NatsServer, free_port, make_certificates
from tests.cluster.real import QUICK, prepare, until
from tests.requires import need


@pytest.fixture
def server(tmp_path: Path) -> Any:
    """A server with TLS and two users."""
    need("nats-server", root=False)
    with NatsServer(tmp_path / "server") as server:
        yield server


def run(folder: Path, server: NatsServer, main: Callable[[Site], Coroutine[Any, Any, None]]) -> None:
    Site(folder, "nats", "asyncio", server).run(main, "a", "b", "c")


@contextlib.asynccontextmanager
async def stranger(server: NatsServer) -> AsyncIterator[Client]:
    """Somebody who may log in, and is no member."""
    client = Client()
    context = ssl.create_default_context(cafile=str(server.ca))
    await client.connect(server.url, user=STRANGER, password=STRANGER, tls=context)
    try:
        yield client
    finally:
        await client.close()


def problem(cluster: Cluster) -> str:
    return next(iter(cluster.carrier.problems().values()), "")


def test_a_server_that_is_down_at_the_start_is_tried_again(tmp_path: Path, server: NatsServer) -> None:
    """The node starts all the same, says why nobody is reached, and connects when it can."""

    async def main(site: Site) -> None:
        server.kill()
        a, b = await site.start("a"), await site.start("b")
        await until(lambda: "refused" in problem(a).lower())
        assert a.broadcast("test", 1) is SendResult.UNREACHABLE
        server.start()
        await site.together()
        assert problem(a) == problem(b) == ""

    run(tmp_path, server, main)


def test_wrong_credentials_are_shown_and_tried_again(tmp_path: Path, server: NatsServer) -> None:
    """With the server's words; when the file is mended the node connects without a restart."""

    async def main(site: Site) -> None:
        wrong = tmp_path / "wrong"
        wrong.write_text("incorrect horse\n")
        a = await site.start("a", nats=server.settings(password=wrong))
        await site.start("b")
        await until(lambda: "authorization violation" in problem(a).lower())
        assert a.carrier.status(0.0)["unreachable"]
        assert a.members() == ()
        wrong.write_text(PASSWORD)
        await site.together(20)
        assert problem(a) == ""

    run(tmp_path, server, main)


def test_a_frozen_server_is_left_and_found_again(tmp_path: Path, server: NatsServer) -> None:
    """It keeps its connections and says nothing: shown, tried again; what waits keeps its budget."""

    async def main(site: Site) -> None:
        a, _ = await site.start_all("a", "b", send_budget=1 << 20)
        server.freeze()
        try:
            results = {a.broadcast("test", b"x" * 100_000) for _ in range(400)}
            assert results == {SendResult.SENT, SendResult.FAILED}
            for _ in range(40):  # as the pump hands on what the socket takes
                await asyncio.sleep(0)
                a.broadcast("test", b"x" * 100_000)
            core = a.core
            assert core.outbox.waiting <= 1 << 20  # type: ignore[attr-defined]
            await until(lambda: a.members() == ())
            await until(lambda: problem(a) == "no answer", 20)
        finally:
            server.thaw()
        await site.together(30)
        assert problem(a) == ""

    run(tmp_path, server, main)


def test_a_second_server_takes_over(tmp_path: Path, server: NatsServer) -> None:
    """Servers are tried in turn: nodes meet again at the one that is left."""

    async def main(site: Site) -> None:
        with NatsServer(tmp_path / "second") as second:
            (tmp_path / "both.pem").write_bytes(server.ca.read_bytes() + second.ca.read_bytes())
            both = replace(
                server.settings(), servers=(server.url, second.url), ca=str(tmp_path / "both.pem")
            )
            await site.start_all("a", "b", nats=both)
            server.kill()
            await until(lambda: all(c.carrier.status(0.0)["server"] == second.url
                                    for c in site.clusters.values()))  # fmt: skip
            await site.together()

    run(tmp_path, server, main)


def test_a_server_with_a_foreign_certificate_is_told_nothing(tmp_path: Path, server: NatsServer) -> None:
    """Neither password nor messages go to somebody whom our authority has not signed."""

    async def main(site: Site) -> None:
        other = tmp_path / "other"
        other.mkdir()
        make_certificates(other)
        foreign = replace(server.settings(), ca=str(other / "ca.pem"))
        a = await site.start("a", nats=foreign)
        await until(lambda: "certificate" in problem(a) or "self" in problem(a))
        assert problem(a).startswith("TLS: ")

    run(tmp_path, server, main)


def test_without_tls_nothing_is_said_where_it_is_wanted(tmp_path: Path) -> None:
    """Who is between could say that the server has none: no password goes there, no message."""
    heard = b""

    async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal heard
        writer.write(b'INFO {"server_id":"x","version":"2.9.10","max_payload":1048576}\r\n')
        heard += await reader.read(1000)
        writer.close()

    async def main() -> None:
        prepare(tmp_path, "a")
        port = free_port()
        (tmp_path / "password").write_text("secret")
        listener = await asyncio.start_server(between, "127.0.0.1", port)
        nats = NatsSettings(
            servers=(f"tls://127.0.0.1:{port}",), user="u", password_file=str(tmp_path / "password")
        )
        async with listener, Cluster(tmp_path / "a", replace(QUICK, carrier="nats", nats=nats)) as a:
            await until(lambda: "offers no TLS" in problem(a))
        assert heard == b""

    asyncio.run(main())


def test_a_stranger_at_the_server_has_no_effect(tmp_path: Path, server: NatsServer) -> None:
    """Garbage, forged and recorded messages on all subjects are counted, and change nothing."""

    async def main(site: Site) -> None:
        a, b = await site.start_all("a", "b")
        got: list[object] = []
        a.channel("test").message(lambda body, _sender: got.append(body))
        core = a.core
        subjects = core.subjects  # type: ignore[attr-defined]
        recorded: list[tuple[str, bytes]] = []
        async with stranger(server) as client:

            async def record(message: Any) -> None:
                recorded.append((message.subject, message.data))

            await client.subscribe("shield.>", cb=record)
            await client.flush()
            b.broadcast("test", "real")
            b.send("a", "test", "to you")
            await until(lambda: len(got) == 2)
            await until(lambda: len(recorded) >= 2)
            before, old = sum(core.errors.values()), list(recorded)
            for subject, payload in old:
                await client.publish(subject, payload)
            for subject in (subjects.here, subjects.all, subjects.node("a")):
                for garbage in (b"", b"\xc1\xff", b"x" * 1000, payload[:-5], payload + b"x"):
                    await client.publish(subject, garbage)
            await client.flush()
            await until(lambda: sum(core.errors.values()) >= before + 15)
            b.broadcast("test", "after")
            await until(lambda: len(got) == 3)
        assert got == ["real", "to you", "after"]
        assert core.errors["replayed"] >= 2
        assert a.members() == ("b",)

    run(tmp_path, server, main)


def test_a_node_that_was_killed_is_not_kept_alive_by_a_recording(
    tmp_path: Path, server: NatsServer
) -> None:
    """Whoever plays its signs of life again is not believed, by old nodes and by new ones."""

    async def main(site: Site) -> None:
        a, _ = await site.start_all("a", "b")
        recorded: list[tuple[str, bytes]] = []
        async with stranger(server) as client:

            async def record(message: Any) -> None:
                recorded.append((message.subject, message.data))

            await client.subscribe("shield.>", cb=record)
            await client.flush()
            await until(lambda: len(recorded) >= 6)
            await site.stop("b")
            old = list(recorded)

            async def replay() -> None:
                for subject, payload in old:
                    await client.publish(subject, payload)
                await client.flush()

            while a.members():
                await replay()
            c = await site.start("c")
            await until(lambda: c.members() == ("a",))
            await replay()
            await until(lambda: site.state("b", "a") == "dead")
            assert a.members() == ("c",)
            assert c.members() == ("a",)

    run(tmp_path, server, main)


def test_a_flood_of_garbage_keeps_nobody_apart(tmp_path: Path, server: NatsServer) -> None:
    """It waits behind a bound; signs of life are heard meanwhile, and this process has its turns."""

    async def main(site: Site) -> None:
        a, b = await site.start_all("a", "b")
        got: list[object] = []
        a.channel("test").message(lambda body, _sender: got.append(body))
        subjects = a.core.subjects  # type: ignore[attr-defined]
        async with stranger(server) as client:
            for number in range(6000):
                await client.publish(subjects.all, b"garbage %d" % number)
            await client.flush()
        while sum(a.core.errors.values()) < 6000:
            began = time.monotonic()
            await asyncio.sleep(0)
            assert time.monotonic() - began < 1.0
            assert a.members() == ("b",)
        assert a.carrier.throttled > 0
        b.send("a", "test", "after")
        await until(lambda: got == ["after"])

    run(tmp_path, server, main)


def test_messages_fit_a_server_that_takes_little(tmp_path: Path) -> None:
    """They are cut in parts below its max_payload; one that takes less than a record is refused."""
    need("nats-server", root=False)
    with NatsServer(tmp_path / "server", max_payload=20_000) as server:

        async def main(site: Site) -> None:
            a, b = await site.start_all("a", "b")
            got: list[object] = []
            b.channel("test").message(lambda body, _sender: got.append(body))
            body = bytes(range(256)) * 1900
            assert a.broadcast("test", body) is SendResult.SENT
            assert a.send("b", "test", body) is SendResult.SENT
            await until(lambda: len(got) == 2)
            assert got == [body, body]

        run(tmp_path, server, main)
    with NatsServer(tmp_path / "tiny", max_payload=1000) as server:

        async def tiny(site: Site) -> None:
            a = await site.start("a")
            await until(lambda: "max_payload of 1000" in problem(a))

        (tmp_path / "more").mkdir()
        run(tmp_path / "more", server, tiny)


@pytest.mark.parametrize("way", ["token", "nkey", "credentials", "certificate"])
def test_other_ways_to_log_in(tmp_path: Path, way: str) -> None:
    """A token, an NKey, a JWT instead of a password, and a client certificate besides."""
    need("nats-server", root=False)
    secret = tmp_path / "secret"
    login = ""
    if way == "token":
        secret.write_text("a token of some length\n")
        login = "authorization { token: 'a token of some length' }"
    elif way == "nkey":
        seed = nkeys.encode_seed(b"\x07" * 32, nkeys.PREFIX_BYTE_USER)
        secret.write_bytes(seed + b"\n")
        public = nkeys.from_seed(bytearray(seed)).public_key.decode()
        login = f"authorization {{ users: [{{nkey: {public}}}] }}"
    elif way == "credentials":
        secret, login = write_credentials(tmp_path)
    with NatsServer(tmp_path / "server", login=login) as server:
        chosen = {
            "token": {"token_file": str(secret)},
            "nkey": {"nkey": str(secret)},
            "credentials": {"credentials": str(secret)},
            "certificate": {
                "user": "node", "password_file": str(server.password),
                "certificate": f"{server.folder}/server.pem", "key": f"{server.folder}/server.key",
            },
        }[way]  # fmt: skip
        nats = NatsSettings(servers=(server.url,), heartbeat=0.2, ca=str(server.ca), **chosen)  # type: ignore[arg-type]

        async def main(site: Site) -> None:
            await site.start_all("a", "b", nats=nats)

        run(tmp_path, server, main)


def test_what_only_an_operator_can_mend_is_an_error_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each names the setting and the file; a missing client says how to install it."""
    prepare(tmp_path, "a")
    empty = tmp_path / "empty"
    empty.write_text("\n")
    missing = str(tmp_path / "nothing")
    servers = (f"nats://127.0.0.1:{free_port()}",)

    async def start(**nats: Any) -> None:
        settings = replace(QUICK, carrier="nats", nats=NatsSettings(servers=servers, **nats))
        async with Cluster(tmp_path / "a", settings):
            pass

    for wrong, match in (
        ({"token_file": missing}, "cluster.nats.token_file: .*nothing: No such file"),
        ({"token_file": str(empty)}, "cluster.nats.token_file: .*empty: is empty"),
        ({"user": "x", "password_file": missing}, "cluster.nats.password_file: "),
        ({"credentials": missing}, "cluster.nats.credentials: "),
        ({"nkey": str(tmp_path / "a" / "key.pem")}, "cluster.nats.nkey: "),
        ({"ca": missing}, "cluster.nats.ca: .*nothing: "),
        ({"ca": str(empty)}, "cluster.nats.ca: .*empty: TLS: "),
        ({"certificate": missing, "key": missing}, "cluster.nats.certificate: "),
    ):
        with pytest.raises(SystemFailure, match=match):
            asyncio.run(start(**wrong))
    for name in [name for name in sys.modules if name.partition(".")[0] == "nats"]:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(SystemFailure, match=r"pip install 'shield-sip\[nats\]'"):
        asyncio.run(start())


def test_a_member_over_tcp_comes_to_the_wrong_door(tmp_path: Path, server: NatsServer) -> None:
    """A node with the other carrier is refused and counted: all nodes of a cluster use the same."""

    async def main(site: Site) -> None:
        a = await site.start("a")
        context = Directory(tmp_path / "b").client_context()
        for _ in range(2):
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", a.carrier.port, ssl=context, server_hostname=""
            )
            writer.write(encode_message(Hello(1, 1, "voice", "b", 1, "", (), 0.0, ())))
            with contextlib.suppress(OSError):
                assert await reader.read() == b""
            writer.close()
        assert a.carrier.refused["no_certificate"] + a.carrier.refused["other_carrier"] >= 1

    run(tmp_path, server, main)


def test_only_the_node_with_the_authority_listens(tmp_path: Path, server: NatsServer) -> None:
    """The others have no port: a site needs no way in."""

    async def main(site: Site) -> None:
        a, b = await site.start_all("a", "b")
        assert a.carrier.port > 0
        assert b.carrier.port == 0
        assert b.core.addresses == ()

    run(tmp_path, server, main)


def test_the_client_s_time_is_node_time() -> None:
    """Presence counts seconds of the monotonic clock: a wall clock that jumps makes nobody dead."""
    from shield.cluster import nats_carrier

    assert nats_carrier._now is time.monotonic
