"""shield.features: what is switched off says so, what is on follows the traffic."""

from __future__ import annotations

import time

import pytest

from shield.config import Settings
from shield.control.commands import COMMANDS, Actor
from shield.errors import InputError
from shield.features import Features
from shield.hooks.settings import HooksSettings, Program
from shield.location.settings import LocationSettings
from tests.rules.test_slow import pipeline

WHO = Actor("root", 0, 1)


def test_what_is_off_costs_nothing_and_says_how_to_switch_it_on() -> None:
    """Nothing follows the traffic; in the cluster are only orders of others, which it refuses."""
    off = Features(Settings(), "n", wall=time.time, clock=time.monotonic, pipeline=pipeline())
    assert (off.all, off.followers) == ((off.remote,), ())
    assert set(off.stats()) == {"remote"}
    off.tick(0.0)
    with pytest.raises(InputError, match=r"location\.track = true"):
        off.commands["whereis"]({"user": "x"}, WHO)


def test_what_is_on_follows_the_traffic() -> None:
    """And is counted."""
    on = Features(
        Settings(location=LocationSettings(track=True)),
        "n",
        wall=time.time,
        clock=time.monotonic,
        pipeline=pipeline(),
    )
    assert (len(on.all), len(on.followers)) == (2, 1)
    on.tick(time.monotonic())
    assert on.stats()["location"]["users"] == 0


def test_every_command_of_a_feature_is_answered_switched_on_or_off() -> None:
    """With what it is, or with the key that switches it on."""
    wanted = {
        n
        for n in COMMANDS
        if n in {"whereis", "users", "calls"} or n.startswith(("cdr.", "conference."))
    }
    off = Features(Settings(), "n", wall=time.time, clock=time.monotonic, pipeline=pipeline())
    assert wanted <= set(off.commands)
    for name in wanted:
        with pytest.raises(InputError, match="switched off"):
            off.commands[name]({}, WHO)


def test_status_counts_what_hooks_sent_and_failed() -> None:
    """As soon as there is a target; without one it says nothing of hooks."""
    hooks = HooksSettings(exec=(Program(command=("/bin/true",)),))
    made = [
        Features(Settings(hooks=each), "n", wall=time.time, clock=time.monotonic, pipeline=pipeline())
        for each in (HooksSettings(), hooks)
    ]
    assert made[0].short() == {}
    assert made[1].short()["hooks"]["failed"] == 0
