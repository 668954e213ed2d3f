"""``shield run``: the daemon in the foreground, as systemd wants it."""

from __future__ import annotations

from typing import Annotated

import typer

from shield.cli.options import ConfigOption
from shield.cli.settings import settings_of

__all__ = ["run"]


def run(
    config: ConfigOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Check configuration and rules, then stop.")
    ] = False,
) -> None:
    """Run the daemon: capture, detect, decide, block, and answer commands.

    SIGTERM and Ctrl-C stop it cleanly, SIGHUP reads configuration and rules again.
    """
    settings = settings_of(config)
    if check:
        from shield.cli.config import check_all

        check_all(settings)
        return
    from shield.node import run_node

    run_node(settings, reload=lambda: settings_of(config))
