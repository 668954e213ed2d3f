"""The root command group: loads a command when it is called, shows every error as one line.

Loading late is what makes ``shield list`` fast: building typer commands for options that are not
used, and importing what other commands need, costs more than the answer itself.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NamedTuple, NoReturn

import typer
from typer.core import TyperGroup

from shield.errors import ShieldError

__all__ = [
    "CONTEXT",
    "FAILURE",
    "INTERRUPTED",
    "USAGE",
    "LazyCommand",
    "LazyGroup",
    "RootGroup",
    "commands",
    "complain",
]

FAILURE = 1
USAGE = 2
INTERRUPTED = 130
"""128 + SIGINT, what shells expect after Ctrl-C."""
BROKEN_PIPE = 141
"""128 + SIGPIPE: ``shield list | head`` is no failure worth a message."""

CONTEXT = {"help_option_names": ["-h", "--help"]}
"""Typer settings of every command."""

DEBUG_VARIABLE = "SHIELD_DEBUG"
"""Set to see the traceback of an unexpected error."""

_ClickException: type[Exception] = typer.BadParameter.__mro__[2]
# Some typer releases carry their own click, so the class is reached through typer.


def commands(text: str, cls: type[TyperGroup] | None = None) -> typer.Typer:
    """Make a command that has commands of its own; ``text`` is its help."""
    return typer.Typer(
        cls=cls,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        context_settings=CONTEXT,
        help=text,
    )


class LazyCommand(NamedTuple):
    """Where a command lives."""

    module: str
    name: str
    """A function, or a typer.Typer with commands of its own."""
    panel: str
    """Heading in the help under which it is shown."""


class LazyGroup(TyperGroup):
    """Commands that are known by name only until one is needed."""

    table: Mapping[str, LazyCommand] = {}

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Names in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Import and build one command; None when there is no such name."""
        lazy = self.table.get(cmd_name)
        if lazy is None:
            return None
        target = getattr(import_module(lazy.module), lazy.name)
        if isinstance(target, typer.Typer):
            command = typer.main.get_command(target)
            command.name = cmd_name
        else:
            single = typer.Typer(add_completion=False, rich_markup_mode="rich")
            single.command(cmd_name, context_settings=CONTEXT)(target)
            command = typer.main.get_command(single)
        _unwrap_help(command)
        setattr(command, "rich_help_panel", lazy.panel)  # noqa: B010 - on typer's classes only
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command of ``args``, or name the nearest one."""
        name = args[0]
        if name not in self.table and not name.startswith("-"):
            close = get_close_matches(name, self.table, n=1)
            ctx.fail(f"no command {name!r}" + (f", did you mean {close[0]!r}?" if close else ""))
        return super().resolve_command(ctx, args)


class RootGroup(LazyGroup):
    """``shield`` itself."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what it raises on purpose becomes a line and an exit code."""
        try:
            return super().invoke(ctx)
        except ShieldError as error:
            complain(*str(error).splitlines())
            raise typer.Exit(FAILURE) from None
        except KeyboardInterrupt:
            complain("interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except OSError as error:
            _system_error(error)

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run and leave the process with the exit code (``standalone_mode``), or give it back."""
        code = self._run(*args, **extra)
        if standalone_mode:
            sys.exit(code)
        return code

    def _run(self, *args: Any, **extra: Any) -> int:
        try:
            result = super().main(*args, **{**extra, "standalone_mode": False})
            sys.stdout.flush()
        except BrokenPipeError:
            return _quiet_pipe()
        except (KeyboardInterrupt, typer.Abort):
            complain("interrupted")
            return INTERRUPTED
        except _ClickException as error:
            return _usage(error)
        except Exception as error:
            if os.environ.get(DEBUG_VARIABLE):
                raise
            complain(f"internal error: {type(error).__name__}: {error} ({DEBUG_VARIABLE}=1 shows where)")
            return FAILURE
        return result if isinstance(result, int) else 0


def _unwrap_help(command: Any) -> None:
    """Make each paragraph of the help one line: typer keeps line ends, the terminal has its own."""
    if command.help:
        paragraphs = command.help.split("\n\n")
        command.help = "\n\n".join(" ".join(text.split()) for text in paragraphs)
    for part in getattr(command, "commands", {}).values():
        _unwrap_help(part)


def complain(*lines: str) -> None:
    """Write lines to standard error, each marked as ours."""
    for line in lines or ("unknown error",):
        typer.echo(f"shield: {line}", err=True)


def _usage(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return USAGE
    message = " ".join(error.format_message().split()).rstrip(".")
    # The second is pydantic's, which some typer releases check values with.
    message = message.removeprefix("Invalid value: ").replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "shield"
    complain(f"{message} (see '{path} --help')")
    return int(error.exit_code)


def _system_error(error: OSError) -> NoReturn:
    if error.errno == errno.EPIPE:
        raise typer.Exit(_quiet_pipe())
    name = f"{error.filename}: " if error.filename else ""
    complain(f"{name}{error.strerror or error}")
    raise typer.Exit(FAILURE)


def _quiet_pipe() -> int:
    # Python flushes stdout once more at exit and would complain there.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return BROKEN_PIPE
