"""shield.calls: reporting, collecting and the commands about calls, alone and in a cluster of two."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from shield.calls import Calls
from shield.cdr.settings import CdrSettings
from shield.control.commands import Actor
from shield.errors import InputError
from shield.sip.dialogs import Dialogs
from tests.cdr.calls import failed, start, stop
from tests.cluster.real import closing, prepare, together, until
from tests.cluster.real import start as begin

WHO = Actor("root", 0, 1)


def calls(folder: Path, node: str = "n1", **settings: Any) -> Calls:
    made = CdrSettings(
        spool=str(folder / f"{node}-spool.db"), ledger=str(folder / f"{node}.db"), **settings
    )
    return Calls(made, node, Dialogs(), wall=time.time, clock=time.monotonic)


async def ask(made: Calls, command: str, **arguments: Any) -> Any:
    found = made.commands[command](arguments, WHO)
    return await found if asyncio.iscoroutine(found) else found


def asked(made: Calls, command: str, **arguments: Any) -> Any:
    return asyncio.run(ask(made, command, **arguments))


def test_alone_a_collector_writes_its_own_calls(tmp_path: Path) -> None:
    """And finds them by number, key, Call-ID, user, state and time."""
    made = calls(tmp_path, report=True, collect=True, export=str(tmp_path / "out"))
    for number in (1, 2):
        made.delivery.put(start(number))
        made.delivery.put(stop(number))
    made.delivery.put(failed(3))
    made.tick(time.monotonic())
    rows = asked(made, "cdr.list")
    assert [row["called"] for row in rows] == ["1003", "1002", "1001"]
    for name in ("1", rows[2]["key"], rows[2]["call_id"]):
        assert [row["called"] for row in asked(made, "cdr.show", call=name)] == ["1001"]
    assert len(asked(made, "cdr.list", user="1002")) == 1
    assert len(asked(made, "cdr.list", state="failed")) == 1
    assert asked(made, "cdr.list", since=time.time()) == []
    assert len(asked(made, "cdr.list", limit=1)) == 1
    stats = asked(made, "cdr.stats")
    assert (stats["calls"]["answered"], stats["waiting"], stats["exported"]) == (2, 0, 0)
    assert made.warnings() == []
    assert asked(made, "calls") == []
    made.close()


@pytest.mark.parametrize(
    ("command", "arguments"),
    [("cdr.list", {"state": "x"}), ("cdr.list", {"limit": 0}), ("cdr.show", {"call": "nothing"})],
)
def test_questions_that_find_nothing_or_make_no_sense(
    tmp_path: Path, command: str, arguments: dict[str, Any]
) -> None:
    """An error in words."""
    made = calls(tmp_path, collect=True)
    with pytest.raises(InputError):
        asked(made, command, **arguments)
    made.close()


def test_a_node_that_collects_nothing_and_is_alone_says_so(tmp_path: Path) -> None:
    """With the key to switch on."""
    made = calls(tmp_path, report=True)
    for command in ("cdr.list", "cdr.watch"):
        with pytest.raises(InputError, match=r"cdr\.collect"):
            asked(made, command)
    made.close()


def test_calls_of_one_node_are_in_the_journal_of_another(tmp_path: Path) -> None:
    """Watched there as they come, and listed from the first node by asking."""
    asyncio.run(_two(tmp_path))


async def _two(folder: Path) -> None:
    prepare(folder, "n1", "n2")
    one = await begin(folder, "n1")
    two = await begin(folder, "n2", one)
    first, second = calls(folder, "n1", report=True), calls(folder, "n2", collect=True)
    async with await closing(one, two):
        first.join(one, time.monotonic())
        second.join(two, time.monotonic())
        await together(one, two)
        watch = await ask(second, "cdr.watch")
        first.delivery.put(start(1))
        first.delivery.put(stop(1))
        async with asyncio.timeout(15):
            assert (await anext(watch))["called"] == "1001"
        await until(lambda: first.delivery.collectors() == ("n2",))
        assert [row["called"] for row in await ask(first, "cdr.list")] == ["1001"]
        assert [row["state"] for row in await ask(first, "cdr.show", call="1")] == ["answered"]
        with pytest.raises(InputError):
            await ask(first, "cdr.list", state="x")
        first.forget("n2", time.monotonic())
        assert first.delivery.collectors() == ()
        first.part()
        second.part()
    first.close()
    second.close()
