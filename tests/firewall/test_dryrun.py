"""The dry run says what it would do."""

from __future__ import annotations

import logging

import pytest

from shield.firewall.backend import Element
from shield.firewall.dryrun import LINES_MOST, DryRunBackend
from shield.firewall.settings import FirewallSettings
from tests.firewall.wire import net


def test_lines(caplog: pytest.LogCaptureFixture) -> None:
    """Each step is one line, kept and logged."""
    backend = DryRunBackend(FirewallSettings())
    with caplog.at_level(logging.INFO):
        backend.open()
        backend.allow([net("192.0.2.0/24"), net("192.0.2.1")])
        backend.commit(
            [Element(net("198.51.100.0/24"), 60), Element(net("2001:db8::1"), float("inf"))], []
        )
        backend.commit([], [net("198.51.100.0/24"), net("203.0.113.1")])
        backend.close(remove=True)
    assert list(backend.lines) == [
        "open",
        "allow 192.0.2.0/24",
        "add 198.51.100.0/24 for 60 s",
        "add 2001:db8::1",
        "delete 198.51.100.0/24",
        "remove",
    ]
    assert "would add 198.51.100.0/24 for 60 s" in caplog.text
    assert backend.active() == {}


def test_lines_are_bounded() -> None:
    """Only the newest lines are kept."""
    backend = DryRunBackend(FirewallSettings())
    for _ in range(LINES_MOST + 10):
        backend.open()
    assert len(backend.lines) == LINES_MOST


def test_render() -> None:
    """The text says what passes, then what is dropped and for how long."""
    backend = DryRunBackend(FirewallSettings())
    text = backend.render([Element(net("192.0.2.1"), 60)], [net("192.0.2.2")])
    assert text == "allow 192.0.2.2\nadd 192.0.2.1 for 60 s\n"
