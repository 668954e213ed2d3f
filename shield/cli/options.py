"""Options and arguments that several commands share, so they read and behave the same."""

from __future__ import annotations

import contextlib
import os
import tomllib
from enum import StrEnum
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Annotated

import typer

from shield.control.settings import DEFAULT_SOCKET
from shield.durations import parse_duration
from shield.errors import InputError
from shield.net import Network

__all__ = [
    "ConfigOption",
    "DurationOption",
    "FilterArgument",
    "Output",
    "OutputOption",
    "ReasonOption",
    "SocketOption",
    "as_duration",
    "as_filter",
    "as_networks",
    "configured",
    "socket_path",
]

DEFAULT_CONFIG = Path("/etc/shield/shield.toml")
"""Where ``shield run`` and everybody else look for the configuration."""


class Output(StrEnum):
    """How a command prints its result."""

    TABLE = "table"
    JSON = "json"
    PLAIN = "plain"


OutputOption = Annotated[
    Output,
    typer.Option(
        "--output",
        "-o",
        envvar="SHIELD_OUTPUT",
        help="table for people, json and plain (tab separated, no heading) for scripts.",
        show_default=True,
    ),
]
SocketOption = Annotated[
    str,
    typer.Option(
        "--socket",
        envvar="SHIELD_SOCKET",
        help=f"Control socket of the daemon. Default: as configured, or {DEFAULT_SOCKET}.",
        show_default=False,
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="SHIELD_CONFIG",
        help=f"Configuration file. Default: {DEFAULT_CONFIG} where it exists.",
        show_default=False,
    ),
]
FilterArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILTER", help="Terms that must all hold; see below.", show_default=False),
]
DurationOption = Annotated[
    str,
    typer.Option(
        "--time", "-t", "--for", metavar="DURATION", help="How long: 30m, 1h30m, 7d.", show_default=False
    ),
]
ReasonOption = Annotated[
    str, typer.Option("--reason", "-r", metavar="TEXT", help="One line for people.", show_default=False)
]


def as_duration(text: str, option: str = "--time") -> float | None:
    """Seconds of a duration option, None when it was not given; a wrong one is wrong usage."""
    if not text:
        return None
    try:
        return parse_duration(text)
    except InputError as error:
        raise typer.BadParameter(f"{option}: {error}") from None


def as_networks(values: list[str]) -> list[str]:
    """Addresses and networks in their usual spelling; a wrong one is wrong usage."""
    try:
        return [str(Network.parse(value)) for value in values]
    except InputError as error:
        raise typer.BadParameter(str(error)) from None


def as_filter(terms: list[str] | None) -> str:
    """Join the terms of a filter; a wrong one is wrong usage, before anybody is asked."""
    from shield.blocklist.filters import parse_filter

    text = " ".join(terms or ())
    try:
        parse_filter(text)
    except InputError as error:
        raise typer.BadParameter(str(error)) from None
    return text


def socket_path(socket: str) -> str:
    """Choose the socket: the option, else what the configuration says, else the default."""
    if socket:
        return socket
    return configured("control", "socket") or DEFAULT_SOCKET


def configured(table: str, key: str) -> str:
    """Look up one text of the configuration and its drop-ins, or give an empty one.

    ``table`` may lie in another one: ``clusters.west``.
    Quicker than to read it whole. A broken file is reported by what needs it whole (run, config
    check), not by list.
    """
    main = Path(os.environ.get("SHIELD_CONFIG") or DEFAULT_CONFIG)
    found = ""
    for file in (main, *sorted(main.with_suffix(".d").glob("*.toml"))):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            document = tomllib.loads(file.read_text("utf-8"))
            found = str(reduce(getitem, table.split("."), document)[key])
    return found
