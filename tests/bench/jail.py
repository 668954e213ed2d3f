"""What fail2ban makes of labelled captures: its asterisk jail as shipped, on the log of an Asterisk.

The log is written by ``asterisk_log``; ``jail_worker`` gives it to fail2ban's own code, in event time.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.asterisk_log import Line, asterisk_log
from tests.bench.corpus import Capture, Result

__all__ = ["fail2ban", "missing"]

PYTHON = "/usr/bin/python3"
"""Debian installs fail2ban for this one."""
WORKER = Path(__file__).with_name("jail_worker.py")
PATIENCE = 300.0


def missing() -> str:
    """Why fail2ban cannot be measured here; empty when it can."""
    if not Path("/etc/fail2ban/jail.conf").exists():
        return "needs fail2ban (Debian: apt-get install fail2ban)"
    try:
        done = subprocess.run([PYTHON, "-c", "import fail2ban"], capture_output=True, timeout=PATIENCE)
    except OSError as error:
        return f"needs {PYTHON}: {error.strerror}"
    return "" if done.returncode == 0 else f"needs fail2ban as a module of {PYTHON}"


def fail2ban(captures: Sequence[Capture]) -> tuple[dict[str, Result], dict[str, Any]]:
    """Results by the capture's name, and the settings of the jail."""
    logs = [_log(capture) for capture in captures]
    done = subprocess.run(
        [PYTHON, str(WORKER)],
        input=json.dumps([[[line.time, line.text] for line in log] for log in logs]),
        # Lines tell the time in UTC, and fail2ban reads them as local time.
        env={**os.environ, "TZ": "UTC"}, capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"fail2ban: {done.stderr[-2000:]}")
    results: dict[str, Result] = {}
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    for capture, log, answer in zip(captures, logs, answers, strict=True):
        result = results[capture.name] = Result()
        if answer["matched"] != len(log):
            raise RuntimeError(f"{capture.name}: fail2ban read {answer['matched']} of {len(log)} lines")
        for number, address in answer["bans"]:
            result.bans[address] = capture.ban_at(address, log[number].time)
    jail = {key: answers[0][key] for key in ("max_retry", "find_time", "ban_time")} if answers else {}
    return results, jail


def _log(capture: Capture) -> list[Line]:
    """Without the servers' own requests: fail2ban ignores the machine that it runs on."""
    return [line for line in asterisk_log(capture.datagrams) if line.source not in capture.servers]
