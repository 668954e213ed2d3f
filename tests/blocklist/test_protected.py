"""Protected: what no other node's ban may hit."""

from __future__ import annotations

from shield.blocklist.allowlist import Allowlist, AllowlistSettings
from shield.blocklist.aside import Why
from shield.blocklist.protected import Protected
from shield.blocklist.sharing_settings import SharingSettings
from shield.net import Network, pack
from shield.sip.servers import Servers


def make() -> tuple[Protected, Servers]:
    servers = Servers(frozenset({pack("192.0.2.20")}))
    allowlist = Allowlist(AllowlistSettings(entries=("192.0.2.30",)))
    return Protected(SharingSettings(), allowlist, servers), servers


def why(protected: Protected, value: str) -> Why | None:
    return protected.refuses(Network.parse(value))


def test_reasons_of_addresses_and_networks() -> None:
    """Our servers, members, the allowlist; networks around the first two, and large ones."""
    protected, _ = make()
    assert protected.note("b", ["192.0.2.40", "b.example.net"]) == ({pack("192.0.2.40")}, False)
    assert why(protected, "192.0.2.20") is why(protected, "192.0.2.16/29") is Why.OWN_SERVER
    assert why(protected, "192.0.2.40") is why(protected, "192.0.2.40/30") is Why.MEMBER
    assert why(protected, "192.0.2.30") is Why.ALLOWLISTED
    assert why(protected, "10.0.0.0/15") is why(protected, "2001:db8::/31") is Why.PREFIX
    assert why(protected, "192.0.2.1") is None


def test_members_move_and_go() -> None:
    """What is protected follows them; who asks hears that something is free now."""
    protected, _ = make()
    protected.note("b", ["192.0.2.40"])
    assert protected.note("b", ["192.0.2.41"]) == ({pack("192.0.2.41")}, True)
    assert why(protected, "192.0.2.40") is None
    assert protected.forget("b")
    assert not protected.forget("b")
    assert why(protected, "192.0.2.41") is None


def test_weak_evidence_bans_neither_learned_servers_nor_networks() -> None:
    """A carrier to which we only send calls shows no logins: it is known by its answers."""
    protected, servers = make()
    servers.answered(pack("192.0.2.50"), pack("192.0.2.9"), b"REGISTER")
    assert why(protected, "192.0.2.50") is None
    assert protected.refuses_weak(Network.parse("192.0.2.50")) is Why.OWN_SERVER
    assert protected.refuses_weak(Network.parse("192.0.2.0/28")) is Why.PREFIX
    assert protected.refuses_weak(Network.parse("192.0.2.30")) is Why.ALLOWLISTED
    assert protected.refuses_weak(Network.parse("192.0.2.1")) is None
