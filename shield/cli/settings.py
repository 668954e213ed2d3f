"""Configuration for the commands that need it whole: read it, and make a pipeline of it.

Modules that detection needs are imported when a function is called: ``shield --help`` loads every
command and must not load these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from shield.config import Settings
    from shield.detect.rule import Rule
    from shield.pipeline import Pipeline

__all__ = [
    "DomainOption",
    "PortOption",
    "RulesOption",
    "ServerOption",
    "changed",
    "pipeline_factory",
    "rules_of",
    "settings_of",
]

ServerOption = Annotated[
    list[str] | None,
    typer.Option(
        "--server",
        metavar="ADDRESS",
        help="Address or network of a SIP server of ours, never judged; repeatable.",
        show_default=False,
    ),
]
DomainOption = Annotated[
    list[str] | None,
    typer.Option(
        "--domain",
        metavar="NAME",
        help="SIP domain of ours; repeatable.",
        show_default=False,
    ),
]
RulesOption = Annotated[
    Path | None,
    typer.Option(
        "--rules",
        metavar="DIR",
        help="Directory of own rules instead of the configured one.",
        show_default=False,
    ),
]
PortOption = Annotated[
    list[int] | None,
    typer.Option(
        "--port",
        "-p",
        min=1,
        max=65535,
        metavar="PORT",
        help="Port that carries SIP, instead of the configured ones. Repeatable.",
        show_default=False,
    ),
]


def settings_of(config: Path | None) -> Settings:
    """Read the configuration; raises ConfigError with a line for every mistake."""
    from shield.config import load

    return load(config)


def changed(
    settings: Settings,
    *,
    servers: Sequence[str] = (),
    domains: Sequence[str] = (),
    rules: Path | None = None,
    capture: dict[str, Any] | None = None,
) -> Settings:
    """Put the command line's options on top; one that was not given changes nothing."""
    detect = settings.detect
    detect = replace(detect, servers=(*detect.servers, *servers), domains=(*detect.domains, *domains))
    if rules is not None:
        if not rules.is_dir():
            raise typer.BadParameter(f"--rules: {rules} is no directory")
        detect = replace(detect, rules=str(rules))
    wanted = {key: value for key, value in (capture or {}).items() if value}
    return replace(settings, detect=detect, capture=replace(settings.capture, **wanted))


def rules_of(settings: Settings) -> list[Rule]:
    """Read the rules in use; raises ConfigError naming file and key."""
    from shield.detect.rulefiles import load_rules

    return load_rules(settings.detect.rules, settings.detect.disabled)


def pipeline_factory(
    settings: Settings, rules: Sequence[Rule], local: Iterable[bytes] = ()
) -> Callable[[], Pipeline]:
    """Give a function that makes fresh pipelines, each with its own memory and blocklist."""
    from shield.blocklist.allowlist import Allowlist
    from shield.blocklist.blocklist import Blocklist
    from shield.pipeline import Pipeline

    own = tuple(local)

    def make() -> Pipeline:
        allowlist = Allowlist(settings.allowlist)
        return Pipeline(
            rules,
            capture=settings.capture,
            detect=settings.detect,
            policy=settings.policy,
            blocklist=Blocklist(settings.blocklist, allowlist),
            allowlist=allowlist,
            origin=settings.node.name or "shield",
            local=own,
        )

    return make
