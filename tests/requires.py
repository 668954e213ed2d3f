"""Skip or fail for missing components."""

from __future__ import annotations

import os
import shutil

import pytest


def need(*programs: str, root: bool = True) -> None:
    """Skip the test when a program or root is missing; fail instead where CI is set."""
    missing = [name for name in programs if shutil.which(name) is None]
    if root and os.geteuid() != 0:
        missing.append("root")
    if missing:
        stop = pytest.fail if os.environ.get("CI") else pytest.skip
        stop(f"needs {', '.join(missing)}")
