"""Cluster: what a member keeps over its restarts."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.cluster.real import prepare, start, together, until


def test_dead_members_are_known_after_a_restart(tmp_path: Path) -> None:
    """Of a node that died before, others may still tell what it had said: its name was no invention."""

    async def main() -> None:
        prepare(tmp_path, "a", "b")
        a = await start(tmp_path, "a")
        b = await start(tmp_path, "b", a)
        await together(a, b)
        await b.close(leave=False)
        members = a.core.membership.members
        await until(lambda: members["b"].state.value == "dead")
        await a.close()
        a = await start(tmp_path, "a")
        assert a.core.membership.members["b"].state.value == "dead"
        assert a.core.post.knows("b")
        assert a.members() == ()
        b = await start(tmp_path, "b", a)
        await together(a, b)
        assert a.core.membership.members["b"].state.value == "alive"
        await a.close()
        await b.close()

    asyncio.run(main())


def test_a_revoked_member_is_not_recalled(tmp_path: Path) -> None:
    """The file of members is older than its revocation: it is a stranger after the restart."""

    async def main() -> None:
        prepare(tmp_path, "a", "b")
        a = await start(tmp_path, "a")
        b = await start(tmp_path, "b", a)
        await together(a, b)
        await a.close()
        await b.close()
        kept = (tmp_path / "a" / "members.json").read_bytes()
        a = await start(tmp_path, "a")
        a.revoke("b")
        await a.close()
        (tmp_path / "a" / "members.json").write_bytes(kept)
        a = await start(tmp_path, "a")
        assert a.core.membership.members == {}
        await a.close()

    asyncio.run(main())
