"""Load scapy without what shield never asks it.

scapy reads the vendors of all Ethernet addresses at its first import, some 40,000 names: 12 MB of each
node, to write an address with the maker's name before it.
"""

from __future__ import annotations

import sys

__all__ = ["lean_scapy"]


def lean_scapy() -> None:
    """Import scapy's data and forget the vendors; call it before the first other import of scapy.

    At once, since what is made between the names later would keep their memory from being given back.
    """
    loaded = "scapy.data" in sys.modules
    from scapy.data import MANUFDB

    if not loaded:  # a shell or a test that has loaded scapy before us keeps what it has
        MANUFDB.d.clear()
        sys.modules.pop("scapy.libs.manuf", None)  # their text, where scapy has no cache of it
