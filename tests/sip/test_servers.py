"""shield.sip.servers: what makes an address a server, and what does not."""

from __future__ import annotations

import pytest

from shield.net import pack
from shield.sip import servers
from shield.sip.servers import Servers

SERVER, PROXY = b"\xc6\x33\x64\x01", b"\xc6\x33\x64\x02"
CLIENTS = [b"\xc0\x00\x02" + bytes((last,)) for last in range(1, 9)]


def test_configured_servers_are_known_and_not_learned() -> None:
    """What the operator names is known from the start."""
    table = Servers(frozenset({SERVER}))
    assert table.known == {SERVER}
    assert table.learned == set()


def test_a_configuration_read_again_takes_the_place_of_the_old() -> None:
    """New servers are known, gone ones are not; what was learned stays, unless learning is over."""
    table = Servers(frozenset({SERVER, PROXY}))
    table.relayed(CLIENTS[0], CLIENTS[1])
    table.relayed(PROXY, CLIENTS[1])
    known = table.known
    table.use(frozenset({CLIENTS[2]}), learn=True)
    assert table.known == {CLIENTS[0], CLIENTS[2], PROXY}
    table.use(frozenset({CLIENTS[0]}), learn=False)
    assert table.known == {CLIENTS[0]}
    table.relayed(PROXY, CLIENTS[1])
    assert table.known == {CLIENTS[0]}
    assert table.known is known


def test_an_answer_to_register_makes_a_server() -> None:
    """Only a registrar answers REGISTER (RFC 3261 section 10.3)."""
    table = Servers()
    table.answered(SERVER, CLIENTS[0], b"REGISTER")
    assert table.known == table.learned == {SERVER}


def test_answers_to_three_clients_make_a_server() -> None:
    """Two peers may be lines of one registered client, the same one asking often is one peer."""
    table = Servers()
    for client in (*CLIENTS[:2], *CLIENTS[:2]):
        table.answered(SERVER, client, b"OPTIONS")
    assert table.known == set()
    table.answered(SERVER, CLIENTS[2], b"INVITE")
    assert table.known == {SERVER}


def test_a_relayed_request_makes_a_server() -> None:
    """Who sends on what it has received is a proxy."""
    table = Servers()
    table.relayed(PROXY, CLIENTS[0])
    assert table.known == {PROXY}


def test_a_client_that_answers_its_server_stays_a_client() -> None:
    """A registered phone answers OPTIONS and INVITE of any number of servers and is still judged."""
    table = Servers(frozenset(CLIENTS[1:]))
    for server in CLIENTS[1:]:
        table.answered(CLIENTS[0], server, b"OPTIONS")
        table.answered(CLIENTS[0], server, b"REGISTER")
        table.relayed(CLIENTS[0], server)
    assert CLIENTS[0] not in table.known


def test_learning_can_be_switched_off() -> None:
    """Then only what was configured is known."""
    table = Servers(frozenset({SERVER}), learn=False)
    table.answered(PROXY, CLIENTS[0], b"REGISTER")
    table.relayed(PROXY, CLIENTS[0])
    assert table.known == {SERVER}


def test_learned_servers_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of answers cannot fill the memory."""
    monkeypatch.setattr(servers, "MAX_LEARNED", 2)
    table = Servers()
    for server in CLIENTS[1:]:
        table.answered(server, CLIENTS[0], b"REGISTER")
    assert table.known == set(CLIENTS[1:3])


def test_ours_is_what_nobody_could_make_so_from_outside() -> None:
    """A learned server is one for detection; it is not trusted with anything."""
    servers = Servers(frozenset([pack("192.0.2.1")]))
    servers.answered(pack("192.0.2.2"), pack("198.51.100.7"), b"REGISTER")
    assert pack("192.0.2.2") in servers.known
    assert servers.is_ours(pack("192.0.2.1"))
    assert not servers.is_ours(pack("192.0.2.2"))
    assert not servers.is_ours(pack("192.0.2.3"))
