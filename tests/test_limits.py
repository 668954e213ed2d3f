"""An attack from inside a NAT that good phones share: the culprit is stopped and they are not."""

from __future__ import annotations

from itertools import count

import pytest

from shield.blocklist.allowlist import Allowlist
from shield.blocklist.blocklist import Blocklist
from shield.blocklist.blocklist_settings import BlocklistSettings
from shield.blocklist.decision import Decision
from shield.blocklist.policy_settings import PolicySettings
from shield.capture.settings import CaptureSettings
from shield.capture.source import Frame
from shield.detect.alert import Proof
from shield.detect.rulefiles import load_rules
from shield.detect.settings import DetectSettings
from shield.explain import explain
from shield.net import pack
from shield.pipeline import Pipeline, Verdict
from tests.builders import CLIENT, SERVER, challenge, credentials, request, response
from tests.capture.wire import ether, frame, ip4, udp

START = 1_800_000_000.0
PHONES = range(50_000, 50_020)
"""Ports that the NAT has given to the phones of an office."""
LAPTOP = 40_001


class Office:
    """A registrar, and behind one address phones and a guesser; ``time`` goes on with each login."""

    def __init__(self) -> None:
        allowlist = Allowlist()
        detect = DetectSettings(servers=(SERVER,))
        self.pipeline = Pipeline(
            load_rules(),
            capture=CaptureSettings(),
            detect=detect,
            policy=PolicySettings(),
            blocklist=Blocklist(BlocklistSettings(), allowlist),
            allowlist=allowlist,
            origin="node1",
        )
        self.time = START
        self.decisions: list[Decision] = []
        self.alerts: list[Verdict] = []
        self._numbers = count(1)

    def login(self, port: int, user: str, *, right: bool = True, pause: float = 0.2) -> None:
        """One REGISTER with its challenge and the answer to it."""
        number = next(self._numbers)
        same = {"user": user, "call_id": f"c{number}", "tag": f"t{number}", "via": f"{CLIENT}:{port}"}
        asked = request(branch=f"z9hG4bKa{number}", **same)  # type: ignore[arg-type]
        nonce = f"nonce{number}"
        proof = credentials(nonce, user=user, answer=f"{number:032x}")
        again = request("REGISTER", proof, cseq=2, branch=f"z9hG4bKb{number}", **same)  # type: ignore[arg-type]
        last = response(200, again) if right else response(401, again, challenge(f"next{number}"))
        self._feed(port, asked, to_server=True)
        self._feed(port, response(401, asked, challenge(nonce)), to_server=False)
        self._feed(port, again, to_server=True)
        self._feed(port, last, to_server=False)
        self.time += pause

    def phones(self, rounds: int = 1) -> None:
        for _ in range(rounds):
            for port in PHONES:
                self.login(port, f"phone{port}")

    def guess(self, tries: int, *ports: int, pause: float = 0.2) -> None:
        """Wrong passwords for one account, from one port after the other."""
        for number in range(tries):
            self.login(ports[number % len(ports)], "victim", right=False, pause=pause)

    def _feed(self, port: int, payload: bytes, *, to_server: bool) -> None:
        body = udp(payload, port, 5060) if to_server else udp(payload, 5060, port)
        ends = (CLIENT, SERVER) if to_server else (SERVER, CLIENT)
        sent: Frame = frame(ether(ip4(body, 17, *ends)), time=self.time)
        for finding in self.pipeline.feed([sent]):
            if isinstance(finding, Verdict):
                self.alerts.append(finding)
                self.decisions += [change.decision for change in finding.changes]

    @property
    def types(self) -> list[str]:
        return list(dict.fromkeys(decision.type for decision in self.decisions))


def test_the_guesser_behind_a_nat_is_stopped_and_the_phones_are_not() -> None:
    """The limit is of his port alone, his packets are skipped from then on, theirs are read."""
    office = Office()
    office.phones()
    office.guess(60, LAPTOP)
    assert office.types == ["limit"]
    assert {str(port) for decision in office.decisions for port in decision.ports} == {"udp/40001"}
    alert = office.alerts[0].alert
    details = dict(alert.details)
    assert alert.proof is Proof.PROVEN
    assert (details["user_agent"], details["account"]) == ("phone/1", "victim")
    assert details["culprit"] == "only udp/40001, where nobody logged in"
    skipped = office.pipeline.decoder.stats.skipped
    before = office.pipeline.stats.requests
    office.guess(20, LAPTOP)
    assert office.pipeline.decoder.stats.skipped == skipped + 40
    office.phones()
    assert office.pipeline.stats.requests == before + 2 * len(PHONES)
    shown = explain(office.pipeline, pack(CLIENT), office.time)
    assert (shown["banned"], shown["limited"], shown["decision"]["ports"]) == (False, True, "udp/40001")
    assert not office.pipeline.blocklist.guard.hosts


def test_who_guesses_from_many_ports_has_the_whole_address_limited() -> None:
    """Naming ports that he changes at will would stop nobody."""
    office = Office()
    office.phones()
    office.guess(60, *range(40_001, 40_011))
    assert office.types == ["limit"]
    assert office.decisions[-1].ports == ()


def test_who_guesses_where_a_phone_logs_in_has_the_whole_address_limited() -> None:
    """A port with good traffic is not dropped."""
    office = Office()
    office.phones()
    office.guess(60, PHONES[0])
    assert office.types == ["limit"]
    assert office.decisions[0].ports == ()


@pytest.mark.parametrize("ports", [(LAPTOP,), tuple(range(40_001, 40_011))])
def test_without_credit_the_source_is_banned(ports: tuple[int, ...]) -> None:
    """Nobody good is there."""
    office = Office()
    office.guess(60, *ports)
    assert office.types == ["ban"]


def test_credit_of_one_stolen_account_is_used_up_in_minutes() -> None:
    """Who goes on guessing through the limit is banned soon, though he logs in again and again."""
    office = Office()
    office.phones(5)  # all the credit there is
    begun = office.time
    while "ban" not in office.types and office.time < begun + 3_600:
        office.guess(20, *range(40_001, 40_011), pause=0.5)
        office.login(PHONES[0], "stolen")
    assert office.types == ["limit", "ban"]
    assert office.time - begun < 10 * 60


def test_forged_guesses_in_the_name_of_a_phone_change_nothing() -> None:
    """Only what proves its address counts for the port of the culprit."""
    office = Office()
    office.phones()
    for number in range(100):
        forged = request(
            call_id=f"x{number}", branch=f"z9hG4bKx{number}", user=f"{number}", agent="friendly-scanner"
        )
        office._feed(PHONES[3], forged, to_server=True)
        office.time += 0.05
    assert office.decisions == []
    office.guess(60, LAPTOP)
    assert {str(port) for decision in office.decisions for port in decision.ports} == {"udp/40001"}
