"""Starts the firewall programs and turns everything that can go wrong into one clear error."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from shield.errors import SystemFailure

__all__ = ["may_change_rules", "run"]

_SAFE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""A user's PATH often lacks the sbin directories in which these programs lie."""

_CAP_NET_ADMIN = 12
"""Bit of capabilities(7) that lets a process change the packet filter."""

_STATUS = Path("/proc/self/status")

_MESSAGE_MOST = 600
"""Characters of a program's own message; nft quotes each refused line of a batch."""


def run(command: Sequence[str], stdin: str = "", timeout: float = 10.0) -> str:
    """Run ``command`` with ``stdin`` and return what it printed.

    Raises SystemFailure when the program is missing, takes more than ``timeout`` seconds or
    ends with an error; the text is the program's own.
    """
    name = command[0]
    environment = {**os.environ, "PATH": _SAFE_PATH, "LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603 - fixed programs, arguments never go through a shell
            command,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            check=False,
        )
    except FileNotFoundError:
        raise SystemFailure(f"{name}: program not found (install the package that holds it)") from None
    except PermissionError:
        raise SystemFailure(f"{name}: not allowed to run it") from None
    except subprocess.TimeoutExpired:
        raise SystemFailure(f"{name}: no end after {timeout:g} s") from None
    except OSError as error:
        raise SystemFailure(f"{name}: {error.strerror or error}") from None
    if done.returncode != 0:
        raise SystemFailure(
            f"{name}: {_message(done.stderr) or f'exit code {done.returncode}'}{_hint()}"
        )
    return done.stdout


def _message(stderr: str) -> str:
    """Join the first lines of a program's complaint into one line."""
    text = "; ".join(line.strip() for line in stderr.splitlines() if line.strip(" ^"))
    return text if len(text) <= _MESSAGE_MOST else text[:_MESSAGE_MOST] + " ..."


def may_change_rules() -> bool:
    """Whether the kernel lets this process change the packet filter.

    Root in a container may lack the capability, and the service has it without being root: only the
    capability counts.
    """
    try:
        text = _STATUS.read_text()
    except OSError:  # no /proc
        return os.geteuid() == 0
    effective = next((line.split()[1] for line in text.splitlines() if line.startswith("CapEff:")), "0")
    return bool(int(effective, 16) >> _CAP_NET_ADMIN & 1)


def _hint() -> str:
    return "" if may_change_rules() else " (CAP_NET_ADMIN is needed, and missing here)"
