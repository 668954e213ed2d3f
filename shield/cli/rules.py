"""``shield rules``: list, show, check and test the rules of detection, without the daemon."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shield.cli.group import CONTEXT, FAILURE, commands, complain
from shield.cli.options import ConfigOption, Output, OutputOption, SocketOption
from shield.cli.render import Column, emit, paint, plural, seconds, write_json
from shield.cli.settings import RulesOption, changed, rules_of, settings_of
from shield.errors import ConfigError, InputError

if TYPE_CHECKING:
    from shield.detect.rule import Rule

__all__ = ["app"]

app = commands("The rules of detection: list, show, check, test.")

_COLUMNS = (
    Column("name", "rule", keep=9),
    Column("kind", "kind", keep=7),
    Column("severity", "severity", keep=4, right=True),
    Column("confidence", "confidence", keep=3, right=True),
    Column("max_retry", "limit", keep=5, right=True),
    Column("find_time", "within", seconds, keep=5, right=True),
    Column("ban_time", "ban", seconds, keep=6, right=True),
    Column("from", "from", keep=4),
    Column("description", "description", keep=2, cut=True),
)
_PLAIN = (
    "name",
    "kind",
    "severity",
    "confidence",
    "max_retry",
    "find_time",
    "ban_time",
    "from",
    "path",
    "description",
)


def _complete(incomplete: str) -> list[str]:
    """Names of built-in rules for the shell, which cannot wait for all to be read."""
    from shield.detect.rulefiles import builtin_directory

    names = sorted(path.stem for path in builtin_directory().glob("*.toml"))
    return [name for name in names if name.startswith(incomplete)]


@app.command("list", context_settings=CONTEXT)
def list_rules(
    *,
    live: Annotated[
        bool, typer.Option("--live", help="Ask the daemon: its rules, and how often each matched.")
    ] = False,
    output: OutputOption = Output.TABLE,
    rules: RulesOption = None,
    config: ConfigOption = None,
    socket: SocketOption = "",
) -> None:
    """List the rules in use: built-in ones, and own ones that add to them or replace them."""
    if live:
        from shield.cli.daemon import ask

        rows = [{**row, "from": _from(row["path"])} for row in ask(socket, "rules")]
    else:
        rows = [_row(rule) for rule in _load(rules, config)]
    matched = (Column("matched", "matched", keep=8, right=True),) if live else ()
    emit(rows, (_COLUMNS[0], *matched, *_COLUMNS[1:]), output, (*_PLAIN, *(["matched"] if live else ())))
    if output is Output.TABLE:
        typer.echo(plural(len(rows), "rule"))


@app.command("show", context_settings=CONTEXT)
def show(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of a rule.", autocompletion=_complete)
    ],
    output: OutputOption = Output.TABLE,
    rules: RulesOption = None,
    config: ConfigOption = None,
) -> None:
    """Print one rule as it is written."""
    rule = _pick(_load(rules, config), [name])[0]
    text = Path(rule.path).read_text("utf-8")
    if output is Output.JSON:
        write_json({**_row(rule), "rule": tomllib.loads(text)})
        return
    if output is Output.TABLE:
        typer.echo(f"# {rule.path}")
    typer.echo(text, nl=not text.endswith("\n"))


@app.command("check", context_settings=CONTEXT)
def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILE",
            help="Rule files or directories of them; none: all in use.",
            show_default=False,
        ),
    ] = None,
    rules: RulesOption = None,
    config: ConfigOption = None,
) -> None:
    """Read rules and report every mistake with its file and key."""
    if not files:
        typer.echo(f"ok: {plural(len(_load(rules, config)), 'rule')}")
        return
    problems: list[str] = []
    checked = 0
    for path in files:
        for file in sorted(path.glob("*.toml")) if path.is_dir() else [path]:
            checked += 1
            problems += _problems(file)
    if problems:
        raise ConfigError(*problems)
    typer.echo(f"ok: {plural(checked, 'rule')}")


def _problems(path: Path) -> Sequence[str]:
    from shield.detect.rule import parse_rule

    try:
        parse_rule(tomllib.loads(path.read_text("utf-8")), path.stem, str(path))
    except ConfigError as error:
        return error.problems
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return (f"{path}: {error}",)
    except OSError as error:
        return (f"{path}: {error.strerror or error}",)
    return ()


@app.command("test", context_settings=CONTEXT)
def run_tests(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Rules to test; none: all.",
            show_default=False,
            autocompletion=_complete,
        ),
    ] = None,
    samples: Annotated[
        Path | None,
        typer.Option(
            "--samples",
            metavar="DIR",
            help="Holds NAME/attack*.pcap[.gz] and benign*. Default: tests/rules of the checkout.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
    rules: RulesOption = None,
    config: ConfigOption = None,
) -> None:
    """Run each rule's samples: an attack must raise its alert, what is benign must ban nobody.

    All rules in use are run together, as they are in the daemon. A rule without samples fails.
    """
    from shield.cli.samples import run_samples, samples_directory

    settings = changed(settings_of(config), rules=rules)
    loaded = rules_of(settings)
    chosen = _pick(loaded, names) if names else loaded
    directory = samples or samples_directory()
    if not directory.is_dir():
        raise InputError(f"no samples: {directory} is no directory (see --samples)")
    results = run_samples(settings, loaded, [rule.name for rule in chosen], directory)
    failed = [result for result in results if not result["ok"]]
    _print_results(results, output)
    if output is Output.TABLE:
        typer.echo(
            f"{plural(len(chosen), 'rule')}, {plural(len(results), 'sample')}, {len(failed):,} failed"
        )
    if failed:
        if output is not Output.TABLE:
            complain(
                *(f"{result['rule']}: {result['sample']}: {result['message']}" for result in failed)
            )
        raise typer.Exit(FAILURE)


def _print_results(results: Sequence[Mapping[str, Any]], output: Output) -> None:
    if output is not Output.TABLE:
        emit(results, (), output, ("rule", "sample", "ok", "message"))
        return
    for result in results:
        mark = paint("ok", "green") if result["ok"] else paint("FAILED", "red", bold=True)
        typer.echo(f"{mark} {result['rule']} {result['sample']}: {result['message']}")


def _load(rules: Path | None, config: Path | None) -> list[Rule]:
    return rules_of(changed(settings_of(config), rules=rules))


def _pick(rules: Sequence[Rule], names: Sequence[str]) -> list[Rule]:
    """Rules of these names; raises InputError with the nearest name."""
    known = {rule.name: rule for rule in rules}
    for name in names:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            raise InputError(f"no rule {name!r}" + (f", did you mean {close[0]!r}?" if close else ""))
    return [known[name] for name in names]


def _from(path: str) -> str:
    from shield.detect.rulefiles import builtin_directory

    return "built-in" if Path(path).parent == builtin_directory() else "own"


def _row(rule: Rule) -> dict[str, Any]:
    return {**rule.as_json(), "from": _from(rule.path)}
