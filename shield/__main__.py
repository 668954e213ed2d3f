"""``python -m shield``: the same as the ``shield`` command."""

from __future__ import annotations

from shield.cli.app import main

main()
