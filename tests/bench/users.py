"""``scripts/bench users``: what users cost that are registered at some node.

    ./scripts/bench users                  200,000 users of one node
    ./scripts/bench users --users 20000

One process holds two nodes, with real TLS over loopback between them. The first learns the users by its
directory, as from REGISTERs; then the second comes and fetches them. Both use the same core, so a joiner
on a machine of its own is sooner. Memory is that of the process, for each user at one node.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from shield.location.registration import Binding, Registration, pack_registration
from shield.location.settings import LocationSettings
from shield.users import Users
from tests.cluster.real import closing, prepare, start, together

LIFETIME = 3_600.0


def resident() -> int:
    """Octets of memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def fill(users: Users, count: int) -> float:
    """Register so many users; microseconds of a core for each."""
    directory, now = users.directory, time.monotonic()
    begun = time.process_time()
    for number in range(count):
        aor = b"user%d@example.com" % number
        contact = Binding(b"sip:user%d@198.51.100.7:5060;transport=udp" % number, LIFETIME)
        made = Registration(aor, "192.0.2.1:5060", "udp", time.time(), (contact,))
        directory.replica.put(aor, pack_registration(made), LIFETIME, now)
        directory._list(aor)
    return (time.process_time() - begun) / count * 1e6


async def run(count: int, folder: Path) -> dict[str, Any]:
    """All of it."""
    prepare(folder, "n1", "n2")
    settings = LocationSettings(track=True, max_users=count)
    first, second = (
        Users(settings, name, wall=time.time, clock=time.monotonic) for name in ("n1", "n2")
    )
    gc.collect()
    before = resident()
    cost = fill(first, count)
    gc.collect()
    memory = (resident() - before) / count
    one = await start(folder, "n1")
    first.join(one, time.monotonic())
    two = await start(folder, "n2", one)
    async with await closing(one, two):
        begun = time.monotonic()
        second.join(two, time.monotonic())
        await together(one, two)
        async with asyncio.timeout(300):
            while len(second.directory.replica.records) < count:
                await asyncio.sleep(0.05)
        joined = time.monotonic() - begun
        asked = time.perf_counter()
        for number in range(1_000):
            assert second.directory.whereis(b"user%d" % (number * count // 1_000), time.monotonic())
        asked = (time.perf_counter() - asked) * 1e3
    return {"users": count, "register_us": cost, "octets": memory, "join_s": joined, "ask_us": asked}


def main(arguments: list[str]) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench users", description=__doc__)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(run(options.users, Path(folder)))
    if options.json:
        print(json.dumps(found))
        return
    print(f"{found['users']:,} users, one contact each")
    print(f"  a registration   {found['register_us']:.1f} us of a core")
    print(f"  memory           {found['octets']:,.0f} octets for each user")
    print(f"  a joiner         {found['join_s']:.1f} s until it knows all, both nodes on one core")
    print(f"  a question       {found['ask_us']:.1f} us")
