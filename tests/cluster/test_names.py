"""Names of nodes and clusters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.cluster.names import check_name, is_name, node_name, node_uri
from shield.errors import InputError


@pytest.mark.parametrize("name", ["a", "pbx-1", "sip1.example.net", "7", "a" * 63])
def test_a_fit_name_is_given_back(name: str) -> None:
    """Host names in lower case are names of nodes."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "A", "a_b", "-a", "a.", "a" * 64, "a b", "caf\u00e9", "a\n", "../a"]
)
def test_what_is_no_name_is_told_with_the_rule(name: str) -> None:
    """A wrong name is refused in one line that says what a name may hold."""
    assert not is_name(name)
    with pytest.raises(InputError, match=r"cluster name .*a-z, 0-9") as caught:
        check_name(name, "cluster name")
    assert "\n" not in str(caught.value)


def test_the_name_of_a_host_becomes_that_of_its_node() -> None:
    """Capitals and underscores are common in host names and not allowed in DNS names."""
    assert node_name("PBX_1.Example.net") == "pbx-1.example.net"
    assert node_name("-.-") == "node"


@pytest.mark.parametrize("name", ["cli", "import", "config", "builtin"])
def test_no_node_is_named_like_an_operator(name: str) -> None:
    """Its bans would count as made here, without a budget; its entries as those of the operator."""
    assert not is_name(name)
    with pytest.raises(InputError, match="choose another"):
        check_name(name)
    assert node_name(name.upper()) == f"node-{name}"


@given(st.text(max_size=100))
def test_every_host_name_gives_a_fit_node_name(host: str) -> None:
    """`shield cluster init` without --node never fails because of the name of the host."""
    assert is_name(node_name(host))


def test_a_uri_holds_cluster_and_node() -> None:
    """The form in certificates is part of the protocol and does not change."""
    assert node_uri("shield", "a") == "shield:shield/a"
