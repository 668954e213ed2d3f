"""shield.hooks.hooks: who is told of what, over real HTTP and by real programs; nothing waits."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shield.errors import ConfigError, InputError
from shield.hooks.hooks import Hooks
from shield.hooks.settings import HooksSettings, Program, Webhook
from tests.hooks.receiver import Receiver

COMPROMISED = {"event": "compromised", "kind": "found", "account": "100", "value": "192.0.2.66"}
BAN = {"event": "change", "change": "added", "value": "192.0.2.9"}
UNBAN = {"event": "change", "change": "removed", "value": "192.0.2.9"}
ALERT = {"event": "alert", "kind": "scan", "value": "192.0.2.9"}
FLOOD = {"event": "alert", "kind": "flood", "value": "192.0.2.9"}
QUICK = {"retry_first": 0.01, "retry_last": 0.05}


def told(made: Hooks, *events: dict[str, Any], until: Callable[[], bool]) -> None:
    """Offer events and let the hooks work until something is so."""

    async def run() -> None:
        task = asyncio.ensure_future(made.run())
        for event in events:
            made.offer(event)
        async with asyncio.timeout(15):
            while not until():
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


def stats(made: Hooks) -> dict[str, Any]:
    (found,) = made.stats().values()
    return dict(found)


def program(folder: Path, *lines: str, name: str = "hook.py") -> tuple[str, ...]:
    """A Python program of these lines; it finds its folder as argument."""
    path = folder / name
    path.write_text("\n".join(("import sys, os, json, time", *lines)))
    return sys.executable, str(path), str(folder)


def test_a_webhook_gets_what_it_wants_signed_and_in_order(tmp_path: Path) -> None:
    """JSON with an id, the event's name and the node; headers with token and signature."""
    (tmp_path / "secret").write_text("s3cret\n")
    (tmp_path / "token").write_text("t0ken")
    with Receiver() as receiver:
        hook = Webhook(
            receiver.url, ("compromised", "ban"), headers=("X-Site: hq",),
            secret_file=str(tmp_path / "secret"), token_file=str(tmp_path / "token"),
        )  # fmt: skip
        made = Hooks(HooksSettings(webhook=(hook,)), "n1")
        told(made, COMPROMISED, ALERT, BAN, UNBAN, until=lambda: len(receiver.got) == 2)
        first, second = receiver.got
    body = json.loads(first.body)
    assert (body["event"], body["node"], body["data"]) == ("compromised", "n1", COMPROMISED)
    assert json.loads(second.body)["event"] == "ban"
    assert first.headers["Authorization"] == "Bearer t0ken"
    assert first.headers["X-Site"] == "hq"
    assert first.headers["X-Shield-Delivery"] == body["id"]
    digest = hmac.new(b"s3cret", first.body, hashlib.sha256).hexdigest()
    assert first.headers["X-Shield-Signature"] == f"sha256={digest}"


def test_a_flood_is_an_alert_too() -> None:
    """Whoever asked for floods hears of nothing else."""
    with Receiver() as receiver:
        made = Hooks(HooksSettings(webhook=(Webhook(receiver.url, ("flood",)),)), "n1")
        assert made.wanted == {"alert"}
        told(made, ALERT, FLOOD, until=lambda: len(receiver.got) == 1)
        assert json.loads(receiver.got[0].body)["data"] == FLOOD


def test_a_server_that_cannot_now_is_asked_again_and_one_that_refuses_is_not() -> None:
    """503 twice, then it is taken; 400 is final, a redirect is not followed."""
    with Receiver(503, 429) as receiver:
        made = Hooks(HooksSettings(webhook=(Webhook(receiver.url),), **QUICK), "n1")  # type: ignore[arg-type]
        told(made, COMPROMISED, until=lambda: stats(made)["sent"] == 1)
        assert (stats(made)["retried"], len(receiver.got)) == (2, 3)
        assert made.warnings() == []
    with Receiver(400, 302) as receiver:
        made = Hooks(HooksSettings(webhook=(Webhook(receiver.url),), **QUICK), "n1")  # type: ignore[arg-type]
        told(made, COMPROMISED, COMPROMISED, until=lambda: stats(made)["failed"] == 2)
        assert [got.path for got in receiver.got] == ["/hook", "/hook"]
        assert "HTTP 302" in made.warnings()[0]


def test_a_server_that_is_not_there_is_given_up_in_the_end() -> None:
    """After ``retry_time``; the reason is shown."""
    with Receiver() as receiver:
        url = receiver.url
    settings = HooksSettings(webhook=(Webhook(url),), retry_time=0.1, **QUICK)  # type: ignore[arg-type]
    made = Hooks(settings, "n1")
    told(made, COMPROMISED, until=lambda: stats(made)["failed"] == 1)
    assert "given up after" in made.warnings()[0]


def test_what_waits_for_a_target_is_bounded() -> None:
    """The oldest go, counted and warned of; offering never waits."""
    made = Hooks(HooksSettings(webhook=(Webhook("https://127.0.0.1:9/"),), queue=10), "n1")
    for _ in range(25):
        made.offer(COMPROMISED)
    assert (stats(made)["waiting"], stats(made)["dropped"]) == (10, 15)
    assert "15 events were dropped" in made.warnings()[0]


def test_a_program_gets_the_event_on_its_input_and_in_its_environment(tmp_path: Path) -> None:
    """Without a shell, and with nothing else of the daemon's environment."""
    command = program(
        tmp_path,
        "event = json.load(sys.stdin)",
        "event['env'] = {k: v for k, v in os.environ.items() if not k.startswith('LC_')}",
        "open(sys.argv[1] + '/out.tmp', 'w').write(json.dumps(event))",
        "os.rename(sys.argv[1] + '/out.tmp', sys.argv[1] + '/out')",
    )
    made = Hooks(HooksSettings(exec=(Program((*command, "$(touch never)")),)), "n1")
    told(made, COMPROMISED, until=lambda: stats(made)["sent"] == 1)
    seen = json.loads((tmp_path / "out").read_text())
    assert seen["data"] == COMPROMISED
    assert seen["env"]["SHIELD_ACCOUNT"] == "100"
    assert set(seen["env"]) <= {"PATH", "LANG", *(k for k in seen["env"] if k.startswith("SHIELD_"))}


@pytest.mark.parametrize(
    ("line", "why"),
    [("sys.exit(3)", "exit code 3"), ("os.kill(os.getpid(), 9)", "ended by signal 9"),
     ("time.sleep(60)", "killed after 1 s")],
)  # fmt: skip
def test_a_program_that_fails_or_hangs_is_told(tmp_path: Path, line: str, why: str) -> None:
    """It is killed with all that it started, and not run again for the same event."""
    made = Hooks(HooksSettings(exec=(Program(program(tmp_path, line), timeout=1.0),)), "n1")
    begun = time.monotonic()
    told(made, COMPROMISED, until=lambda: stats(made)["failed"] == 1)
    assert time.monotonic() - begun < 14
    assert why in made.warnings()[0]


def test_a_program_that_is_not_there_is_told() -> None:
    """With the reason of the system."""
    made = Hooks(HooksSettings(exec=(Program(("/no/such/program",)),)), "n1")
    told(made, COMPROMISED, until=lambda: stats(made)["failed"] == 1)
    assert "cannot be started" in made.warnings()[0]


def test_a_test_asks_every_target_once(tmp_path: Path) -> None:
    """And says of each what came of it."""
    with Receiver(500) as receiver:
        settings = HooksSettings(
            webhook=(Webhook(receiver.url), Webhook(receiver.url)),
            exec=(Program(program(tmp_path, "")),),
        )
        rows = asyncio.run(Hooks(settings, "n1").test())
    assert sorted(row["ok"] for row in rows) == [False, True, True]
    assert {row["message"] for row in rows} == {"HTTP 500", "HTTP 200", "exit code 0"}


@pytest.mark.parametrize(
    ("kind", "values", "key"),
    [
        (Webhook, {"url": "ftp://x"}, "url"),
        (Webhook, {"url": "http://example.com/"}, "url"),
        (Webhook, {"url": "https://x/", "events": ("what",)}, "events"),
        (Webhook, {"url": "https://x/", "events": ()}, "events"),
        (Webhook, {"url": "https://x/", "headers": ("no colon",)}, "headers"),
        (Webhook, {"url": "https://x/", "timeout": 0.0}, "timeout"),
        (Program, {"command": ()}, "command"),
        (Program, {"command": ("relative",)}, "command"),
        (Program, {"command": ("/x", "a\0b")}, "command"),
    ],
)
def test_targets_that_make_no_sense_are_refused(kind: Any, values: dict[str, Any], key: str) -> None:
    """The key is named."""
    with pytest.raises(InputError, match=key):
        kind(**values)


@pytest.mark.parametrize(
    "values", [{"queue": 0}, {"parallel": 99}, {"retry_first": 0.0}, {"retry_time": 0.0},
               {"exec": (Program(("/x",)),) * 17}],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    """Before the node starts."""
    with pytest.raises(ConfigError, match=r"hooks\."):
        HooksSettings(**values)


@pytest.mark.parametrize("key", ["token_file", "secret_file", "ca_file"])
def test_files_that_cannot_be_read_are_named(tmp_path: Path, key: str) -> None:
    """At the start, and not with the first event."""
    files: dict[str, Any] = {key: str(tmp_path / "none")}
    hook = Webhook("https://x/", **files)
    with pytest.raises(ConfigError, match=key):
        Hooks(HooksSettings(webhook=(hook,)), "n1")
