"""``shield firewall``: what the kernel holds, the rules as text, and whether this machine can block."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shield.cli.daemon import ask
from shield.cli.group import CONTEXT, FAILURE, commands, complain
from shield.cli.options import ConfigOption, Output, OutputOption, SocketOption
from shield.cli.render import emit, paint, write_json, write_plain
from shield.cli.settings import settings_of
from shield.cli.status import status_lines
from shield.errors import SystemFailure
from shield.net import Network

if TYPE_CHECKING:
    from shield.firewall.backend import Backend, Element
    from shield.firewall.settings import FirewallSettings

__all__ = ["app"]

app = commands("The kernel firewall: status, render, check.")

PROGRAMS = {
    "nftables": ("nft",),
    "iptables": ("ipset", "iptables-restore", "ip6tables-restore", "iptables-save", "ip6tables-save"),
    "dryrun": (),
}
"""What each backend calls."""

BackendOption = Annotated[
    str,
    typer.Option(
        "--backend",
        metavar="NAME",
        help="nftables, iptables or dryrun instead of the configured one.",
        show_default=False,
    ),
]


@app.command("status", context_settings=CONTEXT)
def status(output: OutputOption = Output.TABLE, socket: SocketOption = "") -> None:
    """Show backend, elements, commits and failures, as the daemon sees them."""
    answer = ask(socket, "firewall.status")
    if output is Output.JSON:
        write_json(answer)
    elif output is Output.PLAIN:
        write_plain([{"key": key, "value": value} for key, value in answer.items()], ("key", "value"))
    else:
        typer.echo("\n".join(status_lines(answer)))
    if answer.get("failing"):
        complain(f"the firewall fails: {answer.get('last_error') or 'no reason given'}")
        raise typer.Exit(FAILURE)


@app.command("render", context_settings=CONTEXT)
def render(
    backend: BackendOption = "",
    empty: Annotated[bool, typer.Option("--empty", help="Rules and sets only, no bans.")] = False,
    config: ConfigOption = None,
    socket: SocketOption = "",
) -> None:
    """Print the rules with all live bans, as text that nft -f or a shell loads."""
    made = _backend(_settings(config, backend))
    elements, allowed = ([], []) if empty else _live(socket)
    typer.echo(made.render(elements, allowed), nl=False)


@app.command("check", context_settings=CONTEXT)
def check(
    backend: BackendOption = "", output: OutputOption = Output.TABLE, config: ConfigOption = None
) -> None:
    """Tell whether this machine can block: programs, permission, and the kernel's own opinion."""
    settings = _settings(config, backend)
    results = _checks(settings, _backend(settings))
    if output is Output.TABLE:
        for result in results:
            mark = paint("ok", "green") if result["ok"] else paint("FAILED", "red", bold=True)
            typer.echo(f"{mark} {result['what']}: {result['message']}")
    else:
        emit(results, (), output, ("what", "ok", "message"))
    if not all(result["ok"] for result in results):
        raise typer.Exit(FAILURE)


def _settings(config: Any, backend: str) -> FirewallSettings:
    settings = settings_of(config).kernel()
    return replace(settings, backend=backend) if backend else settings


def _backend(settings: FirewallSettings) -> Backend:
    from shield.firewall.registry import make_backend

    return make_backend(settings)


def _live(socket: str) -> tuple[list[Element], list[Network]]:
    """Bans, limits and allowed networks of the daemon, else bans and limits of the journal."""
    from shield.blocklist.decision import LIMIT
    from shield.cli.exchange import decision_of
    from shield.firewall.backend import Element
    from shield.firewall.limits import Key, limits_of

    try:
        rows = ask(socket, "list")
        allowed = [text for entry in ask(socket, "allow.list") for text in entry.get("networks") or ()]
    except SystemFailure as error:
        from shield.cli.offline import journal_decisions

        rows, allowed = journal_decisions("", str(error)), []
    elements = []
    for row in rows:
        decision = decision_of(row)
        keys: Sequence[Key] = (decision.network,)
        if decision.type == LIMIT:
            keys = limits_of(decision)
        elements += [Element(key, _timeout(row["remaining"])) for key in keys]
    return elements, [Network.parse(text) for text in allowed]


def _timeout(remaining: float | None) -> float:
    return math.inf if remaining is None else float(remaining)


def _checks(settings: FirewallSettings, backend: Backend) -> Sequence[dict[str, Any]]:
    results = []
    for program in PROGRAMS.get(settings.backend, ()):
        path = shutil.which(program)
        results.append(_result(program, ok=bool(path), message=path or "not installed"))
    if settings.backend == "dryrun":
        return [_result("dryrun", ok=True, message="changes nothing, needs nothing")]
    from shield.firewall.run import may_change_rules

    permitted = may_change_rules()
    text = "permitted" if permitted else "not permitted, CAP_NET_ADMIN is missing"
    results.append(_result("permission", ok=permitted, message=text))
    if all(result["ok"] for result in results):
        asked = (
            _ask_kernel(backend.render([], [])) if settings.backend == "nftables" else _ask_iptables()
        )
        results.append(asked)
    return results


def _result(what: str, *, ok: bool, message: str) -> dict[str, Any]:
    return {"what": what, "ok": ok, "message": message}


def _ask_iptables() -> dict[str, Any]:
    """Let each program reach the kernel, changing nothing: old iptables may lack lock or modules."""
    from shield.firewall.run import run

    try:
        run(["ipset", "list", "-n"])
        for program in ("iptables-restore", "ip6tables-restore"):
            run([program, "-w", "5", "-n", "--test"], "*raw\nCOMMIT\n")
    except SystemFailure as error:
        return _result("kernel", ok=False, message=str(error))
    return _result("kernel", ok=True, message="ipset and the raw tables answer")


def _ask_kernel(text: str) -> dict[str, Any]:
    """Have nft check the rules against the kernel without loading them."""
    import subprocess

    try:
        done = subprocess.run(
            ["nft", "--check", "--file", "-"],  # noqa: S607 - found in PATH, as the backend does
            input=text,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return _result("kernel", ok=False, message=str(error))
    lines = done.stderr.strip().splitlines()
    if done.returncode:
        return _result("kernel", ok=False, message=lines[0] if lines else "nft refused the rules")
    return _result("kernel", ok=True, message="takes the rules")
