"""scripts/env on a Python that Debian has stripped of what virtual environments need."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requires import need

pytestmark = pytest.mark.system
ROOT = Path(__file__).resolve().parent.parent.parent

BARE = """
set -e
for folder in $HIDDEN; do mount -t tmpfs none "$folder"; done
if [ -e /usr/bin/apt-get ]; then mount --bind /dev/null /usr/bin/apt-get; fi
exec "$ROOT/scripts/env"
"""


def run_env(venv: Path, *hidden: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/env in a mount namespace where ``hidden`` folders are empty and apt-get is gone."""
    return subprocess.run(
        ["unshare", "--mount", "bash", "-c", BARE],
        env={
            **os.environ,
            "ROOT": str(ROOT),
            "HIDDEN": " ".join(hidden),
            "VENV": str(venv),
            "PYTHON": base_python(),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )


def base_python() -> str:
    """Give the interpreter below the virtual environment that runs the tests."""
    return str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}")


def folders(code: str) -> list[str]:
    """Existing folders that a line of Python names, asked of the base interpreter."""
    shown = subprocess.run(
        [base_python(), "-c", f"import json, os, site; print(json.dumps({code}))"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    return [folder for folder in json.loads(shown.stdout) if Path(folder).is_dir()]


def test_a_python_that_can_make_no_environment_is_explained(tmp_path: Path) -> None:
    """Without ensurepip, pip and apt there is one clear instruction and nothing half made."""
    need("unshare")
    stdlib = folders("[os.path.join(os.path.dirname(os.__file__), 'ensurepip')]")
    result = run_env(tmp_path / "venv", *stdlib, *folders("site.getsitepackages()"))
    assert result.returncode == 3, result.stderr
    assert "venv module is missing or incomplete" in result.stderr
    assert (
        f"sudo apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv" in result.stderr
    )
    assert not (tmp_path / "venv").exists()


def test_a_python_that_is_too_old_is_named(tmp_path: Path) -> None:
    """PYTHON that does not run stops at once and names itself."""
    need("bash", root=False)
    result = subprocess.run(
        [str(ROOT / "scripts" / "env")],
        env={**os.environ, "VENV": str(tmp_path / "venv"), "PYTHON": "/bin/false"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 3
    assert "PYTHON=/bin/false" in result.stderr
