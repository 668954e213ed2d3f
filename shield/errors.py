"""Errors that shield raises on purpose; everything else is a bug.

The tree says whose fault it was: the operator's files (``ConfigError``), a message from
outside (``RemoteError``) or the machine shield runs on (``SystemFailure``). A command shows any
``ShieldError`` as one line without a traceback.
"""

from __future__ import annotations

__all__ = ["ConfigError", "InputError", "RemoteError", "ShieldError", "SystemFailure"]


class ShieldError(Exception):
    """Base of all errors that shield raises on purpose."""


class ConfigError(ShieldError):
    """A file of the operator is wrong: configuration, rule, import list.

    ``problems`` holds one line for each mistake, each naming file and line or key.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class InputError(ShieldError):
    """A value given on the command line or the control socket is wrong."""


class RemoteError(ShieldError):
    """Bytes from outside break their protocol; ``reason`` is a short counter name."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(f"{reason}: {detail}" if detail else reason)


class SystemFailure(ShieldError):  # noqa: N818 - the machine fails, not the caller
    """The machine refused: no permission, missing program, full disk."""
