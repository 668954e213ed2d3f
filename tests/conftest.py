"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# How long an example takes is no fact about shield: other work runs on the same machine.
settings.register_profile("shield", deadline=None)
settings.load_profile("shield")
