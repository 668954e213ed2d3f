"""What keeps the repository in order: one test for each file, small files, pages that are true."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from shield.config_text import example, reference

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted(path.relative_to(ROOT) for path in (ROOT / "shield").rglob("*.py"))

WITHOUT_TEST = {
    "shield/capture/source.py": "a Protocol and a tuple",
    "shield/firewall/backend.py": "a Protocol and a tuple",
    "shield/detect/alert.py": "values without behaviour",
    "shield/cluster/capability.py": "two Protocols and values without behaviour",
    "shield/cluster/carrier.py": "three Protocols",
}
"""Source files that need no test file, and why."""

TESTED_BY = {
    "shield/sip/calls.py": "tests/sip/test_dialogs.py",
    "shield/detect/compromise.py": "tests/detect/test_compromises.py",
    "shield/detect/following.py": "tests/detect/test_compromises.py",
    "shield/detect/campaigns.py": "tests/detect/test_shape.py",
    "shield/detect/counting.py": "tests/detect/test_engine.py",
    "shield/detect/fits.py": "tests/detect/test_engine.py",
    "shield/cdr/settings.py": "tests/cdr/test_delivery.py",
    "shield/conference/settings.py": "tests/conference/test_directory.py",
    "shield/conference/claim.py": "tests/conference/test_directory.py",
    "shield/cdr/store.py": "tests/cdr/test_spool.py",
    "shield/config_values.py": "tests/test_config.py",
    "shield/hooks/delivery.py": "tests/hooks/test_hooks.py",
    "shield/hooks/program.py": "tests/hooks/test_hooks.py",
    "shield/hooks/settings.py": "tests/hooks/test_hooks.py",
    "shield/hooks/webhook.py": "tests/hooks/test_hooks.py",
    "shield/redirect/settings.py": "tests/redirect/test_responder.py",
    "shield/script_settings.py": "tests/test_script.py",
    "shield/location/settings.py": "tests/location/test_directory.py",
    "shield/detect/keys.py": "tests/rules/test_docs.py",
    "shield/detect/table.py": "tests/detect/test_rule.py",
    "shield/firewall/nftables.py": "tests/firewall/test_backend.py",
    "shield/firewall/registry.py": "tests/firewall/test_settings.py",
    "shield/blocklist/blocklist_settings.py": "tests/blocklist/test_blocklist.py",
    "shield/blocklist/policy_settings.py": "tests/blocklist/test_policy.py",
    "shield/blocklist/floods.py": "tests/blocklist/test_policy.py",
    "shield/blocklist/journal_file.py": "tests/blocklist/test_journal.py",
    "shield/blocklist/journal_rows.py": "tests/blocklist/test_journal.py",
    "shield/blocklist/shared_held.py": "tests/blocklist/test_sharing.py",
    "shield/cluster_orders.py": "tests/test_clustering.py",
    "shield/cluster_report.py": "tests/test_clustering.py",
    "shield/conversation.py": "tests/test_clustering.py",
    "shield/cluster/channel.py": "tests/cluster/test_peer_carrier.py",
    "shield/cluster/cluster.py": "tests/cluster/test_peer_carrier.py",
    "shield/cluster/contexts.py": "tests/cluster/test_peer_carrier.py",
    "shield/cluster/peer_connection.py": "tests/cluster/test_peer_carrier.py",
    "shield/cluster/steward.py": "tests/cluster/test_peer_carrier.py",
    "shield/cluster/tag_claim.py": "tests/cluster/test_tags.py",
    "shield/cluster/events.py": "tests/cluster/test_core.py",
    "shield/cluster/link.py": "tests/cluster/test_core.py",
    "shield/cluster/links.py": "tests/cluster/test_core.py",
    "shield/cluster/member.py": "tests/cluster/test_membership.py",
    "shield/cluster/nats_connection.py": "tests/cluster/test_nats_carrier.py",
    "shield/cluster/nats_login.py": "tests/cluster/test_nats_carrier.py",
    "shield/cluster/nats_outbox.py": "tests/cluster/test_nats_core.py",
    "shield/cluster/nats_parts.py": "tests/cluster/test_nats_core.py",
    "shield/cluster/nats_presence.py": "tests/cluster/test_nats_core.py",
    "shield/cluster/nats_wire.py": "tests/cluster/test_nats_core.py",
    "shield/cluster/outlet.py": "tests/cluster/test_core.py",
    "shield/cluster/peer_door.py": "tests/cluster/test_peer_carrier.py",
    "shield/cluster/peer_core.py": "tests/cluster/test_core.py",
    "shield/cluster/post.py": "tests/cluster/test_core.py",
    "shield/explain.py": "tests/test_pipeline.py",
    "shield/blocklist/alert_exchange.py": "tests/blocklist/test_sharing.py",
    "shield/blocklist/admission.py": "tests/blocklist/test_sharing.py",
    "shield/blocklist/mirror.py": "tests/test_sides.py",
    "shield/blocklist/shared_allow.py": "tests/blocklist/test_sharing.py",
    "shield/blocklist/shared_bans.py": "tests/blocklist/test_sharing.py",
    "shield/blocklist/shared_store.py": "tests/blocklist/test_sharing.py",
    "shield/blocklist/sharing_host.py": "tests/blocklist/test_sharing.py",
    "shield/blocklist/sharing_report.py": "tests/blocklist/test_sharing.py",
    "shield/blocklist/readers.py": "tests/blocklist/test_formats.py",
    "shield/blocklist/readers_kernel.py": "tests/blocklist/test_formats.py",
}
"""Source files that are parts of a bigger one: the test file of that one tests them."""

MOST_LINES = 350


@pytest.mark.parametrize("source", [str(path) for path in SOURCES if not path.name.startswith("__")])
def test_every_source_file_has_its_test_file(source: str) -> None:
    """shield/a/b.py is tested by tests/a/test_b.py, so nobody has to search."""
    path = Path(source)
    test = ROOT / "tests" / path.parent.relative_to("shield") / f"test_{path.name}"
    test = ROOT / TESTED_BY[source] if source in TESTED_BY else test
    assert test.exists() or source in WITHOUT_TEST, f"no {test.relative_to(ROOT)}"


@pytest.mark.parametrize("source", [str(path) for path in SOURCES])
def test_no_file_is_too_long(source: str) -> None:
    """A file that grows past the limit holds two ideas."""
    lines = (ROOT / source).read_text().count("\n")
    assert lines <= MOST_LINES


@pytest.mark.parametrize(
    "module", ["shield", "shield.capture", "shield.cli.app", "shield.config", "shield.control.client"]
)
def test_scapy_is_loaded_only_to_capture(module: str) -> None:
    """Commands start quickly: what they import leaves scapy, the slowest part, alone."""
    code = f"import sys, {module}; print('scapy' in sys.modules, 'asyncio' in sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert shown.stdout.split()[0] == "False"


def test_generated_files_are_up_to_date() -> None:
    """deploy/shield.toml and docs/configuration.md say what the code does (scripts/generate-docs)."""
    assert (ROOT / "deploy" / "shield.toml").read_text() == example()
    assert (ROOT / "docs" / "configuration.md").read_text() == reference()


def test_the_list_of_io_files_is_true() -> None:
    """Each file that may touch the outside world exists: the list is what a reviewer reads first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    ignores = project["tool"]["ruff"]["lint"]["per-file-ignores"]
    listed = [pattern for pattern in ignores if pattern.startswith("shield/")]
    assert [pattern for pattern in listed if not list(ROOT.glob(pattern))] == []


def test_every_dependency_has_its_reason() -> None:
    """docs/dependencies.md names each package that is installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    page = (ROOT / "docs" / "dependencies.md").read_text()
    wanted = project["dependencies"] + project["optional-dependencies"]["test"]
    assert [name for name in wanted if name.split(">=")[0] not in page] == []


def test_scripts_can_be_run() -> None:
    """Everything in scripts/ is executable and says by what it is read."""
    for script in [*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run"]:
        if script.is_file():
            assert os.access(script, os.X_OK), script.name
            assert script.read_text().startswith("#!/usr/bin/env "), script.name


def test_bundled_captures_are_labelled() -> None:
    """Each capture in tests/captures has its label and none is missing."""
    folder = ROOT / "tests" / "captures"
    labels = json.loads((folder / "labels.json").read_text())
    assert {entry["file"] for entry in labels["captures"]} == {
        path.name for path in folder.glob("*.pcap")
    }


def test_the_service_has_two_capabilities_and_no_more() -> None:
    """The unit gives raw sockets and packet filter, nothing else of root, and reloads by SIGHUP."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(ROOT / "deploy" / "shield.service")
    service = unit["Service"]
    assert set(service["CapabilityBoundingSet"].split()) == {"CAP_NET_RAW", "CAP_NET_ADMIN"}
    assert service["AmbientCapabilities"] == service["CapabilityBoundingSet"]
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["ExecReload"] == "kill -HUP $MAINPID"
    assert service["ExecStart"].endswith("shield run")
