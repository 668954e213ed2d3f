"""The node that opens a conference tells all others: conference.py DIRECTORY [NUMBER]."""

import asyncio
import sys

import shield

hosts: dict[str, str] = {}


async def main(directory: str, number: str = "") -> None:
    async with shield.Cluster(directory) as cluster:
        cluster.channel("conference").message(lambda body, sender: hosts.setdefault(body, sender))
        await asyncio.sleep(1)
        if number:
            print(cluster.broadcast("conference", number, include_self=True).name)
        await asyncio.sleep(2)
        print(hosts)


asyncio.run(main(*sys.argv[1:]))
