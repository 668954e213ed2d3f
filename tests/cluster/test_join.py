"""Joining over real sockets: whom the new host talks to, what it sends, what it says when it fails."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shield.cluster import join as module
from shield.cluster.admission import Admission, AdmissionGuest, RefusedError
from shield.cluster.authority import Authority, create
from shield.cluster.identity import Identity
from shield.cluster.identity_files import Directory
from shield.cluster.join import join
from shield.cluster.tokens import Invites, JoinToken
from shield.errors import InputError, SystemFailure
from tests.cluster.identities import member

Behaviour = Callable[[bytes], bytes | None]
"""Bytes of a client to the answer; None hangs up."""


class Server:
    """A TLS server in a thread (without ``context``: a TCP server); ``heard`` is what clients said."""

    def __init__(self, context: ssl.SSLContext | None, behaviour: Callable[[], Behaviour]) -> None:
        self.context, self._behaviour = context, behaviour
        self.heard = bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = ("127.0.0.1", int(self._listener.getsockname()[1]))
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            plain.settimeout(5)
            with plain:
                try:
                    self._talk(plain)
                except OSError:
                    continue

    def _talk(self, plain: socket.socket) -> None:
        if self.context is None:
            plain.recv(4096)
            return
        answer = self._behaviour()
        with self.context.wrap_socket(plain, server_side=True) as connection:
            while data := connection.recv(4096):
                self.heard += data
                said = answer(data)
                if said is None:
                    return
                connection.sendall(said)


class Site:
    """A node with the authority that listens for joiners."""

    def __init__(self, path: Path) -> None:
        now = time.time()
        self.authority, self.identity = create("shield", "a", now)
        self.directory = Directory(path / "a")
        self.directory.create(self.identity, self.authority)
        self.invites = Invites()
        self.servers: list[Server] = []

    def admission(self) -> Behaviour:
        guest = AdmissionGuest(
            Admission(
                self.authority,
                self.invites,
                is_member=lambda _name: False,
                seeds=lambda: [("192.0.2.7", 7170)],
                keep=lambda: self.directory.save_invites(self.invites.rows()),
            )
        )
        return lambda data: guest.receive_data(data, time.time())

    def serve(
        self,
        *,
        guests: bool = True,
        directory: Directory | None = None,
        behaviour: Behaviour | None = None,
    ) -> Server:
        context = (directory or self.directory).server_context(guests=guests)
        server = Server(context, self.admission if behaviour is None else lambda: behaviour)
        self.servers.append(server)
        return server

    def invite(self, *servers: Server, node: str = "") -> JoinToken:
        addresses = [server.address for server in servers]
        public = self.authority.root.public
        return self.invites.create("shield", public, addresses, time.time(), node=node)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    for server in made.servers:
        server.close()


@pytest.fixture
def target(tmp_path: Path) -> Directory:
    return Directory(tmp_path / "b")


def foreign_directory(path: Path, made: tuple[Authority, Identity] | None = None) -> Directory:
    """An authority of the same name with another key: what somebody in the middle can make."""
    authority, identity = made or create("shield", "a", time.time())
    directory = Directory(path / "foreign")
    directory.create(identity, authority)
    return directory


def test_a_host_joins_with_its_token(site: Site, target: Directory) -> None:
    """The directory holds a working identity and the addresses of members, that of the token first."""
    server = site.serve()
    told: list[str] = []
    joined = join(site.invite(server), target, "b", tell=told.append)
    assert joined.address == server.address
    stored = target.load()
    assert stored.identity.name == "b"
    assert stored.seeds == (server.address, ("192.0.2.7", 7170))
    assert stored.authority is None
    assert told == [f"asking 127.0.0.1:{server.address[1]}"]
    # And it is a member from now on: TLS takes it where a certificate is required.
    strict = site.serve(guests=False, behaviour=lambda data: data)
    with (
        socket.create_connection(strict.address, 5) as plain,
        target.client_context().wrap_socket(plain) as connection,
    ):
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"


def test_addresses_are_tried_in_order(site: Site, target: Directory) -> None:
    """One that is closed, one that speaks no TLS and one that hangs up do not end the attempt."""
    closed = socket.create_server(("127.0.0.1", 0))
    dead = closed.getsockname()
    closed.close()
    plain = Server(None, site.admission)
    site.servers.append(plain)
    silent = site.serve(behaviour=lambda _data: None)
    good = site.serve()
    token = site.invite(plain, silent, good)
    token = replace(token, addresses=(dead, *token.addresses))
    assert join(token, target, "b").address == good.address


def test_somebody_in_the_middle_never_sees_the_token(
    site: Site, target: Directory, tmp_path: Path
) -> None:
    """A server with a certificate of another authority hears not one byte, and the error says so."""
    evil = site.serve(directory=foreign_directory(tmp_path))
    token = site.invite(evil)
    with pytest.raises(SystemFailure, match=r"in the middle.*the token was not shown"):
        join(token, target, "b")
    evil.close()
    site.servers.clear()
    assert bytes(evil.heard) == b""
    assert target.holds() == ""


def test_a_captured_member_never_sees_the_token(site: Site, target: Directory, tmp_path: Path) -> None:
    """Its certificate is good, but it is not the node with the authority."""
    captured = Directory(tmp_path / "c")
    captured.create(member(site.authority, "c", time.time()))
    server = site.serve(directory=captured)
    with pytest.raises(SystemFailure, match="not the node with the authority"):
        join(site.invite(server), target, "b")
    server.close()
    site.servers.clear()
    assert bytes(server.heard) == b""


def test_the_right_node_is_found_past_an_intruder(site: Site, target: Directory, tmp_path: Path) -> None:
    """An intruder at one address does not stop a join at another."""
    evil = site.serve(directory=foreign_directory(tmp_path))
    good = site.serve()
    assert join(site.invite(evil, good), target, "b").address == good.address
    assert bytes(evil.heard) == b""


def test_an_expired_token_asks_nobody(site: Site, target: Directory) -> None:
    """The new host looks at its own clock first."""
    server = site.serve()
    with pytest.raises(InputError, match="expired"):
        join(site.invite(server), target, "b", clock=lambda: time.time() + 3600)
    assert bytes(server.heard) == b""


def test_a_host_that_is_in_a_cluster_stays_there(site: Site, target: Directory) -> None:
    """The identity on disk is not overwritten and the token is not spent."""
    server = site.serve()
    token = site.invite(server)
    with pytest.raises(InputError, match=r"cluster\.json exists"):
        join(token, site.directory, "b")
    assert join(token, target, "b")


def test_a_directory_that_cannot_be_written_costs_no_token(
    site: Site, target: Directory, tmp_path: Path
) -> None:
    """That the disk refuses is known before the token is shown."""
    server = site.serve()
    token = site.invite(server)
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemFailure, match="file/cluster"):
        join(token, Directory(tmp_path / "file" / "cluster"), "b")
    assert join(token, target, "b")


def test_a_refusal_is_told_with_its_reason(site: Site, target: Directory) -> None:
    """What the authority says reaches the operator in one line, and no other address is asked."""
    server, other = site.serve(), site.serve()
    token = site.invite(server, other)
    with pytest.raises(RefusedError, match=r"refused \(wrong_secret\)"):
        join(replace(token, secret=bytes(16)), target, "b")
    assert bytes(other.heard) == b""
    join(token, target, "b")
    again = Directory(target.path.parent / "again")
    with pytest.raises(RefusedError, match=r"refused \(used_token\): b has joined"):
        join(token, again, "c")
    assert again.holds() == ""


def test_without_open_invites_the_reason_is_likely(site: Site, target: Directory) -> None:
    """A node that hears no hosts without certificate hangs up; the error says what that means."""
    server = site.serve(guests=False)
    with pytest.raises(SystemFailure, match=r"no invite is open there.*shield cluster invite"):
        join(site.invite(server), target, "b")


def test_nobody_there_names_each_address(site: Site, target: Directory) -> None:
    """The operator sees every address and what happened there."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    listener.close()
    token = replace(
        site.invite(site.serve()), addresses=(("127.0.0.1", port), ("::1", port), ("a..b", 1))
    )
    with pytest.raises(SystemFailure) as caught:
        join(token, target, "b")
    text = str(caught.value)
    assert f"127.0.0.1:{port}: Connection refused" in text
    assert f"[::1]:{port}: " in text
    assert "a..b:1: " in text
    assert "\n" not in text


def test_a_server_that_says_nothing_is_given_up(
    site: Site, target: Directory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the time for an answer the next address has its turn."""
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.2)
    silent = site.serve(behaviour=lambda _data: b"")
    with pytest.raises(SystemFailure, match="no answer within"):
        join(site.invite(silent), target, "b")


@pytest.mark.parametrize("answer", [b"\xff" * 100, b"\0\0\0\1\xc1", b"\0\0\0\2\x91\x63"])
def test_a_wrong_answer_is_told(site: Site, target: Directory, answer: bytes) -> None:
    """What the pinned server says must still be an answer."""
    server = site.serve(behaviour=lambda _data: answer)
    with pytest.raises(SystemFailure, match="a wrong answer"):
        join(site.invite(server), target, "b")
    assert target.holds() == ""


def test_a_clock_that_is_far_off_is_told(site: Site, target: Directory) -> None:
    """Certificates are not valid for a host that lives in another year; the error says clock."""
    server = site.serve()
    token = replace(site.invite(server), expires=1e11)
    with pytest.raises(SystemFailure, match="clock"):
        join(token, target, "b", clock=lambda: time.time() + 400 * 86_400)
