"""``scripts/bench replica``: what a replicated map costs. One process; times are of one core.

./scripts/bench replica            200,000 records
./scripts/bench replica 1000000    as many as a joiner of a large cluster gets
"""

from __future__ import annotations

from tests.bench.replica_cost import bulk, join, memory, pushes


def main(arguments: list[str]) -> None:
    count = int(arguments[0]) if arguments else 200_000
    for measure, number in (
        (bulk, count),
        (pushes, min(count, 200_000)),
        (join, count),
        (memory, count),
    ):
        for name, value in measure(number).items():
            print(f"{name:<20}{value:>14,.2f}", flush=True)
