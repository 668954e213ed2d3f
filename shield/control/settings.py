"""Where the control socket lies and who may use it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shield.durations import MAX_DURATION
from shield.errors import ConfigError

__all__ = ["DEFAULT_SOCKET", "PATH_BYTES", "ControlSettings"]

DEFAULT_SOCKET = "/run/shield/shield.sock"

PATH_BYTES = 100
"""The kernel takes 107 bytes of path (unix(7)); the socket is first bound under a longer name."""

_MODE = re.compile("[0-7]{3,4}")


@dataclass(frozen=True, slots=True)
class ControlSettings:
    """The UNIX socket on which ``shield run`` listens for commands."""

    socket: str = DEFAULT_SOCKET
    """Path of the socket. Its directory is made when it is missing."""
    mode: str = "0660"
    """Permission bits of the socket, octal. Whoever may write to it may ban and unban."""
    group: str = ""
    """Group that owns the socket; empty leaves the daemon's own group."""
    ban_time: float = 86_400.0
    """Seconds of an operator's ban that names no duration."""

    @property
    def mode_bits(self) -> int:
        """``mode`` as chmod(2) takes it."""
        return int(self.mode, 8)

    def __post_init__(self) -> None:
        problems = []
        if not self.socket.startswith("/"):
            problems.append(f"control.socket: {self.socket!r} must be an absolute path")
        if len(self.socket.encode()) > PATH_BYTES:
            problems.append(f"control.socket: longer than {PATH_BYTES} bytes")
        if not _MODE.fullmatch(self.mode):
            problems.append(f'control.mode: {self.mode!r} must be octal bits such as "0660"')
        elif self.mode_bits & 0o002:
            problems.append(f"control.mode: {self.mode!r} lets every user of this machine ban and unban")
        if not 0 < self.ban_time <= MAX_DURATION:
            problems.append(f"control.ban_time: {self.ban_time} is not between 0 and ten years")
        if problems:
            raise ConfigError(*problems)
