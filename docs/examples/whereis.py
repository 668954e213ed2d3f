"""Any node answers where a user is registered; run it on each: whereis.py DIRECTORY [USER]."""

import asyncio
import sys

import shield

registered = {"alice": "pbx-1"}  # in real life: what this node's registrar knows


async def main(directory: str, user: str = "") -> None:
    async with shield.Cluster(directory) as cluster:
        cluster.channel("whereis").request(lambda name, sender: registered.get(name))
        await asyncio.sleep(1 if user else 3600)
        if user:
            _, answers = await cluster.ask("whereis", user, timeout=2)
            print({node: place for node, place in answers.replies.items() if place})


asyncio.run(main(*sys.argv[1:]))
