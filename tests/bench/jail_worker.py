"""Gives log lines to fail2ban's own jail; runs with the system's Python, where Debian installs fail2ban.

Standard input: a JSON list with one log for each capture, a log being a list of ``[seconds since the
epoch, line]``. Standard output: for each log the list of ``[number of the line, banned address]``, and
the settings of the jail. Jail, filter, date detector and counting of failures are fail2ban's,
configured by the files of the package; only the clock is set to the time of each line (as fail2ban's
own tests do), and the thread that would run the firewall's commands is not started: a ticket for it is
the ban.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from fail2ban.client.jailreader import JailReader  # type: ignore[import-not-found]
from fail2ban.server.mytime import MyTime  # type: ignore[import-not-found]
from fail2ban.server.server import Server  # type: ignore[import-not-found]
from fail2ban.server.transmitter import Transmitter  # type: ignore[import-not-found]

JAIL = "asterisk"
NOT_NEEDED = ("addlogpath", "addaction", "action")
"""Orders about files to watch and commands to run."""


def orders() -> list[list[Any]]:
    """What fail2ban-client would tell its server about the jail as shipped."""
    reader = JailReader(JAIL, basedir="/etc/fail2ban", force_enable=True)
    reader.read()
    if not reader.getOptions():
        sys.exit(f"fail2ban does not take its own jail {JAIL}")
    wanted = [order for order in reader.convert(allow_no_files=True) if order[2:3] != ["addlogpath"]]
    # No log file, so nothing may watch one; and no action, so nothing may touch a firewall.
    add = ["add", JAIL, "polling"]
    return [add, *(order for order in wanted[1:] if order[2] not in NOT_NEEDED)]


def judge(wanted: list[list[Any]], log: list[list[Any]]) -> tuple[list[list[Any]], dict[str, Any]]:
    """A jail of its own for one log."""
    server = Server(daemon=False)
    transmitter = Transmitter(server)
    for order in wanted:
        status, answer = transmitter.proceed(order)
        if status:
            sys.exit(f"fail2ban refuses {order}: {answer}")
    jail = server._Server__jails[JAIL]
    bans, banned = [], set()
    for number, (time, line) in enumerate(log):
        MyTime.setTime(time)
        jail.filter.processLineAndAdd(line)
        while jail.hasFailTickets:
            address = str(jail.getFailTicket().getID())
            if address not in banned:
                banned.add(address)
                bans.append([number, address])
    counter = jail.filter.failManager
    settings = {"max_retry": counter.getMaxRetry(), "find_time": counter.getMaxTime(),
                "ban_time": jail.actions.getBanTime(), "matched": counter.getFailTotal()}  # fmt: skip
    return bans, settings


def main() -> None:
    wanted = orders()
    judged = [judge(wanted, log) for log in json.load(sys.stdin)]
    print(json.dumps([{"bans": bans, **settings} for bans, settings in judged]))


if __name__ == "__main__":
    main()
