"""Facts of disguise: an attacker who hides his tool is found, and a broken client is not banned."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shield.capture.decoder import Decoder
from shield.capture.pcap import PcapSource
from shield.net import Datagram
from shield.pipeline import Finding, Verdict
from shield.sip.event import Kind
from tests.builders import datagram, response
from tests.detect.test_engine import event, fed
from tests.detect.test_oddities import CASES, CLIENT, SERVER, message
from tests.disguise import AGENTS, DISGUISES, disguised
from tests.dresses import dress
from tests.rules.test_slow import RULES, pipeline
from tests.test_evasion import judge
from tests.test_replay import BLOCK, DIRECTORY

MESSAGES = 300
"""Messages of each capture; a challenge that nobody takes up is told three seconds later."""
SCORE = next(rule.score for rule in RULES if rule.name == "disguised-tool")
FEW = {
    "metasploit_shape_options.pcap", "nmap_sip_brute.pcap", "nmap_sip_brute_hard.pcap",
    "nmap_sip_callspoof.pcap", "nmap_sip_methods.pcap", "nmap_tcp_methods.pcap",
    "nmap_version_probe.pcap",
    "sippts_leak.pcap", "sippts_ping.pcap", "sippts_scan_tcp.pcap", "sippts_scan_udp.pcap",
    "sipsak_options_once.pcap", "sipsak_random.pcap", "svmap038_compact.pcap", "svmap038_ipv6.pcap",
    "svmap038_options_default.pcap", "svwar038_register_hard_force.pcap", "zmap_sip_template.pcap",
}  # fmt: skip
"""One to eight messages, which in a good disguise are those of a monitor or of somebody who mistypes."""
UNSEEN = {"svmap038_register_ports.pcap"}
"""Nearly all of its requests go where nothing listens: what is not answered counts as nothing."""
FLOODS = {"sipp_invite_flood.pcap", "sipsak_flood.pcap", "sippts_flood.pcap"}
"""Found by their rate, of 250 a minute and more."""
ATTACKS = {
    capture["file"]: capture
    for capture in BLOCK
    if capture["file"] not in FEW | UNSEEN | FLOODS and capture.get("attackers")
}
SCANS = ("svmap038_options_default.pcap", "svmap038_compact.pcap")
SOONER = ("svwar038_register_leaky.pcap", "svwar038_options_leaky.pcap", "svwar038_invite_leaky.pcap",
          "svcrack038_hard_fail.pcap", "svcrack038_success.pcap", "svwar038_ipv6.pcap")  # fmt: skip
"""Tools whose marks are found before their behaviour is."""
COMPLETE = ("constants", "random-parts", "one-order")


@cache
def messages_of(name: str) -> tuple[Datagram, ...]:
    """The first messages of a capture, both directions."""
    source = PcapSource(DIRECTORY / name)
    decoder = Decoder()
    out = [message for batch in source.batches() for one in batch for message in decoder.feed(one)]
    source.close()
    return tuple(out[:MESSAGES])


def found(messages: Sequence[Datagram]) -> dict[str, Verdict]:
    """Who is banned, how soon, and some time later."""
    node, bans = pipeline(), {}
    findings: list[Finding] = [*node.feed(dress(messages))]
    last = messages[-1].time
    for later in range(1, 6):
        findings += node.tick(last + 4 * later, last + 4 * later)
    for finding in [*findings, *node.finish()]:
        if isinstance(finding, Verdict) and finding.decision is not None:
            bans.setdefault(finding.alert.address, finding)
    return bans


@pytest.mark.parametrize("order", ["one-order", "any-order"])
@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attacker_in_full_disguise_is_found(attack: str, agent: str, order: str) -> None:
    """By the marks that are left, or by what he does; nobody else is."""
    bans = found(disguised(messages_of(attack), ("constants", "random-parts", agent, order), 1))
    assert set(bans) == set(ATTACKS[attack]["attackers"])


@pytest.mark.parametrize("attack", [name for name in SOONER if name in ATTACKS])
def test_marks_find_a_tool_within_twelve_messages(attack: str) -> None:
    """In the disguise of a phone, and with random letters for a name."""
    for agent in ("a-phone", "letters"):
        bans = found(disguised(messages_of(attack), (*COMPLETE, agent), 3))
        assert [ban.alert.scenario for ban in bans.values()] == ["disguised-tool"]
        assert all(ban.messages <= 12 for ban in bans.values())


@pytest.mark.parametrize("attack", [name for name in SCANS if (DIRECTORY / name).exists()])
def test_a_scan_in_the_name_of_a_phone_gives_itself_away(attack: str) -> None:
    """One message: it says that it is a product whose messages look otherwise."""
    bans = found(disguised(messages_of(attack), (*COMPLETE, "many-phones"), 1))
    assert {ban.alert.scenario for ban in bans.values()} == {"disguised-tool"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    attack=st.sampled_from(sorted(ATTACKS)),
    agent=st.sampled_from(sorted(AGENTS)),
    names=st.lists(st.sampled_from(sorted(DISGUISES)), unique=True),
    seed=st.integers(0, 2**32),
)
def test_an_attacker_in_any_disguise_is_found(
    attack: str, agent: str, names: list[str], seed: int
) -> None:
    """Each seed gives other names, letters, lengths and orders."""
    bans = found(disguised(messages_of(attack), (*names, agent), seed))
    assert set(bans) == set(ATTACKS[attack]["attackers"])


# Broken clients

Changes = tuple[tuple[str, str], ...]
ACME = ("Yealink SIP-T46S 66.85.0.5", "Acme Desk 3.2")
REGISTERS: list[tuple[str, Changes]] = [
    (name, changes) for name, method, changes in CASES if method == "REGISTER"
]


def failing(changes: Changes) -> list[Datagram]:
    """A client that writes so has an account that is gone: eight tries, some minutes apart."""
    out = []
    for number in range(8):
        payload = message("REGISTER", *changes).replace(b"0a1b2c3d", b"0a1b2c%02d" % number)
        payload = payload.replace(b"0123456789abcdef", b"012345%010d" % number)
        payload = payload.replace(b"Call-ID: 50000", b"Call-ID: 5%04d" % number)
        at = 1.7e9 + 200.0 * number + 13.0 * (number % 3)
        out.append(datagram(payload, at, CLIENT, SERVER, source_port=5060))
        out.append(datagram(response(403, payload), at + 0.02, SERVER, CLIENT))
    return out


@pytest.mark.parametrize(("name", "changes"), REGISTERS)
def test_a_client_with_one_fault_is_not_banned(name: str, changes: Changes) -> None:
    """Not even one with the name of a product that should know better."""
    del name
    assert judge(dress(failing(changes))) == {}
    assert judge(dress(failing((*changes, ACME) if ACME[0] not in str(changes) else changes))) == {}


def pairs() -> list[tuple[str, Changes]]:
    """Two faults in one message, where the one does not undo the other."""
    both: list[tuple[str, Changes]] = []
    for (one, first), (two, second) in combinations(REGISTERS, 2):
        changes = (*first, *second)
        named = changes if ACME[0] in str(changes) else (ACME, *changes)
        try:
            message("REGISTER", *named)
        except AssertionError:
            continue
        both.append((f"{one} and {two}", named))
    return both


@pytest.mark.parametrize(("name", "changes"), pairs())
def test_a_client_with_two_faults_is_not_banned(name: str, changes: Changes) -> None:
    """Whatever two they are, and although it never succeeds."""
    del name
    assert judge(dress(failing(changes))) == {}


def test_no_mark_is_enough_by_itself_nor_with_another() -> None:
    """The weights say so, for habits too."""
    rule = next(rule for rule in RULES if rule.name == "disguised-tool")
    weights = sorted((mark.weight for mark in rule.marks), reverse=True)
    assert weights[0] + weights[1] < SCORE


def test_the_alert_names_the_marks_that_decided() -> None:
    """With their weights, which add up to the score that is told."""
    node = pipeline()
    odd = message("OPTIONS", ("z9hG4bK", ""), (f"<sip:100@{CLIENT}:5060>", f"sip:100@{SERVER}"))
    sent = event(1.0, odd, source=CLIENT, destination=SERVER)
    alerts = fed(
        node.engine, [sent, event(1.1, odd, Kind.ANSWER, status=404, source=CLIENT, destination=SERVER)]
    )
    assert [alert.scenario for alert in alerts] == ["disguised-tool"]
    assert alerts[0].marks == (
        ("oddity no-cookie", 2), ("oddity bare-contact", 1), ("oddity false-agent", 5),
        ("oddity contact-here", 4),
    )  # fmt: skip
    assert (alerts[0].score, alerts[0].limit) == (12, SCORE)
