"""Small files of one directory that must survive a crash whole (files).

Each is replaced whole or not at all. Only its owner may read what is written here.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from shield.errors import ConfigError, SystemFailure

__all__ = ["StateFiles", "failure"]

MAX_FILE = 16 << 20
"""Octets of a file: 10,000 revocations take 4 MB."""


PROBE = ".probe"


def failure(error: OSError, file: Path) -> SystemFailure:
    """Say what the machine refused, and for which file."""
    return SystemFailure(f"{file}: {error.strerror or error}")


class StateFiles:
    """Reads and writes files of ``directory`` by name.

    Every method raises SystemFailure when the machine refuses and ConfigError when a file is not
    what it should be; both name the file.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def make(self) -> None:
        """Make the directory for the owner of what it lies in, nobody else; one that exists stays."""
        if self.directory.is_dir():
            return
        try:
            self.directory.mkdir(mode=0o700, parents=True)
            _give_away(self.directory, self.directory.parent)
        except OSError as error:
            raise failure(error, self.directory) from None

    def probe(self) -> None:
        """Raise SystemFailure unless files can be written here."""
        self.write(PROBE, b"")
        (self.directory / PROBE).unlink()

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        file = self.directory / name
        try:
            return file.exists()
        except OSError as error:
            raise failure(error, file) from None

    def read(self, name: str) -> bytes:
        """Give the content of a file."""
        file = self.directory / name
        try:
            with file.open("rb") as stream:
                data = stream.read(MAX_FILE + 1)
        except OSError as error:
            raise failure(error, file) from None
        if len(data) > MAX_FILE:
            raise ConfigError(f"{file}: longer than {MAX_FILE} bytes")
        return data

    def write(self, name: str, data: bytes) -> None:
        """Replace a file: all of it is on the disk before it takes the place of the old one."""
        file = self.directory / name
        fresh = self.directory / f".{name}.new"
        try:
            with suppress(FileNotFoundError):
                fresh.unlink()  # left over from a crash, with who knows which mode
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(descriptor)
            _give_away(fresh, self.directory)
            fresh.replace(file)
            _sync(self.directory)
        except OSError as error:
            with suppress(OSError):
                fresh.unlink()
            raise failure(error, file) from None

    def append(self, name: str, line: str, most: int) -> None:
        """Add a line to a log; one of ``most`` octets becomes ``NAME.1``, in place of the one before."""
        file = self.directory / name
        try:
            if file.exists() and file.stat().st_size >= most:
                file.replace(self.directory / f"{name}.1")
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as stream:
                stream.write(line.encode() + b"\n")
        except OSError as error:
            raise failure(error, file) from None

    def lines(self, name: str) -> list[str]:
        """Give the lines of a log; none when there is no file."""
        return self.read(name).decode("utf-8", "replace").splitlines() if self.has(name) else []

    def json(self, name: str, kind: type, missing: Any = None) -> Any:
        """Read a file that holds a ``kind`` as JSON; give ``missing``, if not None, for no file."""
        file = self.directory / name
        if missing is not None and not self.has(name):
            return missing
        try:
            value = json.loads(self.read(name))
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{file}: {error}") from None
        if not isinstance(value, kind):
            raise ConfigError(f"{file}: must hold a JSON {kind.__name__}")
        return value

    def save(self, name: str, value: Any) -> None:
        """Replace a file by ``value`` as JSON."""
        self.write(name, json.dumps(value, indent=1).encode() + b"\n")

    def private(self, name: str) -> None:
        """Refuse a key that others may read: they may have done so already."""
        file = self.directory / name
        try:
            mode = file.stat().st_mode
        except OSError as error:
            raise failure(error, file) from None
        if mode & 0o077:
            raise ConfigError(f"{file}: others may read this key (mode {mode & 0o777:o}); chmod 600 it")


def _sync(directory: Path) -> None:
    """Put a change of names on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_away(path: Path, like: Path) -> None:
    """Root runs ``shield cluster init`` for a daemon that has an account of its own."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
