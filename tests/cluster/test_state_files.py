"""Small files that survive a crash whole and are read by their owner alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shield.cluster import state_files
from shield.cluster.state_files import StateFiles
from shield.errors import ConfigError, SystemFailure


@pytest.fixture
def files(tmp_path: Path) -> StateFiles:
    made = StateFiles(tmp_path / "deep" / "cluster")
    made.make()
    return made


def test_nobody_else_may_look(files: StateFiles) -> None:
    """Directory and files are for their owner alone."""
    files.write("a", b"1")
    assert files.directory.stat().st_mode & 0o777 == 0o700
    assert (files.directory / "a").stat().st_mode & 0o777 == 0o600


def test_a_directory_that_exists_keeps_its_mode(tmp_path: Path) -> None:
    """What the operator or systemd has made is not changed."""
    tmp_path.chmod(0o750)
    StateFiles(tmp_path).make()
    assert tmp_path.stat().st_mode & 0o777 == 0o750


def test_a_file_is_replaced_whole(files: StateFiles) -> None:
    """A reader sees the old content or the new, and nothing is left behind."""
    files.write("a", b"old")
    with (files.directory / "a").open("rb") as reader:
        files.write("a", b"new and longer")
        assert reader.read() == b"old"
    assert files.read("a") == b"new and longer"
    assert [path.name for path in files.directory.iterdir()] == ["a"]


def test_a_failed_write_leaves_the_old_file(files: StateFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk costs the new content, never the old, and is told with the name of the file."""
    files.write("a", b"old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(state_files.os, "fsync", full)
    with pytest.raises(SystemFailure, match="cluster/a: No space left"):
        files.write("a", b"new")
    assert files.read("a") == b"old"
    assert [path.name for path in files.directory.iterdir()] == ["a"]


def test_what_a_crash_left_is_no_obstacle(files: StateFiles) -> None:
    """A temporary file of a crash, whatever its mode, is not written into."""
    stale = files.directory / ".a.new"
    stale.write_bytes(b"half")
    stale.chmod(0o666)
    files.write("a", b"1")
    assert (files.directory / "a").stat().st_mode & 0o777 == 0o600
    assert not stale.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_belong_to_whom_the_directory_belongs(files: StateFiles) -> None:
    """What root writes, the daemon with its own account can read."""
    os.chown(files.directory, 4321, 4322)
    files.write("a", b"1")
    status = (files.directory / "a").stat()
    assert (status.st_uid, status.st_gid) == (4321, 4322)


def test_json_is_checked_for_its_kind(files: StateFiles) -> None:
    """Broken JSON and JSON of another kind name the file; a missing file may have a default."""
    files.save("a", {"x": [1]})
    assert files.json("a", dict) == {"x": [1]}
    assert files.json("none", list, missing=[]) == []
    with pytest.raises(ConfigError, match="cluster/a: must hold a JSON list"):
        files.json("a", list)
    for broken in (b"{", b"\xff", b"[" * 100_000):
        files.write("a", broken)
        with pytest.raises(ConfigError, match="cluster/a: "):
            files.json("a", dict)
    with pytest.raises(SystemFailure, match="cluster/none: No such file"):
        files.json("none", dict)


def test_a_huge_file_is_not_read(files: StateFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log given by mistake does not fill the memory."""
    monkeypatch.setattr(state_files, "MAX_FILE", 10)
    files.write("a", bytes(11))
    with pytest.raises(ConfigError, match="cluster/a: longer than 10"):
        files.read("a")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_key_that_others_may_read_is_refused(files: StateFiles, mode: int) -> None:
    """Every bit for group or others is one too many, and the remedy is told."""
    files.write("key", b"1")
    files.private("key")
    (files.directory / "key").chmod(mode)
    with pytest.raises(ConfigError, match=r"cluster/key: .*chmod 600"):
        files.private("key")


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Errors name what was wanted."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemFailure, match="file/cluster: "):
        StateFiles(tmp_path / "file" / "cluster").make()
    with pytest.raises(SystemFailure, match="nowhere/key: "):
        StateFiles(tmp_path / "nowhere").private("key")


def test_a_directory_that_may_not_be_looked_into_is_named(tmp_path: Path) -> None:
    """No permission is told as such, not as a missing file."""
    with pytest.raises(SystemFailure, match=r"x+/a: File name too long"):
        StateFiles(tmp_path / ("x" * 300)).has("a")
