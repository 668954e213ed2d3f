"""Programs that fail give one clear error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shield.errors import SystemFailure
from shield.firewall.run import may_change_rules, run


def test_output_and_input() -> None:
    """Standard input goes in, standard output comes out."""
    assert run(["cat"], "text") == "text"


def test_program_is_missing() -> None:
    """A missing program is named, with what to do."""
    with pytest.raises(SystemFailure, match=r"no-such-program: program not found \(install"):
        run(["no-such-program"])


def test_own_message() -> None:
    """The program's own message is in the error, without lines that only underline."""
    with pytest.raises(SystemFailure, match="sh: bad set; line 2") as caught:
        run(["sh", "-c", "printf 'bad set\\n  ^^^\\nline 2\\n' >&2; exit 3"])
    assert ("CAP_NET_ADMIN" in str(caught.value)) == (not may_change_rules())


@pytest.mark.parametrize(
    ("effective", "may"),
    [("0000000000000000", False), ("000001ffffffefff", False), ("0000000000003000", True)],
)
def test_only_the_capability_counts(
    effective: str, may: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root without CAP_NET_ADMIN may not change rules, a user with it may, and gets no wrong hint."""
    status = tmp_path / "status"
    # What is permitted but not in effect does not help.
    status.write_text(f"Name:\tpython\nCapPrm:\t000001ffffffffff\nCapEff:\t{effective}\nSeccomp:\t0\n")
    monkeypatch.setattr("shield.firewall.run._STATUS", status)
    assert may_change_rules() == may
    with pytest.raises(SystemFailure) as caught:
        run(["false"])
    assert ("CAP_NET_ADMIN" in str(caught.value)) == (not may)


@pytest.mark.parametrize(("user", "may"), [(0, True), (1000, False)])
def test_without_proc(user: int, may: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc is missing, root is taken for permitted."""
    monkeypatch.setattr("shield.firewall.run._STATUS", tmp_path / "none")
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert may_change_rules() == may


def test_no_message() -> None:
    """Without a message the exit code is told."""
    with pytest.raises(SystemFailure, match="false: exit code 1"):
        run(["false"])


def test_long_message_is_cut() -> None:
    """A program that quotes a whole batch does not fill the log."""
    with pytest.raises(SystemFailure) as caught:
        run(["sh", "-c", "yes line | head -n 10000 >&2; exit 1"])
    assert len(str(caught.value)) < 700


def test_timeout() -> None:
    """A program that does not end is given up."""
    with pytest.raises(SystemFailure, match=r"sleep: no end after 0\.05 s"):
        run(["sleep", "5"], timeout=0.05)
