"""Facts of evasion: an attack is found in whatever dress it comes, and a dress alone is no attack."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from shield.blocklist.allowlist import Allowlist
from shield.blocklist.blocklist import Blocklist
from shield.blocklist.blocklist_settings import BlocklistSettings
from shield.blocklist.policy_settings import PolicySettings
from shield.capture.decoder import Decoder
from shield.capture.pcap import PcapSource
from shield.capture.settings import CaptureSettings
from shield.capture.source import Frame
from shield.capture.tunnels import KINDS
from shield.detect.settings import DetectSettings
from shield.net import Datagram, unpack
from shield.pipeline import Pipeline, Verdict
from tests.capture.tunnel_wire import ENDPOINTS, TUNNELS
from tests.dresses import ATTACKERS_ONLY, CARRIERS, PACKETS, SPELLINGS, dress
from tests.test_replay import CAPTURES, DIRECTORY, RULES

MESSAGES = 80
"""Messages of each capture; every attack here is decided within a fraction of them."""
LABELS = {capture["file"]: capture for capture in CAPTURES}
ATTACKS = [
    name
    for name in (
        "svwar038_register_hard_force.pcap", "svwar_eyebeam_ua.pcap", "svwar038_ipv6.pcap",
        "svcrack038_success.pcap", "hydra_sip.pcap", "ncrack_sip.pcap", "sipsak_usrloc_wrongpw.pcap",
        "sippts_exten_register.pcap", "sippts_rcrack.pcap", "sippts_invite.pcap",
        "toll_prefix_probe.pcap", "svmap038_options_default.pcap", "metasploit_shape_enum.pcap",
    )
    if name in LABELS
]  # fmt: skip
"""Enumeration, guessing, toll fraud and scans, by tools with and without a name, over IPv4 and IPv6."""
BENIGN = [
    name
    for name in (
        "benign_baresip_call.pcap", "benign_baresip_ipv6.pcap", "benign_linphone.pcap",
        "benign_wrong_password_then_ok.pcap", "benign_monitoring_sipsak.pcap",
        "benign_ip_fragments.pcap", "benign_blf_subscribe.pcap", "benign_misdials.pcap",
        "benign_stale_nonce.pcap",
    )
    if name in LABELS
]  # fmt: skip

CAPTURE = CaptureSettings(any_port=True, tunnels=KINDS, tunnel_endpoints=ENDPOINTS)


class Ban(NamedTuple):
    """How a source was decided."""

    source: str
    kind: str
    fingerprint: bool
    messages: int


@cache
def messages_of(name: str) -> tuple[Datagram, ...]:
    """The first messages of a capture."""
    source = PcapSource(DIRECTORY / name)
    decoder = Decoder()
    out = [message for batch in source.batches() for one in batch for message in decoder.feed(one)]
    source.close()
    return tuple(out[:MESSAGES])


def judge(frames: Sequence[Frame]) -> dict[str, Ban]:
    """Who is banned when these frames come, and how soon."""
    allowlist = Allowlist()
    pipeline = Pipeline(
        list(RULES.values()),
        capture=CAPTURE,
        detect=DetectSettings(),
        policy=PolicySettings(),
        blocklist=Blocklist(BlocklistSettings(), allowlist),
        allowlist=allowlist,
        origin="node1",
    )
    bans: dict[str, Ban] = {}
    for finding in [*pipeline.feed(frames), *pipeline.finish()]:
        if isinstance(finding, Verdict) and finding.decision is not None:
            rule, source = RULES[finding.alert.scenario], unpack(finding.alert.source)
            bans.setdefault(source, Ban(source, rule.kind, rule.fingerprint, finding.messages))
    return bans


@cache
def plain(name: str) -> dict[str, Ban]:
    """What is decided when the messages come undressed."""
    return judge(dress(messages_of(name)))


def assert_found(name: str, found: dict[str, Ban]) -> None:
    """The same attacker, for the same kind of attack or by his tool, about as soon."""
    attackers = LABELS[name]["attackers"]
    assert set(found) == set(plain(name)) == set(attackers)
    for attacker in attackers:
        before, after = plain(name)[attacker], found[attacker]
        assert after.fingerprint or after.kind in {before.kind, LABELS[name]["class"]}, after
        assert after.messages <= 2 * before.messages + 4, (before, after)


DRESSES: dict[str, tuple[Sequence[str], str, Sequence[str]]] = {
    **{name: ((name,), "udp", ()) for name in SPELLINGS},
    **{name: ((), name, ()) for name in CARRIERS},
    **{name: ((), "udp", (name,)) for name in PACKETS},
    "all-spellings": (tuple(SPELLINGS), "udp", ()),
    "folded-in-fragments-in-gre-in-fragments": (("folded",), "udp", ("fragments", "gre", "fragments")),
    "tiny-segments-in-gtp-in-vxlan": (("line-feeds",), "tcp-tiny", ("gtp", "vxlan")),
    "websocket-in-overlaps-in-erspan": (("compact",), "websocket-in-parts", ("overlapping", "erspan2")),
}
"""Spelling, carrier, and what becomes of the packets, from the inside out."""


@pytest.mark.parametrize("name", DRESSES)
@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_found_in_every_dress(attack: str, name: str) -> None:
    """The same attacker is decided on, for the same thing, within about as many messages."""
    assert_found(attack, judge(dress(messages_of(attack), *DRESSES[name])))


@pytest.mark.parametrize("name", sorted(set(DRESSES) - ATTACKERS_ONLY))
@pytest.mark.parametrize("dialogue", BENIGN)
def test_a_dress_alone_is_no_attack(dialogue: str, name: str) -> None:
    """Who registers, calls and subscribes in an odd way is not banned for it."""
    assert judge(dress(messages_of(dialogue), *DRESSES[name])) == {}


def _possible(packets: list[str]) -> bool:
    """Overlaps are made by the attacker, who has no hand in the packets of a tunnel around his own."""
    return "overlapping" not in packets or not set(packets[: packets.index("overlapping")]) & set(
        TUNNELS
    )


COMBINED = {
    "spellings": st.lists(st.sampled_from(sorted(SPELLINGS)), max_size=4, unique=True),
    "carrier": st.sampled_from(sorted(CARRIERS)),
    "packets": st.lists(st.sampled_from(sorted(set(PACKETS) - {"confetti"})), max_size=3).filter(
        _possible
    ),
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(attack=st.sampled_from(ATTACKS), **COMBINED)
def test_an_attack_is_found_in_any_combination(
    attack: str, spellings: list[str], carrier: str, packets: list[str]
) -> None:
    """Dresses over dresses hide no more than one does."""
    assert_found(attack, judge(dress(messages_of(attack), spellings, carrier, packets)))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(dialogue=st.sampled_from(BENIGN), **COMBINED)
def test_no_combination_is_an_attack(
    dialogue: str, spellings: list[str], carrier: str, packets: list[str]
) -> None:
    """Good users are not banned for what a network makes of their packets."""
    assume(carrier not in ATTACKERS_ONLY)
    assert judge(dress(messages_of(dialogue), spellings, carrier, packets)) == {}
