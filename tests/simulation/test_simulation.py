"""The simulation converges, the same seed gives the same figures, and the page shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.simulation.main import simulate
from tests.simulation.measure import measure
from tests.simulation.mesh import Mesh, wire_size
from tests.simulation.page import BEGIN, END, HEAD, replaced, table
from tests.simulation.projection import GROWING, project, worth
from tests.simulation.star import Star
from tests.simulation.world import PLACES, Host, Machine, Places, World

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"


@pytest.mark.parametrize("carrier", ["peer", "nats"])
def test_the_same_seed_gives_the_same_figures(carrier: str) -> None:
    """All nodes find together and hold the same, also after a cut; another seed is another story."""
    first = simulate(carrier, (5,), PLACES["regions"], 3)
    assert simulate(carrier, (5,), PLACES["regions"], 3) == first
    other = simulate(carrier, (5,), PLACES["regions"], 4)
    assert other["simulated"] != first["simulated"]
    for found in (first, other):
        assert found["partition"]["most_seen_meanwhile"] < 4
        assert found["partition"]["seconds_to_equal"] < 15
        assert found["simulated"][0]["one_ms"] > 100, "one way to the far region"


def test_loss_makes_it_slower_and_loses_nothing() -> None:
    """What TCP sends again comes later; every node has every decision in the end."""
    places = PLACES["rack"]
    lossy = Places(places.name, places.ways, places.jitter, loss=0.1)
    clean, slow = (measure(Mesh(World(1), 5, where), 4) for where in (places, lossy))
    assert slow.form_s > clean.form_s + 0.1
    assert slow.many_s >= clean.many_s


def test_costs_grow_with_connections_or_with_members() -> None:
    """A connection of a peer costs the same however many there are; a publication of NATS is one."""
    small, large = (measure(Mesh(World(1), size, PLACES["rack"]), size - 1) for size in (4, 12))
    assert large.idle_out / 11 == pytest.approx(small.idle_out / 3, rel=0.1)
    few, many = (measure(Star(World(1), size, PLACES["rack"]), 1) for size in (4, 12))
    assert many.idle_pieces == pytest.approx(few.idle_pieces, rel=0.1)
    assert many.one_out * 12 == pytest.approx(few.one_out * 4, rel=0.1)


def test_what_is_projected_is_a_straight_line() -> None:
    """A fourth size that was simulated lies on the line through the others, as far as ``worth`` says."""
    found = [measure(Star(World(1), size, PLACES["rack"]), 1) for size in (4, 8, 16)]
    assert set(worth(found)) <= set(GROWING)
    said, real = project(found, 24, 1), measure(Star(World(1), 24, PLACES["rack"]), 1)
    assert said.idle_wire == pytest.approx(real.idle_wire, rel=0.05)
    with pytest.raises(ValueError, match="three sizes"):
        project(found[:2], 100, 1)


def test_work_of_one_machine_waits_for_its_processors() -> None:
    """Three pieces of work on two processors take two turns, those of one node one after the other."""
    world, machine, done = World(1), Machine(2), list[float]()
    for host in (Host(world, machine), Host(world, machine), Host(world, machine)):
        host.post(lambda: done.append(world.now) or 1.0)  # type: ignore[func-returns-value]
    world.run(5)
    assert done == [0.0, 0.0, 1.0]
    host.post(lambda: done.append(world.now) or 1.0)  # type: ignore[func-returns-value]
    host.post(lambda: done.append(world.now) or 1.0)  # type: ignore[func-returns-value]
    world.run(5)
    assert done[3:] == [5.0, 6.0]


def test_octets_on_the_wire() -> None:
    """A ping of 20 octets: TLS record, one segment, one acknowledgement."""
    assert wire_size(20) == 20 + 22 + 66 + 66


def test_the_page_has_the_table_that_the_script_writes() -> None:
    """Between the markers: its columns, both carriers, up to 10,000 nodes; the plot is beside it."""
    text = PAGE.read_text()
    shown = text.partition(BEGIN)[2].partition(END)[0].strip().splitlines()
    assert shown[0] == f"| {' | '.join(HEAD)} |"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in shown[2:]]
    assert all(len(row) == len(HEAD) for row in rows)
    for carrier in ("peer", "NATS"):
        assert {"10", "100", "1,000", "10,000"} <= {row[1] for row in rows if row[0] == carrier}
    assert (PAGE.parent / "scale.svg").read_text().lstrip().startswith("<?xml")
    fresh = table({"carriers": {"peer": simulate("peer", (3,), PLACES["rack"], 1)}})
    assert fresh in replaced(text, fresh)
    with pytest.raises(ValueError, match="made by"):
        replaced("no markers", fresh)
