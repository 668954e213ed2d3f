"""Reports in one line each."""

from __future__ import annotations

from typing import Any

from shield.cdr.report import Kind, Report

START = 1_700_000_000.0


def report(kind: Kind = Kind.STOP, number: int = 1, **more: Any) -> Report:
    """A report of call ``number``, which was answered after five seconds and lasted a minute."""
    begun = START + number
    values: dict[str, Any] = {
        "caller": b"alice",
        "called": b"%d" % (1000 + number),
        "account": b"alice",
        "source": b"\xc0\x00\x02\x09",
        "server": b"\xc6\x33\x64\x01",
        "started": begun,
        "rang": begun + 1,
        "answered": begun + 5,
        "ended": 0.0 if kind is Kind.START else begun + 65,
        "status": 200,
    }
    return Report(kind, b"call-%d" % number, b"f%d" % number, b"t%d" % number, **(values | more))


def start(number: int = 1, **more: Any) -> Report:
    return report(Kind.START, number, **more)


def stop(number: int = 1, **more: Any) -> Report:
    return report(Kind.STOP, number, **more)


def failed(number: int = 1, status: int = 486) -> Report:
    return report(Kind.STOP, number, answered=0.0, status=status)


def bye(number: int = 1, *, ended: float = START + 30, callee: bool = False) -> Report:
    """A BYE that another node saw, of the caller or of the callee."""
    tags = (b"t%d" % number, b"f%d" % number) if callee else (b"f%d" % number, b"t%d" % number)
    return Report(Kind.BYE, b"call-%d" % number, *tags, ended=ended)
