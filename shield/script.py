"""Script: what a node says and answers in the texts of routing scripts (``script_text``).

Nodes of shield know all that from each other without texts; these are for scripts and for bridges to
clusters of OpenSIPS. What others say in them is shown to who listens and believed by nobody: a text
proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from shield.conversation import Conversation
from shield.errors import InputError
from shield.net import pack
from shield.script_settings import ScriptSettings
from shield.script_text import HEREIS, REGOFFLINE, REGONLINE, WHEREIS, Hacker, Place, parse

__all__ = ["Script"]

Finder = Callable[[bytes], str]
"""Takes a user, gives the server at which this node has registered him; empty when it has not."""


class Script:
    """Belongs to one node. ``find`` is that of its own users."""

    def __init__(self, settings: ScriptSettings, find: Finder) -> None:
        self.settings = settings
        self.find = find
        self.said = self.answered = 0
        self._conversation: Conversation | None = None

    def attach(self, conversation: Conversation) -> None:
        """Speak and answer in this conversation."""
        self._conversation = conversation
        conversation.answers = self.answer

    def answer(self, text: str) -> str | None:
        """Reply to a request; None when this node has nothing to say to it."""
        asked = parse(text)
        if not isinstance(asked, Place) or asked.kind != WHEREIS:
            return None
        proxy = self.find(asked.user)
        if not proxy:
            return None
        self.answered += 1
        return str(Place(HEREIS, asked.user, proxy))

    def moved(self, user: bytes, proxy: str, *, online: bool) -> None:
        """A user came to this node, or left it."""
        if self.settings.users:
            self._say(Place(REGONLINE if online else REGOFFLINE, user, proxy))

    def alerted(self, event: Mapping[str, Any]) -> None:
        """Take an event ``alert`` of the hub."""
        decision = event.get("decision")
        if not self.settings.attackers or decision is None or event["proof"] != "proven":
            return
        agent = str(event["details"].get("user_agent", ""))
        self._say(Hacker(agent.encode("utf-8", "surrogateescape"), pack(event["value"])))

    def _say(self, message: Hacker | Place) -> None:
        if self._conversation is not None:
            with suppress(InputError):  # in no cluster: nobody is there to hear it
                self._conversation.broadcast(str(message), None, include_self=False)
                self.said += 1
