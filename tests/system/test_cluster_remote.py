"""Commands on other hosts, with real daemons: what the configuration there allows, and nothing else."""

from __future__ import annotations

import json

import pytest

from tests.system.cluster_lab import ClusterLab


@pytest.mark.system
def test_commands_run_where_they_are_allowed(cluster: ClusterLab) -> None:
    """n2 and n3 let n1 ban; n4 lets it look; n5 says nothing of it, so nothing runs there."""
    allowed = {"n2": '["@read", "ban"]', "n3": '["@read", "ban"]', "n4": '["@read"]'}
    for name, allow in allowed.items():
        node = cluster[name]
        node.end()
        node.configure()
        path = node.folder / "shield.toml"
        path.write_text(f'{path.read_text()}[remote]\nallow = {allow}\nnodes = ["n1"]\n')
    cluster.start(*allowed)
    cluster.until(cluster.complete)
    n1 = cluster["n1"]
    looked = n1.cli("cluster", "run", "all", "status", "-o", "json", check=False)
    assert looked.returncode == 1
    answer = json.loads(looked.stdout)
    assert set(answer["results"]) == {"n1", "n2", "n3", "n4"}
    assert answer["results"]["n4"]["mode"] == "observe"
    assert answer["failures"] == {"n5": "refused: n1 may run nothing here (remote.nodes)"}
    for name, code in (("n2", 0), ("n4", 1), ("n5", 1)):
        value = f"198.18.90.{name[1]}"
        assert n1.cli("cluster", "run", name, "ban", value, check=False).returncode == code
        assert cluster[name].holds(value) is (code == 0)
    refused = cluster["n2"].cli("cluster", "run", "n3", "ban", "198.18.90.9", check=False)
    assert "n2 may run nothing here" in refused.stderr
    audit = [(row["who"], row["outcome"]) for row in cluster["n2"].call("cluster.audit")]
    assert ("root@n1", "done") in audit
    assert "198.18.90.2" in n1.cli("cluster", "audit", "-o", "plain").stdout
