"""shield.sip.message against tshark: the same fields in every message of the bundled captures."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from shield.sip.headers import fast_tag
from shield.sip.message import Request, Response, parse_message
from shield.sip.uri import fast_address
from tests.requires import need
from tests.spellings import attempt

FOLDER = Path(os.environ.get("SHIELD_TEST_CAPTURES", Path(__file__).parents[1] / "captures"))
FIELDS = [
    "udp.payload",
    "tcp.payload",
    "sip.Method",
    "sip.Status-Code",
    "sip.Call-ID",
    "sip.from.tag",
    "sip.User-Agent",
    "sip.from.user",
    "sip.to.user",
    "sip.CSeq",
]
USERS = {"sip.from.user", "sip.to.user"}
"""tshark finds no users of a single character."""
EVADED = ("evasive_headers.pcap",)
"""Blanks before the colon hide fields from tshark; they must not hide them from us."""
RANDOM_BYTES = ("sippts_flood_fuzz.pcap",)
"""Where values are noise only these fields have a meaning: method and Call-ID."""


def dissected(capture: Path) -> list[dict[str, list[str]]]:
    """What tshark says of each frame with SIP: all values of each field."""
    command = [
        "tshark",
        "-r",
        str(capture),
        "-Y",
        "sip",
        "-T",
        "fields",
        "-E",
        "separator=/t",
        "-E",
        "aggregator=\x1e",
    ]
    for name in FIELDS:
        command += ["-e", name]
    lines = (
        subprocess.run(command, capture_output=True, check=True)
        .stdout.decode("utf-8", "replace")
        .split("\n")[:-1]
    )
    return [
        {
            name: value.split("\x1e") if value else []
            for name, value in zip(FIELDS, line.split("\t"), strict=True)
        }
        for line in lines
    ]


def ours(message: Request | Response) -> dict[str, list[str]]:
    """Our reading of one message under tshark's names."""
    raw = {
        "sip.Method": message.method if isinstance(message, Request) else b"",
        "sip.Status-Code": b"%d" % message.status if isinstance(message, Response) else b"",
        "sip.Call-ID": message.call_id,
        "sip.from.tag": fast_tag(message.from_) or b"",
        "sip.User-Agent": message.get(b"User-Agent") or b"",
        "sip.from.user": (fast_address(message.from_) or (b"",))[0] or b"",
        "sip.to.user": (fast_address(message.to) or (b"",))[0] or b"",
        "sip.CSeq": message.cseq,
    }
    return {name: [value.decode("utf-8", "replace")] if value else [] for name, value in raw.items()}


def differences(
    frame: dict[str, list[str]], fields: set[str], missed: set[str]
) -> list[tuple[str, list[str], list[str]]]:
    """Fields of one frame that we read otherwise than tshark: name, tshark's value, ours.

    Fields in ``missed`` may be absent for tshark.
    """
    payload = bytes.fromhex((frame["udp.payload"] or frame["tcp.payload"])[0])
    message, reason = attempt(parse_message, payload)
    sip = frame["sip.Method"] or frame["sip.Status-Code"]
    if message is None:
        # A segment from the middle of a message is for the stream reassembly.
        return [("sip", sip, [reason])] if sip and frame["udp.payload"] else []
    if frame["tcp.payload"] and (len(frame["sip.Call-ID"]) != 1 or message.defects):
        return []
    found = []
    for name, value in ours(message).items():
        theirs = [" ".join(text.split()) for text in frame[name]] if name == "sip.CSeq" else frame[name]
        if name in fields and theirs != value and (theirs or name not in missed):
            found.append((name, theirs, value))
    return found


@pytest.mark.system
@pytest.mark.parametrize("capture", sorted(FOLDER.glob("*.pcap")), ids=lambda path: path.name)
def test_fields_equal_those_of_tshark(capture: Path) -> None:
    """Method, status, Call-ID, From tag, users, CSeq and User-Agent are what tshark reads."""
    need("tshark", root=False)
    fields = {"sip.Method", "sip.Call-ID"} if capture.name in RANDOM_BYTES else set(FIELDS)
    missed = set(FIELDS) if capture.name in EVADED else USERS
    assert [one for frame in dissected(capture) for one in differences(frame, fields, missed)] == []
