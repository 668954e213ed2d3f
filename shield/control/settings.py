"""Where the control socket lies and who may use it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["DEFAULT_SOCKET", "PATH_BYTES", "ControlSettings"]

DEFAULT_SOCKET = "/run/shield/shield.sock"

PATH_BYTES = 100
"""The kernel takes 107 bytes of path (unix(7)); the socket is first bound under a longer name."""


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """The UNIX socket on which ``shield run`` listens for commands."""

    socket: str = DEFAULT_SOCKET
    """Path of the socket. Its directory is made when it is missing."""
    mode: str = "0660"
    """Permission bits of the socket, octal. Whoever may write to it may ban and unban."""
    group: str = ""
    """Group that owns the socket; empty leaves the daemon's own group."""

    @property
    def mode_bits(self) -> int:
        """``mode`` as chmod(2) takes it."""
        return int(self.mode, 8)

    def validate(self) -> Iterable[tuple[str, str]]:
        """Yield (field, what is wrong with it)."""
        if not self.socket.startswith("/"):
            yield "socket", "must be an absolute path"
        if len(self.socket.encode()) > PATH_BYTES:
            yield "socket", f"path is longer than {PATH_BYTES} bytes"
        if not (3 <= len(self.mode) <= 4 and all(digit in "01234567" for digit in self.mode)):
            yield "mode", 'must be octal permission bits such as "0660"'
        elif self.mode_bits & 0o002:
            yield "mode", "would let every user of this machine ban and unban"
