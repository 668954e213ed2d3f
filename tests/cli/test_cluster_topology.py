"""cluster topology: a picture of the connections."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shield.cli.cluster_topology import matrix, missing


def link(a: str, b: str, *, both: bool = True) -> dict[str, Any]:
    return {"a": a, "b": b, "cost": 10, "both": both}


@pytest.fixture
def answer() -> dict[str, Any]:
    """Four nodes: a reaches c over b, and only one side knows of a and d."""
    return {
        "links": [link("a", "b"), link("a", "d", both=False), link("b", "c")],
        "routes": [
            {"node": "b", "next_hop": "b", "cost": 10, "hops": 1},
            {"node": "c", "next_hop": "b", "cost": 20, "hops": 2},
        ],
        "connections": [{"peer": "b", "rtt": 0.0003}],
    }


def test_topology_is_a_picture(shield: Any, daemon: Any, answer: Any) -> None:
    """A matrix, ways over others, and all of it in one line."""
    daemon.answers["cluster.topology"] = answer
    result = shield("cluster", "topology")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "     1 2 3 4",
        "1 a  \\ = . !",
        "2 b  = \\ = .",
        "3 c  . = \\ .",
        "4 d  ! . . \\",
        "",
        "TO  OVER  HOPS  COST",
        "c   b        2    20",
        "",
        "4 nodes, 3 connections, 1 known to one side only, 1 reached over others",
    ]


def test_a_full_mesh_says_so(shield: Any, daemon: Any) -> None:
    """Nothing is over others."""
    daemon.answers["cluster.topology"] = {
        "links": [link("a", "b")],
        "routes": [{"node": "b", "next_hop": "b", "cost": 10, "hops": 1}],
    }
    last = shield("cluster", "topology").stdout.splitlines()[-1]
    assert last == "2 nodes, 1 connection, all reached directly"


def test_a_node_that_is_alone(shield: Any, daemon: Any) -> None:
    """It has no picture, and no error."""
    daemon.answers["cluster.topology"] = {"links": [], "routes": [], "connections": []}
    result = shield("cluster", "topology")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "no connections to other members"


def test_topology_for_scripts(shield: Any, daemon: Any, answer: Any) -> None:
    """JSON is complete; plain has a line for each connection and each way."""
    daemon.answers["cluster.topology"] = answer
    assert json.loads(shield("cluster", "topology", "-o", "json").stdout) == answer
    lines = shield("cluster", "topology", "-o", "plain").stdout.splitlines()
    assert lines[1] == "link\ta\td\t10\tFalse"
    assert lines[-1] == "route\tc\tb\t20\t2"


def test_topology_fits_a_narrow_terminal(shield: Any, daemon: Any) -> None:
    """Long names are cut beside the matrix; a mesh that is too large for one is a list of gaps."""
    for size in (4, 20, 40):
        nodes = [f"gateway-{number:02}.frankfurt.voip.example.net" for number in range(size)]
        links = [link(a, b) for a in nodes for b in nodes if a < b and (a, b) != (nodes[0], nodes[1])]
        daemon.answers["cluster.topology"] = {"links": links, "routes": []}
        lines = shield("cluster", "topology", env={"COLUMNS": "60"}).stdout.splitlines()
        assert max(map(len, lines)) <= 60


def test_a_matrix_knows_when_it_does_not_fit() -> None:
    """Then it is empty: names must stay readable, and a large one is no picture."""
    nodes = [f"node-{number}" for number in range(12)]
    links = [link(nodes[0], nodes[1])]
    assert len(matrix(nodes, links, 60)) == 13
    assert matrix(nodes, links, 40) == []
    assert matrix([str(number) for number in range(25)], links, None) == []


def test_missing_names_only_the_gaps() -> None:
    """A connection that both sides know is not told."""
    links = [link("a", "b"), link("b", "c", both=False)]
    assert list(missing(["a", "b", "c"], links)) == [
        "a - c: not connected",
        "b - c: known to one side only",
    ]
