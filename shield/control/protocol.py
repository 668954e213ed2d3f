"""The lines of the control socket (no I/O).

One request is one line of JSON, and so is each line of the answer::

    {"v": 1, "command": "show", "arguments": {"value": "192.0.2.1"}}
    {"ok": true, "data": {...}}

A command with many results answers with lines that each hold a list, until one lacks ``more``::

    {"ok": true, "data": [...], "more": true}
    {"ok": true, "data": []}

An error, also in the middle of an answer, ends it::

    {"ok": false, "error": {"code": "input", "message": "not an address: 'x'"}}
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from shield.control.commands import Request, check
from shield.errors import ConfigError, InputError, RemoteError, ShieldError, SystemFailure

__all__ = [
    "ANSWER_BYTES",
    "REQUEST_BYTES",
    "VERSION",
    "Line",
    "encode_error",
    "encode_list",
    "encode_request",
    "encode_value",
    "parse_line",
    "parse_request",
]

VERSION = 1
"""Raised only when old and new can no longer understand each other; new commands need no new number."""

REQUEST_BYTES = 1 << 20
"""Longest request: an ``import`` of IMPORT_ITEMS decisions takes about half of it."""

ANSWER_BYTES = 16 << 20
"""Longest line of an answer: ``show`` with a long history stays far below."""


class Line(NamedTuple):
    """One line of an answer."""

    data: Any
    more: bool


def encode_request(request: Request) -> bytes:
    """Give the line of a request; raises InputError when it is too long."""
    line = _encode({"v": VERSION, "command": request.command.name, "arguments": request.arguments})
    if len(line) > REQUEST_BYTES:
        raise InputError(f"{request.command.name}: request is longer than {REQUEST_BYTES} bytes")
    return line


def parse_request(line: bytes) -> Request:
    """Read a request; raises RemoteError when it is none and InputError when it asks nonsense."""
    document = _decode(line)
    if document.get("v") != VERSION:
        raise RemoteError("version", f"this daemon speaks version {VERSION} of the control protocol")
    name, arguments = document.get("command"), document.get("arguments", {})
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise RemoteError("request", "needs a command (text) and arguments (object)")
    return check(name, arguments)


def encode_value(data: Any) -> bytes:
    """Give the line of an answer that is one value."""
    return _encode({"ok": True, "data": data})


def encode_list(items: Sequence[Any], *, more: bool) -> bytes:
    """Give one line of an answer in several lines."""
    return _encode({"ok": True, "data": items, "more": True} if more else {"ok": True, "data": items})


_CODES: tuple[tuple[str, type[ShieldError]], ...] = (
    ("config", ConfigError),
    ("input", InputError),
    ("system", SystemFailure),
)


def encode_error(error: Exception) -> bytes:
    """Give the line that reports ``error``; what is no ShieldError shows only as internal."""
    if isinstance(error, RemoteError):
        code, message = error.reason, str(error)
    elif isinstance(error, ShieldError):
        code = next((code for code, kind in _CODES if isinstance(error, kind)), "shield")
        message = str(error)
    else:
        code, message = "internal", "internal error, see the daemon's log"
    return _encode({"ok": False, "error": {"code": code, "message": message}})


def parse_line(line: bytes) -> Line:
    """Read one line of an answer; an error answer is raised as the error it was."""
    document = _decode(line)
    if document.get("ok") is True:
        return Line(document.get("data"), document.get("more") is True)
    error = document.get("error")
    if not isinstance(error, dict):
        raise RemoteError("answer", "neither data nor an error")
    code, message = str(error.get("code")), str(error.get("message"))
    kind = dict(_CODES).get(code)
    if kind is ConfigError:
        raise ConfigError(*message.split("\n"))
    if kind is not None:
        raise kind(message)
    raise ShieldError(message)


def _encode(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def _decode(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise RemoteError("json", "not a line of JSON") from None
    if not isinstance(document, dict):
        raise RemoteError("json", "not a JSON object")
    return document
