"""shield.script: what a node answers and says of its own in texts."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from shield.conversation import Conversation
from shield.location.settings import LocationSettings
from shield.script import Script
from shield.script_settings import ScriptSettings
from shield.users import Users
from tests.cluster.real import closing, prepare, start, together, until
from tests.location.test_directory import at, gone

ALERT: dict[str, Any] = {
    "event": "alert", "proof": "proven", "value": "192.0.2.66", "decision": {"type": "ban"},
    "details": {"user_agent": "friendly-scanner"},
}  # fmt: skip


def test_only_a_question_for_an_own_user_is_answered() -> None:
    """Everything else is for who listens."""
    script = Script(ScriptSettings(), lambda user: "192.0.2.1" if user == b"al:ice" else "")
    assert script.answer("WHEREIS:al%3Aice:192.0.2.9") == "HEREIS:al%3Aice:192.0.2.1"
    for text in ("WHEREIS:bob:h", "HEREIS:al%3Aice:h", "REGONLINE:al%3Aice:h", "where is alice"):
        assert script.answer(text) is None
    assert script.answered == 1


def test_in_no_cluster_nothing_is_said() -> None:
    """And nothing fails."""
    script = Script(ScriptSettings(users=True, attackers=True), lambda _user: "")
    script.moved(b"100", "h", online=True)
    script.attach(Conversation())
    script.moved(b"100", "h", online=True)
    script.alerted(ALERT)
    assert script.said == 0


def test_nodes_ask_and_tell_each_other(tmp_path: Path) -> None:
    """WHEREIS is answered without anybody who listens; who listens hears of users and attackers."""
    asyncio.run(_two(tmp_path))


async def _two(folder: Path) -> None:
    prepare(folder, "n1", "n2")
    one = await start(folder, "n1")
    two = await start(folder, "n2", one)
    async with await closing(one, two):
        asking, telling = Conversation(), Conversation()
        asking.join(one)
        telling.join(two)
        users = Users(LocationSettings(track=True), "n2", wall=time.time, clock=time.monotonic)
        script = Script(ScriptSettings(users=True, attackers=True), users.own_server)
        script.attach(telling)
        users.directory.on_move = lambda aor, server, online: script.moved(
            aor.partition(b"@")[0], server, online=online
        )
        users.join(two, time.monotonic())
        await together(one, two)
        heard: list[str] = []
        watch = asking.listen()
        asked: dict[str, Any] = {"node": None, "seconds": 5.0, "include_self": False}
        nobody = await asking.ask("WHEREIS:100:h", **asked)
        assert (nobody["replies"], len(nobody["failures"])) == ({}, 1)
        users.observe(at(60), time.monotonic())
        users.observe(at(60), time.monotonic())
        found = await asking.ask("WHEREIS:100:h", **asked)
        assert found["replies"] == {"n2": "HEREIS:100:198.51.100.1"}
        users.observe(gone(), time.monotonic())
        script.alerted(ALERT | {"proof": "unproven"})
        script.alerted(ALERT | {"decision": None})
        script.alerted(ALERT)
        await until(lambda: watch.queue.qsize() >= 3)
        while watch.queue.qsize():
            heard.append((await anext(watch))["text"])
        assert heard == [
            "REGONLINE:100:198.51.100.1:5060", "REGOFFLINE:100:198.51.100.1:5060",
            "HACKER:ZnJpZW5kbHktc2Nhbm5lcg==:192.0.2.66",
        ]  # fmt: skip
        users.part()
        asking.part()
        telling.part()


@pytest.mark.parametrize("kind", ["users", "attackers"])
def test_what_is_not_wanted_is_not_said(kind: str) -> None:
    """Who is online is nobody's business by default."""
    script = Script(ScriptSettings(**{kind: True}), lambda _user: "")
    said: list[str] = []
    script._say = lambda message: said.append(str(message))  # type: ignore[method-assign]
    script.moved(b"100", "h", online=False)
    script.alerted(ALERT)
    assert said == (
        ["REGOFFLINE:100:h"] if kind == "users" else ["HACKER:ZnJpZW5kbHktc2Nhbm5lcg==:192.0.2.66"]
    )
