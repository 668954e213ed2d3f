"""Sites, each with hosts of its own, gone after the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.netlab import Lab
from tests.requires import need
from tests.system.cluster_lab import ClusterLab
from tests.system.site import Site


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Make a site in the test's folder; arguments are those of Site."""
    need("ip", "nft", "ipset", "iptables", "ip6tables")
    made: list[Site] = []
    with Lab() as lab:

        def build(*arguments: Any) -> Site:
            made.append(Site(lab, tmp_path, *arguments))
            return made[-1]

        yield build
        for site in made:
            site.client.close()


@pytest.fixture(scope="module")
def formed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterLab]:
    """A cluster of five hosts, for all tests of a file: it takes seconds to make."""
    need("ip", "nft")
    with Lab() as net:
        lab = ClusterLab(net, tmp_path_factory.mktemp("cluster"))
        lab.form()
        yield lab
        lab.close()


@pytest.fixture
def cluster(formed: ClusterLab) -> ClusterLab:
    """The cluster, whole and with empty blocklists."""
    formed.restore()
    return formed
