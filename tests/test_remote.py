"""Commands on other nodes: over real TLS on loopback, between two nodes' inner parts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from shield.background import spawn
from shield.cluster.capability import Incoming
from shield.cluster.messages import Kind
from shield.cluster.state_files import StateFiles
from shield.control.remote import RemoteSettings
from shield.errors import InputError, RemoteError, SystemFailure
from shield.remote import AUDIT, MAX_ROWS, Remote
from tests.node_parts import ATTACKER
from tests.test_clustering import Part, pair, run

OPEN = RemoteSettings(allow=("@read", "ban", "unban"), nodes=("a",))


def attach(part: Part, folder: Path, settings: RemoteSettings) -> Remote:
    """Give a node its ``[remote]``."""
    cluster = part.clustering.joined()
    clock = part.clustering.clock
    remote = Remote(
        settings, StateFiles(folder / cluster.name), wall=lambda: 1.7e9, clock=clock, spawn=spawn
    )
    remote.execute = part.dispatcher.handle
    part.dispatcher._commands.update(remote.commands)
    remote.join(cluster, clock())
    return remote


@asynccontextmanager
async def nodes(folder: Path, settings: RemoteSettings = OPEN) -> AsyncIterator[tuple[Part, Part]]:
    """Nodes a and b; b runs for others what ``settings`` allow, a nothing."""
    async with pair(folder) as (a, b):
        a.remote = attach(a, folder, RemoteSettings())  # type: ignore[attr-defined]
        b.remote = attach(b, folder, settings)  # type: ignore[attr-defined]
        yield a, b


async def order(part: Part, node: str, name: str, **arguments: Any) -> dict[str, Any]:
    text = json.dumps(arguments)
    answer = await part.ask("cluster.run", node=node, order=name, arguments=text, timeout=3)
    return dict(answer)


def outcomes(folder: Path, name: str) -> list[tuple[str, str, str]]:
    lines = (folder / name / AUDIT).read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    return [(one["what"], one["command"], one["outcome"]) for one in entries]


def test_a_command_runs_where_it_is_allowed_and_leaves_traces_on_both_sides(tmp_path: Path) -> None:
    """Who wanted it is known there by name and node."""

    async def main() -> None:
        async with nodes(tmp_path) as (a, b):
            answer = await order(a, "b", "ban", values=[ATTACKER])
            assert answer["results"]["b"]["results"][0]["ok"] is True
            assert b.banned() == {ATTACKER}
            (row,) = await b.ask("list")
            assert row["reason"] == "by operator@a"
            assert outcomes(tmp_path, "a") == [("asked", "ban", ""), ("answer", "ban", "done")]
            assert outcomes(tmp_path, "b") == [("run", "ban", "begun"), ("run", "ban", "done")]
            entries = await b.ask("cluster.audit", limit=1)
            assert (entries[0]["who"], entries[0]["node"]) == ("operator@a", "b")
            assert ATTACKER in entries[0]["arguments"]
            assert (tmp_path / "b" / AUDIT).stat().st_mode & 0o777 == 0o600

    run(main)


def test_all_collects_from_each_and_this_node_too(tmp_path: Path) -> None:
    """What one refuses does not keep the others from answering."""

    async def main() -> None:
        async with nodes(tmp_path) as (a, b):
            await a.ask("ban", values=["192.0.2.9"])
            answer = await order(a, "all", "list")
            assert [row["value"] for row in answer["results"]["a"]] == ["192.0.2.9"]
            assert set(answer["results"]) == {"a", "b"}
            answer = await order(b, "all", "list")
            assert answer["failures"] == {"a": "refused: b may run nothing here (remote.nodes)"}
            assert set(answer["results"]) == {"b"}

    run(main)


@pytest.mark.parametrize(
    ("settings", "name", "why"),
    [
        (RemoteSettings(), "status", "a may run nothing here"),
        (RemoteSettings(allow=("status",)), "status", "a may run nothing here"),
        (RemoteSettings(allow=("@read",), nodes=("a",)), "ban", "ban is not allowed here"),
        (RemoteSettings(allow=("@read",), nodes=("c",), authority=True), "tag set", "not allowed here"),
    ],
)
def test_nothing_runs_that_is_not_allowed(
    tmp_path: Path, settings: RemoteSettings, name: str, why: str
) -> None:
    """By default nothing; the refusal is written down on both sides."""

    async def main() -> None:
        async with nodes(tmp_path, settings) as (a, b):
            given: dict[str, Any] = {"values": [ATTACKER]} if name == "ban" else {}
            given = {"tag": "x", "state": "active"} if name == "tag set" else given
            answer = await order(a, "b", name, **given)
            assert why in answer["failures"]["b"]
            assert b.banned() == set()
            assert outcomes(tmp_path, "b")[0][2].startswith("refused: ")
            assert outcomes(tmp_path, "a")[1][2].startswith("failed: refused: ")

    run(main)


def test_the_role_of_the_authority_is_enough(tmp_path: Path) -> None:
    """a holds the authority; b does not, and may run nothing on a that only the role may."""

    async def main() -> None:
        async with nodes(tmp_path, RemoteSettings(allow=("status",), authority=True)) as (a, b):
            assert (await order(a, "b", "status"))["results"]["b"]
            a.remote.settings = RemoteSettings(allow=("status",), authority=True)  # type: ignore[attr-defined]
            assert "may run nothing" in (await order(b, "a", "status"))["failures"]["a"]

    run(main)


def test_a_modified_sender_gets_no_further(tmp_path: Path) -> None:
    """Names outside the list, wrong arguments, wrong shapes: refused on the node that would run them."""

    async def main() -> None:
        async with nodes(tmp_path) as (_, b):
            remote = b.remote  # type: ignore[attr-defined]
            bodies = [
                ("run", "inject", '{"path": "/etc/passwd"}', "root"),
                ("run", "ban", '{"values": 5}', "root"),
                ("run", "ban", "[]", "root"),
                ("run", "show", '{"value": "x", "more": 1}', "root"),
                ("run", "status", "{", "root"),
            ]
            for body in bodies:
                with pytest.raises(RemoteError, match="refused"):
                    remote._incoming(Incoming("a", Kind.REQUEST, 1, body), 0.0)
            for body in [
                "run",
                ("run", "status", "{}"),
                ("run", 1, "{}", "x"),
                ("run", "status", "{}", "x" * 101),
            ]:
                with pytest.raises(RemoteError, match="shape"):
                    remote._incoming(Incoming("a", Kind.REQUEST, 1, body), 0.0)
            with pytest.raises(RemoteError, match="shape"):
                remote._incoming(Incoming("a", Kind.MESSAGE, 0, ("run", "status", "{}", "root")), 0.0)
            assert len(outcomes(tmp_path, "b")) == len(bodies)

    run(main)


def test_rate_and_number_are_bounded(tmp_path: Path) -> None:
    """Beyond the rate nothing is even written down; it comes back with time. So many run at once."""

    async def main() -> None:
        async with nodes(tmp_path, RemoteSettings(allow=("status",), nodes=("a",), rate=20)) as (_, b):
            remote, held = b.remote, asyncio.Event()  # type: ignore[attr-defined]

            async def waits(command: str, arguments: Any, actor: Any) -> Any:
                await held.wait()

            remote.execute = waits
            ask = Incoming("a", Kind.REQUEST, 1, ("run", "status", "{}", "x"))
            for _ in range(8):
                assert remote._incoming(ask, 0.0)
            with pytest.raises(RemoteError, match="8 commands run already"):
                remote._incoming(ask, 0.0)
            for _ in range(11):
                with pytest.raises(RemoteError, match="refused"):
                    remote._incoming(ask, 0.0)
            written = len(outcomes(tmp_path, "b"))
            with pytest.raises(RemoteError, match="too_fast"):
                remote._incoming(ask, 0.0)
            assert len(outcomes(tmp_path, "b")) == written
            held.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert remote._incoming(ask, 3.0)

    run(main)


def test_without_a_trace_nothing_is_done(tmp_path: Path) -> None:
    """A disk that is full keeps commands from being run, and from being asked."""

    async def main() -> None:
        async with nodes(tmp_path) as (a, b):

            def full(*_: Any) -> None:
                raise SystemFailure("audit.log: No space left on device")

            b.remote._files.append = full  # type: ignore[attr-defined]
            answer = await order(a, "b", "ban", values=[ATTACKER])
            assert "No space left" in answer["failures"]["b"]
            assert b.banned() == set()
            a.remote._files.append = full  # type: ignore[attr-defined]
            with pytest.raises(RemoteError, match="No space left"):
                await order(a, "b", "status")

    run(main)


def test_answers_are_bounded_and_bugs_are_told(tmp_path: Path) -> None:
    """The beginning of a long list; too long an answer and a crash are failures with their reason."""

    async def main() -> None:
        async with nodes(tmp_path) as (a, b):
            remote = b.remote  # type: ignore[attr-defined]

            def gives(result: Any) -> None:
                async def execute(command: str, arguments: Any, actor: Any) -> Any:
                    if isinstance(result, Exception):
                        raise result
                    return result

                remote.execute = execute

            gives(iter(range(MAX_ROWS + 5)))
            answer = (await order(a, "b", "list"))["results"]["b"]
            assert (len(answer["rows"]), answer["more"]) == (MAX_ROWS, True)
            gives({"x": "y" * 400_000})
            assert "too long" in (await order(a, "b", "list"))["failures"]["b"]
            gives(InputError("not an address"))
            assert (await order(a, "b", "list"))["failures"]["b"] == "not an address"
            gives(ZeroDivisionError("x"))
            assert "ZeroDivisionError" in (await order(a, "b", "list"))["failures"]["b"]
            assert remote.stats["failed"] == 3
            with pytest.raises(InputError, match="cannot be run"):
                await order(a, "b", "inject")
            assert (await order(a, "nobody", "status"))["result"] == "unreachable"

    run(main)


def test_the_audit_is_bounded(tmp_path: Path) -> None:
    """One old file beside the present one."""
    files = StateFiles(tmp_path)
    for number in range(50):
        files.append("x.log", f"line {number:03}", 100)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.log", "x.log.1"]
    assert files.lines("x.log")[-1] == "line 049"
    assert all(path.stat().st_size <= 110 for path in tmp_path.iterdir())
    assert files.lines("no.log") == []
