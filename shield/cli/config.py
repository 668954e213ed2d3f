"""``shield config``: check, show and write the configuration."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shield.cli.group import CONTEXT, commands
from shield.cli.options import DEFAULT_CONFIG, ConfigOption, Output, OutputOption
from shield.cli.render import plural
from shield.cli.settings import rules_of, settings_of
from shield.errors import InputError

if TYPE_CHECKING:
    from shield.config import Settings

__all__ = ["app", "check_all"]

app = commands("The configuration file: check, show, init.")


@app.command("check", context_settings=CONTEXT)
def check(config: ConfigOption = None) -> None:
    """Read configuration, drop-ins and rules, and report every mistake."""
    settings = settings_of(config)
    _name_files(config)
    check_all(settings)


def _name_files(config: Path | None) -> None:
    from shield.config import files

    found = files(config)
    typer.echo(f"read {', '.join(map(str, found))}" if found else "no configuration file, all defaults")


def check_all(settings: Settings) -> None:
    """Check what reading alone does not; raises ConfigError, else says what is in force."""
    from shield.firewall.registry import make_backend

    rules = rules_of(settings)
    make_backend(settings.kernel())
    typer.echo(
        f"ok: mode {settings.node.mode.value}, {plural(len(rules), 'rule')}, "
        f"firewall {settings.firewall.backend}"
    )


@app.command("show", context_settings=CONTEXT)
def show(config: ConfigOption = None, output: OutputOption = Output.TABLE) -> None:
    """Print every setting in force, as a configuration file (or as JSON)."""
    settings = settings_of(config)
    if output is Output.JSON:
        typer.echo(json.dumps(asdict(settings), indent=2, default=str))
        return
    from shield.config_text import show as as_text

    typer.echo(as_text(settings), nl=False)


@app.command("init", context_settings=CONTEXT)
def init(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where to write it; - is standard output.")
    ] = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Write a configuration file in which every key is explained and commented out."""
    from shield.config_text import example

    if str(path) == "-":
        typer.echo(example(), nl=False)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # "x" and not a look beforehand: nobody's file is replaced by accident.
        with path.open("w" if force else "x") as file:
            file.write(example())
    except FileExistsError:
        raise InputError(f"{path} exists; --force replaces it") from None
    typer.echo(f"wrote {path}")
