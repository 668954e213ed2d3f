"""Five hosts and somebody who means harm: strangers, stolen tokens and certificates, a node gone mad."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shield.cluster.authority import create
from shield.cluster.identity_files import Directory
from tests.system.cluster_lab import ClusterLab
from tests.system.cluster_node import ATTACKER, CARRIER, PORT
from tests.system.rogue import Rogue

MAX_BANS = 2000
"""``sharing.max_bans`` of the lab."""


def refused(cluster: ClusterLab, name: str, reason: str) -> int:
    """How often a node has refused something for this reason, wherever it counts that."""
    status = cluster[name].call("cluster.status")
    counters = (status["refused"], status["errors"], status["sharing"]["counters"])
    return sum(counter.get(reason, 0) for counter in counters)


@pytest.mark.system
def test_strangers(cluster: ClusterLab, tmp_path: Path) -> None:
    """Without a certificate of this cluster nobody gets a byte; each attempt is counted by reason."""
    authority, identity = create("lab", "n3", time.time())  # the same names, another authority
    Directory(tmp_path / "other").create(identity, authority)
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.check_hostname, nobody.verify_mode = False, ssl.CERT_NONE
    other = Directory(tmp_path / "other").client_context()
    other.verify_mode = ssl.CERT_NONE
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    for context, reason in (
        (nobody, "no_certificate"),
        (other, "wrong_certificate"),
        (old, "tls"),
        (None, "not_tls"),
    ):
        before = refused(cluster, "n2", reason)
        assert _knock(cluster, "n2", context) == b""
        cluster.until(lambda: refused(cluster, "n2", reason) == before + 1, 5)  # noqa: B023
    assert cluster.complete()
    cluster["n1"].ban("198.18.50.1")
    assert cluster.spread("198.18.50.1") < 1
    cluster.converge()


def _knock(cluster: ClusterLab, name: str, context: ssl.SSLContext | None) -> bytes:
    """Connect from the attacker's host and ask for something; what came back in the connection."""
    with cluster.attacker.inside():
        plain = socket.create_connection((cluster[name].address, PORT), 3)
    with plain:
        try:
            if context is None:
                plain.sendall(b"OPTIONS sip:100@192.0.2.2 SIP/2.0\r\n\r\n" * 10)
                return plain.recv(100) and b""  # an alert of TLS, or nothing
            with context.wrap_socket(plain) as connection:
                connection.sendall(b"\x00\x00\x00\x02\x91\x04")
                return connection.recv(100)
        except OSError:
            return b""


@pytest.mark.system
def test_tokens(cluster: ClusterLab, tmp_path: Path) -> None:
    """A token is good for one host, for its time, as it was printed; what fails writes no identity."""
    used, short = _token(cluster), _token(cluster, "--valid", "1s")
    assert _join(cluster, used, tmp_path / "first", "n6").returncode == 0
    again = _join(cluster, used, tmp_path / "second", "n7")
    assert again.returncode != 0
    assert "Traceback" not in again.stderr
    time.sleep(1.1)
    late = _join(cluster, short, tmp_path / "third", "n7")
    assert late.returncode != 0
    assert "expired" in late.stderr
    taken = _join(cluster, _token(cluster), tmp_path / "fourth", "n2")
    assert taken.returncode != 0, "the name of a living node"
    slip = _token(cluster)
    middle = len(slip) // 2
    slip = slip[:middle] + ("A" if slip[middle] != "A" else "B") + slip[middle + 1 :]
    assert _join(cluster, slip, tmp_path / "fifth", "n7").returncode != 0
    for folder in ("second", "third", "fourth", "fifth"):
        assert not (tmp_path / folder / "cluster.json").exists()
    cluster["n1"].call("cluster.revoke", node="n6")
    cluster.converge()


def _token(cluster: ClusterLab, *words: str) -> str:
    return str(cluster["n1"].cli("cluster", "invite", "--output", "plain", *words).stdout).strip()


def _join(cluster: ClusterLab, token: str, folder: Path, node: str) -> Any:
    """Join from the attacker's host; no daemon runs there."""
    words = ("--node", node, "--directory", str(folder), "--socket", f"{folder}.none")
    command = cluster["n1"].command
    return cluster.attacker.run(*command, "cluster", "join", token, *words, check=False)


@pytest.mark.system
def test_revoked_node(cluster: ClusterLab) -> None:
    """A revoked node is out everywhere at once with its bans, and stays out until it has a new token."""
    others, n5 = ("n1", "n2", "n3", "n4"), cluster["n5"]
    n5.ban("198.18.51.1", ATTACKER)
    cluster["n1"].ban("198.18.51.2")
    cluster.converge()
    cluster.until(lambda: cluster["n2"].in_kernel(ATTACKER), 2)
    cluster["n1"].cli("cluster", "revoke", "n5", "--yes")
    took = cluster.until(lambda: cluster.complete(others), 3)
    assert cluster.gone("198.18.51.1", others) + took < 1
    cluster.until(lambda: not cluster["n2"].in_kernel(ATTACKER), 2)
    assert cluster.arriving("n2", ATTACKER) == 3
    assert cluster["n1"].rows().keys() == {"198.18.51.2"}
    n5.ban("198.18.51.3")
    cluster["n1"].ban("198.18.51.4")
    assert cluster.spread("198.18.51.4", others) < 1
    # It tries, again also after a restart, and is refused by all.
    before = {name: refused(cluster, name, "revoked") for name in others}
    n5.end()
    cluster.start("n5")
    cluster.until(lambda: all(refused(cluster, name, "revoked") > before[name] for name in others), 10)
    assert cluster.complete(others)
    assert n5.call("cluster.status")["reachable"] == 0
    assert not any(cluster[name].holds("198.18.51.3") for name in others)
    assert n5.holds("198.18.51.3"), "alone it goes on as it was"
    assert not n5.holds("198.18.51.4")
    cluster.converge(others)
    for name in others[1:]:  # a restart forgets no revocation
        assert (
            cluster[name].call("cluster.status")["revoked"]
            == cluster["n1"].call("cluster.status")["revoked"]
        )
    # With a new token it comes back, and tells again what it holds.
    n5.end()
    shutil.rmtree(n5.folder / "cluster")
    cluster.start("n5")
    cluster.join("n5")
    cluster.until(cluster.complete)
    cluster.converge()
    assert cluster["n1"].rows().keys() >= {"198.18.51.2", "198.18.51.3", "198.18.51.4"}


@pytest.fixture
def stolen(cluster: ClusterLab, tmp_path: Path) -> Iterator[Path]:
    """Directory of a member n6 that somebody else has; it is revoked afterwards."""
    folder = tmp_path / "n6"
    assert _join(cluster, _token(cluster), folder, "n6").returncode == 0
    yield folder
    cluster["n1"].call("cluster.revoke", node="n6")
    cluster.until(cluster.complete)


@pytest.mark.system
def test_forged_origin(cluster: ClusterLab, stolen: Path) -> None:
    """A member that speaks in another's name is refused and counted, and nobody is banned for it."""
    cluster["n2"].ban("198.18.52.1")
    cluster.converge()

    async def forge() -> None:
        async with Rogue(stolen) as rogue:
            await rogue.meets(5)
            forged = rogue.bans([f"198.18.53.{number}" for number in range(1, 6)])
            lifted = [(record[0], record[1] + (1 << 30), record[2], None, 1) for record in forged]
            for name in cluster.nodes:
                rogue.forge_parcel("n2" if name != "n2" else "n1", name, forged)
                rogue.forge_record("n2" if name != "n2" else "n1", name)
            # Its map says the same, so that whoever compares may find more of n1 and n2 there.
            for key, entry in [(record[0], record) for record in forged]:
                rogue.records.remove(key, time.monotonic(), time.time())
                for name in ("n1", "n2"):
                    newer = (key, entry[1] + (2 << 30), entry[2], entry[3], 7)
                    rogue.records.merge_many(name, [newer], time.monotonic(), time.time())
            for name in cluster.nodes:
                rogue.send(name, ("chunk", 1, b"", None, b""))  # an answer to no question
                rogue.send(name, ("put", lifted, None))
            for _ in range(60):
                await asyncio.sleep(0.05)

    with cluster.attacker.inside():
        asyncio.run(forge())
    for node in cluster:
        assert refused(cluster, node.name, "forged_origin") >= 2, node.call("cluster.status")
        assert node.rows().keys() == {"198.18.52.1"}
        assert node.members()["n2" if node.name != "n2" else "n1"]["addresses"] != ["192.0.2.66 7170"]
    cluster.converge()


@pytest.mark.system
def test_mad_member(cluster: ClusterLab, stolen: Path) -> None:
    """A member that bans all the world is bounded, held, warned about; telephony and sharing go on."""
    flood = [f"198.19.{number // 250}.{number % 250 + 1}" for number in range(10_000)]
    wide = ["0.0.0.0/1", "128.0.0.0/1", "192.0.0.0/8", "::/1"]
    telephony = [CARRIER, "192.0.2.0/24", *(node.address for node in cluster)]
    slowest = 0.0

    async def rage() -> None:
        nonlocal slowest
        async with Rogue(stolen) as rogue:
            await rogue.meets(5)
            rogue.push(rogue.bans([*wide, *telephony]))
            rogue.push(rogue.bans(flood))
            rogue.push([rogue.allows("0.0.0.0/0")])
            await asyncio.sleep(0)
            for number in range(10):
                # The others go on meanwhile; in a thread, because the flood comes out of this loop.
                value = f"198.18.54.{number + 1}"
                await asyncio.to_thread(cluster["n2"].ban, value)
                slowest = max(slowest, await asyncio.to_thread(cluster.spread, value))
                await asyncio.sleep(0.1)
            await asyncio.to_thread(
                cluster.until,
                lambda: all(_held(node) + _applied(node) >= len(flood) for node in cluster),
            )

    with cluster.attacker.inside():
        asyncio.run(rage())
    print(f"slowest ban of another node during the flood: {slowest * 1000:.0f} ms")
    assert slowest < 2
    for node in cluster:
        assert _applied(node) <= MAX_BANS, "no more than its budget"
        assert _held(node) >= len(flood) - MAX_BANS
        held = [line for line in cluster.warnings(node.name) if "n6" in line and "held" in line]
        assert held, cluster.warnings(node.name)
        rows = node.rows()
        assert not {*wide, *telephony} & rows.keys()
        assert not any("/" in value for value in rows)
        assert "0.0.0.0/0" not in {row["value"] for row in node.call("allow.list")}
    for name in ("n1", "n2"):
        assert cluster.arriving(name, CARRIER) == 3
        assert cluster.arriving(name, ATTACKER) == 3, "nobody who was not named is blocked"
    # The operator looks and decides: out with it.
    cluster["n1"].call("cluster.revoke", node="n6")
    cluster.until(lambda: all(len(node.rows()) == 10 for node in cluster))
    assert not any(cluster.warnings(node.name) for node in cluster)
    cluster.converge()


def _applied(node: Any) -> int:
    return int(node.call("cluster.status")["sharing"]["origins"].get("n6", {}).get("bans", 0))


def _held(node: Any) -> int:
    return int(node.call("cluster.status")["sharing"]["held"])
