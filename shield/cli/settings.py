"""Configuration for the commands that need it whole: read it, and make a pipeline of it.

Modules that detection needs are imported when a function is called: ``shield --help`` loads every
command and must not load these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from shield.config import Settings
    from shield.detect.rule import Rule
    from shield.pipeline import Pipeline

__all__ = [
    "AnyPortOption",
    "DomainOption",
    "PortOption",
    "RulesOption",
    "ServerOption",
    "changed",
    "detection_settings",
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
AnyPortOption = Annotated[bool, typer.Option("--any-port", help="Look for SIP on every port.")]


def settings_of(config: Path | None) -> Settings:
    """Read the configuration; raises ConfigError with a line for every mistake."""
    from shield.config import load

    return load(config)


def changed(settings: Settings, *, rules: Path | None) -> Settings:
    """Put the directory of rules of the command line, if there is one, in place of the configured."""
    if rules is None:
        return settings
    if not rules.is_dir():
        raise typer.BadParameter(f"--rules: {rules} is no directory")
    return replace(settings, detect=replace(settings.detect, rules=str(rules)))


def detection_settings(
    config: Path | None,
    *,
    servers: Sequence[str] | None,
    domains: Sequence[str] | None,
    rules: Path | None,
    ports: Sequence[int] | None,
    any_port: bool,
    interfaces: Sequence[str] | None = None,
    promiscuous: bool = False,
) -> Settings:
    """The configuration under the options of ``replay`` and ``sniff``; one not given changes nothing."""
    settings = changed(settings_of(config), rules=rules)
    detect, capture = settings.detect, settings.capture
    return replace(
        settings,
        detect=replace(
            detect,
            servers=(*detect.servers, *(servers or ())),
            domains=(*detect.domains, *(domains or ())),
        ),
        capture=replace(
            capture,
            ports=tuple(ports or capture.ports),
            any_port=any_port or capture.any_port,
            interfaces=tuple(interfaces or capture.interfaces),
            promiscuous=promiscuous or capture.promiscuous,
        ),
    )


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
