"""Which commands can be run from elsewhere, and how they are written."""

from __future__ import annotations

from typing import Any

import pytest

from shield.control.commands import COMMANDS, Answer, check
from shield.control.remote import SAFE, RemoteSettings, read_words
from shield.errors import ConfigError, InputError


@pytest.mark.parametrize(
    ("words", "name", "arguments"),
    [
        ("status", "status", {}),
        ("show 192.0.2.1", "show", {"value": "192.0.2.1"}),
        ("ban 192.0.2.1 192.0.2.2 duration=1h reason=x", "ban",
         {"values": ["192.0.2.1", "192.0.2.2"], "duration": 3600.0, "reason": "x"}),
        ("unban all=true", "unban", {"all": True}),
        ("list origin=a remaining<1h limit=5", "list", {"filter": "origin=a remaining<1h", "limit": 5}),
        ("allow list", "allow list", {}),
        ("allow 192.0.2.0/24", "allow", {"values": ["192.0.2.0/24"]}),
        ("tag set cdr active reason=moved", "tag set",
         {"tag": "cdr", "state": "active", "reason": "moved"}),
        ("capability disable script", "capability disable", {"capability": "script"}),
    ],
)  # fmt: skip
def test_words_become_a_command(words: str, name: str, arguments: dict[str, Any]) -> None:
    """Values without a name where they are meant; the table of the control socket takes them."""
    assert read_words(words.split()) == (name, arguments)
    check(SAFE[name].command, arguments)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("relod", "did you mean 'reload'"),
        ("inject /etc/passwd", "cannot be run on other nodes"),
        ("cluster invite", "cannot be run"),
        ("status now", "'now' is too much"),
        ("tag set cdr active now", "'now' is too much"),
        ("list limit=many", "limit must be a whole number"),
        ("ban 192.0.2.1 duration=soon", "soon"),
        ("", "cannot be run"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(words: str, why: str) -> None:
    """With what was meant, or what there is."""
    with pytest.raises(InputError, match=why):
        read_words(words.split())


def test_the_list_is_safe() -> None:
    """Each leads to a command that exists and ends; none brings files, programs or members."""
    never = {"import", "inject", "watch", "cluster.listen", "cluster.run", "cluster.ask"}
    never |= {"cluster.invite", "cluster.revoke", "cluster.remove", "cluster.leave", "cluster.disable"}
    for safe in SAFE.values():
        assert COMMANDS[safe.command].answer is not Answer.EVENTS
        assert safe.command not in never
        assert set(safe.positional) <= {one.name for one in COMMANDS[safe.command].arguments}


def test_nothing_is_allowed_by_default() -> None:
    """@read is all that changes nothing; the rest is named one by one."""
    assert not [name for name in SAFE if RemoteSettings().allows(name)]
    reading = RemoteSettings(allow=("@read", "tag set"))
    assert reading.allows("status")
    assert reading.allows("tag set")
    assert not reading.allows("ban")
    assert not reading.allows("reload")


def test_wrong_settings_name_the_key() -> None:
    """A slip gets the nearest name."""
    with pytest.raises(ConfigError, match=r"remote\.allow: no command 'bann'; did you mean 'ban'\?"):
        RemoteSettings(allow=("bann",))
    with pytest.raises(ConfigError, match=r"remote\.rate"):
        RemoteSettings(rate=0)
