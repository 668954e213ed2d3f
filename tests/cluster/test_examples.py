"""The examples of the documentation run as they stand there."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shield.cluster.identity_files import Directory
from tests.cluster.real import closing, prepare, start

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.mark.parametrize("name", ["whereis.py", "conference.py"])
def test_a_feature_is_at_most_15_lines(name: str) -> None:
    """Without the docstring, imports and the call at the end."""
    lines = (EXAMPLES / name).read_text().split("import shield\n")[1].splitlines()
    code = [line for line in lines if line.strip() and not line.startswith("asyncio.run")]
    assert len(code) <= 15


@pytest.mark.parametrize(
    ("name", "argument", "printed"),
    [
        ("whereis.py", "alice", "{'a': 'pbx-1'}"),
        ("conference.py", "700", "SENT\n{'700': 'b'}"),
    ],
)
def test_an_example_does_what_its_page_says(
    tmp_path: Path, name: str, argument: str, printed: str
) -> None:
    """Two programs with two identities: one asks or tells, the other hears it."""

    async def main() -> str:
        prepare(tmp_path, "a", "b")
        a = await start(tmp_path, "a")
        told: list[str] = []
        if name == "whereis.py":
            a.channel("whereis").request(lambda user, _sender: {"alice": "pbx-1"}.get(user))
        else:
            a.channel("conference").message(lambda number, _sender: told.append(number))
        # What a start would have stored: where the other is.
        directory = Directory(tmp_path / "b")
        directory.save_seeds(directory.load().identity, a.core.addresses)
        async with await closing(a):
            program = await asyncio.create_subprocess_exec(
                sys.executable, str(EXAMPLES / name), str(tmp_path / "b"), argument,
                stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(EXAMPLES.parents[1])},
            )  # fmt: skip
            output, _ = await asyncio.wait_for(program.communicate(), 20)
            assert program.returncode == 0
            if name == "conference.py":
                assert told == ["700"]
        return output.decode().strip()

    assert asyncio.run(main()) == printed
