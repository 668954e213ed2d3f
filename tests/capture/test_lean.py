"""What a node keeps of scapy in memory."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from shield.capture.addresses import own_addresses
if "{first}":
    import scapy.data
own_addresses()
from scapy.data import MANUFDB
from scapy.layers.l2 import Ether
assert Ether(bytes(14)).src == "00:00:00:00:00:00"
print(len(MANUFDB.d), "scapy.libs.manuf" in sys.modules)
"""


def run(first: str) -> list[str]:
    command = [sys.executable, "-c", CODE.format(first=first)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_vendors_of_ethernet_addresses_are_forgotten() -> None:
    """12 MB that nobody asks for; Ethernet is read all the same."""
    assert run("") == ["0", "False"]


def test_who_has_loaded_scapy_before_keeps_its_vendors() -> None:
    """A shell in which somebody works with scapy is not robbed."""
    assert int(run("scapy first")[0]) > 1000
