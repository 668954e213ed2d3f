"""Runs the samples that rules ship with: captures of the attack, and of what must not be banned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shield.cli.render import plural
from shield.cli.settings import pipeline_factory
from shield.errors import ShieldError

if TYPE_CHECKING:
    from shield.config import Settings
    from shield.detect.rule import Rule

__all__ = ["run_samples", "samples_directory"]

_KINDS = ("attack", "benign")
SITE_FILE = "config.toml"
"""Configuration beside the samples of a rule that must know the site: ``detect.domains`` and
``detect.servers`` are taken from it."""


def samples_directory() -> Path:
    """Give the directory that holds the samples of built-in rules; in a checkout it exists."""
    from shield.detect.rulefiles import builtin_directory

    return builtin_directory().parent / "tests" / "rules"


def run_samples(
    settings: Settings, rules: Sequence[Rule], names: Sequence[str], directory: Path
) -> list[dict[str, Any]]:
    """Replay ``directory/NAME/{attack,benign}*.pcap[.gz]`` of each name with all ``rules``.

    Gives ``{"rule", "sample", "ok", "message"}`` for each sample, and one that is not ok for each
    kind of sample that a rule lacks.
    """
    # Samples may be recorded on one machine; that its own address is allowed would prove nothing.
    allowlist = replace(settings.allowlist, entries=(), builtin_loopback=False)
    settings = replace(settings, allowlist=allowlist)
    return [
        result
        for name in names
        for result in _of_rule(
            name, directory / name, pipeline_factory(_at_site(settings, directory / name), rules)
        )
    ]


def _at_site(settings: Settings, directory: Path) -> Settings:
    """Settings with the domains and servers of ``directory/config.toml``, where there is one.

    Raises ConfigError for a mistake in it.
    """
    file = directory / SITE_FILE
    if not file.is_file():
        return settings
    from shield.config import load

    site = load(file).detect
    return replace(settings, detect=replace(settings.detect, domains=site.domains, servers=site.servers))


def _of_rule(name: str, directory: Path, factory: Any) -> Iterator[dict[str, Any]]:
    for kind in _KINDS:
        files = sorted(directory.glob(f"{kind}*.pcap*"))
        if not files:
            yield _result(name, kind, ok=False, message=f"no {directory / kind}*.pcap")
        for file in files:
            ok, message = _judge(name, kind, file, factory)
            yield _result(name, file.name, ok=ok, message=message)


def _result(name: str, sample: str, *, ok: bool, message: str) -> dict[str, Any]:
    return {"rule": name, "sample": sample, "ok": ok, "message": message}


def _judge(name: str, kind: str, file: Path, factory: Any) -> tuple[bool, str]:
    """Tell whether one sample came out as it must, and in words what came out."""
    from shield.replay import replay_file

    try:
        report = replay_file(str(file), factory).as_json()
    except ShieldError as error:
        return False, str(error)
    if report["error"]:
        return False, report["error"]
    if not report["messages"]:
        return False, "holds no SIP message"
    return _benign(report) if kind == "benign" else _attack(name, report["alerts"])


def _benign(report: Mapping[str, Any]) -> tuple[bool, str]:
    for decision in report["decisions"]:
        return False, f"{decision['value']} banned for {decision['scenario']}"
    return True, f"nobody banned in {plural(report['messages'], 'message')}"


def _attack(name: str, alerts: Sequence[Mapping[str, Any]]) -> tuple[bool, str]:
    raised = [alert for alert in alerts if alert["scenario"] == name]
    if raised:
        return True, f"{plural(len(raised), 'alert')}"
    others = ", ".join(sorted({alert["scenario"] for alert in alerts}))
    return False, "no alert" if not others else f"only alerts of {others}"
