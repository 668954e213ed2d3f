"""``shield inject``: captures for a running daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shield.cli.daemon import ask
from shield.cli.options import Output, OutputOption, SocketOption
from shield.cli.render import write_json, write_plain

__all__ = ["inject"]


def inject(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE", exists=True, dir_okay=False, help="pcap or pcapng, also gzipped."
        ),
    ],
    *,
    output: OutputOption = Output.TABLE,
    socket: SocketOption = "",
) -> None:
    """Give the packets of captures to the running daemon, as though its interface had seen them now.

    For demonstrations, training and tests: whoever attacks in the capture is banned, on all nodes of a
    cluster. The daemon reads the file, so it must be allowed to.

    Example: `shield inject attack.pcap`
    """
    rows = [ask(socket, "inject", path=str(file.absolute())) for file in files]
    if output is Output.JSON:
        write_json(rows)
    elif output is Output.PLAIN:
        write_plain(rows, ("file", "frames", "skipped", "alerts", "bans", "seconds"))
    else:
        for row in rows:
            typer.echo(
                f"{Path(row['file']).name}: {row['frames']:,} packets, {row['skipped']:,} skipped "
                f"(banned already), {row['alerts']:,} alerts, {row['bans']:,} bans"
            )
    for row in rows:
        if row["problem"]:
            typer.echo(f"warning: {row['problem']}", err=True)
