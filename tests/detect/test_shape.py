"""shield.detect.shape: what is the same of a program whatever it writes into the fields."""

from __future__ import annotations

import random

import pytest

from shield.detect.campaigns import MAX_SOURCES, Campaigns
from shield.detect.shape import campaign_of
from tests.builders import read_request

LINES = (
    "Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{branch};rport",
    "From: <sip:{user}@host.example>;tag={tag}",
    "To: <sip:{user}@host.example>",
    "Call-ID: {call}@{host}",
    "CSeq: {cseq} REGISTER",
    "Contact: <sip:{user}@{host}:{port}>",
    "Max-Forwards: 70",
    "User-Agent: {agent}",
    "Content-Length: 0",
)


def campaign(lines: tuple[str, ...] = LINES, seed: int = 1, **fixed: str) -> bytes | None:
    """Campaign of one message of a program that writes these lines."""
    dice = random.Random(seed)
    values = {
        "host": f"198.51.100.{dice.randrange(1, 250)}",
        "port": str(dice.randrange(1024, 60_000)),
        "branch": f"{dice.getrandbits(128):032x}",
        "tag": f"{dice.getrandbits(32) | 0xA0000000:08x}",
        "call": f"{dice.getrandbits(128):032x}",
        "user": str(dice.randrange(100, 9_999_999)),
        "cseq": str(dice.randrange(1, 90_000)),
        "agent": dice.choice(["Yealink SIP-T46S", "x", "friendly-scanner"]),
        **fixed,
    }
    text = "REGISTER sip:host.example SIP/2.0\r\n" + "\r\n".join(lines) + "\r\n\r\n"
    return campaign_of(read_request(text.format(**values).encode()))


def changed(old: str, new: str) -> tuple[str, ...]:
    return tuple(line.replace(old, new) for line in LINES)


def test_what_a_program_fills_in_does_not_matter() -> None:
    """Users, addresses, numbers, random words and the User-Agent differ, the campaign does not."""
    assert len({campaign(seed=seed) for seed in range(200)}) == 1


@pytest.mark.parametrize(
    "lines",
    [
        (LINES[1], LINES[0], *LINES[2:]),
        changed("Call-ID:", "Call-Id:"),
        changed("From:", "f:"),
        changed("From: ", "From:  "),
        changed(";rport", ";rport;alias"),
        changed("z9hG4bK{branch}", "{branch}"),
        changed("{call}@{host}", "{call}"),
        changed("{call}@{host}", "{call}@phone.example"),
        changed("tag={tag}", "tag=12345678"),
        changed("<sip:{user}@{host}:{port}>", "sip:{user}@{host}:{port}"),
        changed("Max-Forwards: 70", "Max-Forwards: 20"),
        (*LINES, "Allow: INVITE"),
    ],
)
def test_how_a_program_writes_matters(lines: tuple[str, ...]) -> None:
    """Order, spelling, blanks, parameters, and the look of random words tell programs apart."""
    assert campaign(lines) != campaign()


def test_both_requests_of_a_login_are_of_one_campaign() -> None:
    """Credentials are an answer to the server and no habit."""
    login = 'Authorization: Digest username="100", response="0"'
    assert campaign((*LINES[:6], login, *LINES[6:])) == campaign()


def test_what_cannot_be_read_has_none() -> None:
    """There is no shape in noise."""
    assert campaign_of(None) is None


def test_sources_of_a_campaign_are_counted_once_and_bounded() -> None:
    """What the alerts tell as ``campaign_sources``."""
    campaigns = Campaigns()
    assert [campaigns.accused(b"c", source) for source in (b"a", b"b", b"a")] == [1, 2, 2]
    assert campaigns.accused(b"d", b"a") == 1
    for number in range(2 * MAX_SOURCES):
        many = campaigns.accused(b"c", number.to_bytes(4, "big"))
    assert many == MAX_SOURCES
    for time in (1.0, 1e5, 2e5, 3e5):
        campaigns.tick(time)
    assert campaigns.accused(b"c", b"z") == 1
