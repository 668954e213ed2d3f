"""Taken over accounts: found when a success follows guessing, never at home, with their calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from shield.cli.settings import pipeline_factory
from shield.config import Settings
from shield.detect import following
from shield.detect.alert import Proof
from shield.detect.compromise import Compromise, How
from shield.detect.compromises import PAIRING_TIME, SOON, Compromises
from shield.detect.following import FOLLOW_TIME, UPDATE_TIME
from shield.detect.homes import LEARNING
from shield.detect.rulefiles import load_rules
from shield.detect.sources import Sources
from shield.net import Network
from shield.pipeline import Pipeline
from shield.replay import replay_file
from shield.sip.dialogs import Dialogs
from tests.builders import datagram
from tests.rules.test_slow import pipeline
from tests.town import LIVES, Town
from tests.traffic import SERVERS, START, Talk, Traffic

CAPTURES = Path(__file__).resolve().parents[1] / "captures"
SERVER = SERVERS[4]
HOME, THIEF, OTHER = bytes([198, 51, 100, 7]), bytes([203, 0, 113, 66]), bytes([203, 0, 113, 99])
BOTS = [bytes([198, 18, number, 9]) for number in range(1, 13)]


class Scene(Traffic):
    """Frames of the actors of one test; ``now`` moves with each step."""

    def __init__(self) -> None:
        super().__init__(0)
        self.frames.clear()
        self.now = START

    def login(self, source: bytes, *, ok: bool, wait: float = 5.0, user: str = "100") -> None:
        """One Call-ID: REGISTER, challenge, credentials, 200 or 403."""
        self.now += wait
        Talk(self, source, user, "Desk 1").login(self.now, accepted=ok)

    def guesses(self, source: bytes, count: int, wait: float = 5.0, user: str = "100") -> None:
        for _ in range(count):
            self.login(source, ok=False, wait=wait, user=user)

    def dial(self, source: bytes, wait: float = 5.0) -> None:
        """A call that is answered after two seconds and lasts for seven."""
        self.now += wait
        Talk(self, source, "100", "Desk 1").call(self.now)
        self.now += 10.0

    def wait(self, seconds: float) -> None:
        """Time passes, with somebody else's traffic."""
        self.now += seconds
        Talk(self, bytes([192, 0, 2, 200]), "9", "x").ask(self.now, "OPTIONS", "200 OK")

    def found(self, *rules: str) -> list[Compromise]:
        """What is told, in order; only these rules run."""
        chosen = [rule for rule in load_rules() if rule.name in rules]
        made = pipeline_factory(Settings(), chosen)()
        told = made.feed(sorted(self.frames, key=lambda one: one.time)) + made.finish()
        return [one for one in told if isinstance(one, Compromise)]


def compromised(node: Pipeline, traffic: Traffic) -> list[Compromise]:
    """What a node with all rules tells of accounts."""
    frames = sorted(traffic.frames, key=lambda one: one.time)
    return [one for one in node.feed(frames) + node.finish() if isinstance(one, Compromise)]


def test_a_guesser_who_hits_is_reported_with_all_that_is_known() -> None:
    """Account, source, guesses, times, program, proof; once, however often he logs in again."""
    scene = Scene()
    scene.guesses(THIEF, 6)
    for _ in range(3):
        scene.login(THIEF, ok=True)
    (found,) = scene.found()
    assert (found.account, found.realm, found.address) == ("100", "example.com", "203.0.113.66")
    assert (found.how, found.kind, found.guesses, found.guessers) == (How.GUESSED, "found", 6, 1)
    assert (found.proof, found.user_agent, found.method) == (Proof.PROVEN, "Desk 1", "REGISTER")
    assert found.first_guess < found.last_guess < found.succeeded
    assert found.sources[0].guesses == 6
    assert "6 guesses from 1 source" in found.reason


@pytest.mark.parametrize("count", [1, 3, 4])
def test_mistyping_is_no_guessing(count: int) -> None:
    """Up to four wrong passwords, then the right one."""
    scene = Scene()
    scene.guesses(THIEF, count)
    scene.login(THIEF, ok=True)
    assert scene.found() == []


def test_wrong_passwords_of_long_ago_are_no_guessing() -> None:
    """A phone that is woken each half hour with its old password, until somebody mends it."""
    scene = Scene()
    scene.guesses(THIEF, 12, wait=1_800.0)
    scene.login(THIEF, ok=True)
    assert scene.found() == []


def test_a_slow_guesser_is_found() -> None:
    """One guess each ten minutes, then a hit."""
    scene = Scene()
    scene.guesses(THIEF, 11, wait=600.0)
    scene.login(THIEF, ok=True)
    assert [found.how for found in scene.found()] == [How.GUESSED]


def test_at_home_it_takes_four_times_as_much() -> None:
    """A known place with a wrong password is its owner who changed it, up to 19 tries."""
    for count, reported in ((12, 0), (21, 1)):
        scene = Scene()
        scene.login(HOME, ok=True)
        scene.guesses(HOME, count)
        scene.login(HOME, ok=True)
        assert len(scene.found()) == reported


def crowd(scene: Scene) -> None:
    """Twelve sources guess twice each."""
    for _ in range(2):
        for bot in BOTS:
            scene.login(bot, ok=False)


def test_one_of_a_crowd_who_hits_is_reported() -> None:
    """Each guessed twice, below every limit of one source."""
    scene = Scene()
    crowd(scene)
    scene.login(BOTS[3], ok=True)
    (found,) = scene.found()
    assert (found.how, found.guessers, found.guesses) == (How.CROWD, 12, 24)
    assert found.sources[0].source == BOTS[3]


def test_the_owner_comes_home_during_an_attack() -> None:
    """He registers each hour before, during and after it: nothing is reported."""
    scene = Scene()
    scene.login(HOME, ok=True)
    scene.wait(LEARNING)
    for _ in range(4):
        crowd(scene)
        scene.login(HOME, ok=True, wait=1_500.0)
    assert scene.found() == []


def test_a_strange_place_soon_after_a_crowd_is_reported() -> None:
    """Whoever cracked it may use it from elsewhere; a neighbour of the owner's address may be he."""
    for place, wait, reported in (
        (OTHER, 60.0, 1),
        (OTHER, SOON + 60.0, 0),
        (HOME[:3] + b"\x63", 60.0, 0),
    ):
        scene = Scene()
        scene.login(HOME, ok=True)
        scene.wait(LEARNING)
        crowd(scene)
        scene.login(place, ok=True, wait=wait)
        assert [found.how for found in scene.found()] == [How.ELSEWHERE] * reported


def test_a_node_that_just_started_knows_no_strange_place() -> None:
    """In its first hour the owner may come home for the first time that it sees."""
    scene = Scene()
    crowd(scene)
    scene.login(OTHER, ok=True, wait=60.0)
    assert scene.found() == []


def test_a_spray_that_hits_is_reported() -> None:
    """One try at each of many accounts: the one that is accepted has no guess of its own."""
    scene = Scene()
    for number in range(8):
        scene.login(THIEF, ok=False, user=f"20{number}")
    scene.login(THIEF, ok=True, user="300")
    assert scene.found() == []
    scene.frames.sort(key=lambda one: one.time)
    made = pipeline_factory(Settings(), [r for r in load_rules() if r.name == "password-spray"])()
    made.allowlist.add("203.0.113.66", 0.0)  # he is not skipped
    told = [one for one in made.feed(scene.frames) if isinstance(one, Compromise)]
    assert [(one.account, one.how) for one in told] == [("300", How.GUESSED)]


def test_calls_are_told_as_they_happen() -> None:
    """The calls of the thief and of the account, from wherever, with state and length."""
    scene = Scene()
    scene.guesses(THIEF, 6)
    scene.login(THIEF, ok=True)
    for source in (THIEF, OTHER, THIEF):
        scene.dial(source)
    scene.wait(30.0)
    told = scene.found()
    assert [one.kind for one in told][:2] == ["found", "call"]
    assert len({one.id for one in told}) == 1
    calls = told[-1].calls
    assert [(call.state, call.duration) for call in calls] == [("ended", 7.0)] * 3
    assert [call.source for call in calls] == ["203.0.113.66", "203.0.113.99", "203.0.113.66"]
    assert told[-1].as_json()["calls"][0]["called"] == "100"


def test_a_guessed_invite_is_the_first_call() -> None:
    """Where no REGISTER is needed the call itself is the success."""
    scene = Scene()
    scene.guesses(THIEF, 6)
    scene.dial(THIEF)
    told = scene.found()
    assert (told[0].method, len(told[0].calls)) == ("INVITE", 1)
    assert told[-1].calls[0].state == "ended"


def test_updates_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A dialler cannot flood: one update each ten seconds, so many calls listed, the rest counted."""
    monkeypatch.setattr(following, "MAX_CALLS", 5)
    scene = Scene()
    scene.guesses(THIEF, 6)
    scene.login(THIEF, ok=True)
    scene.wait(20.0)
    for _ in range(40):
        scene.dial(THIEF, wait=-9.0)
    scene.wait(60.0)
    told = scene.found()
    assert len(told) <= 2 + 40 / UPDATE_TIME + 3
    assert (len(told[-1].calls), told[-1].calls_total) == (5, 40)


def test_following_ends_after_a_day() -> None:
    """Calls of the day after are nobody's business."""
    scene = Scene()
    scene.guesses(THIEF, 6)
    scene.login(THIEF, ok=True)
    scene.wait(FOLLOW_TIME + 60.0)
    scene.dial(THIEF)
    assert [one.kind for one in scene.found()] == ["found"]


def test_colleagues_behind_the_same_address_are_left_out() -> None:
    """Calls of another account that is at home there are not told."""
    scene = Scene()
    scene.login(THIEF, ok=True, user="200")
    scene.guesses(THIEF, 21)
    scene.login(THIEF, ok=True)
    scene.now += 5
    Talk(scene, THIEF, "200", "Desk 2").call(scene.now)
    assert [one.kind for one in scene.found()] == ["found"]


@pytest.mark.parametrize("rules", [(), ("scanner-user-agent", "sipvicious")])
def test_a_real_tool_that_hits_is_found_even_when_its_requests_are_skipped(
    rules: tuple[str, ...],
) -> None:
    """svcrack finds 102's password; with its rules it is banned at its second request, on paper."""
    chosen = [rule for rule in load_rules() if rule.name in rules]
    report = replay_file(str(CAPTURES / "svcrack038_success.pcap"), pipeline_factory(Settings(), chosen))
    (found,) = report.compromised.values()
    assert (found.account, found.realm, found.how) == ("102", "lab.example", How.GUESSED)
    assert found.guesses >= 30
    assert (found.incomplete, found.user_agent) == (bool(rules), "friendly-scanner")


def test_a_banned_source_that_only_mistypes_is_not_reported() -> None:
    """Responses alone are judged by the same limits."""
    for count, reported in ((3, 0), (6, 1)):
        scene = Scene()
        scene.guesses(THIEF, count)
        scene.login(THIEF, ok=True)
        made = pipeline()
        made.ban(Network.host(THIEF), START, START, duration=86_400.0)
        assert [one.incomplete for one in compromised(made, scene)] == [True] * reported


@pytest.mark.parametrize("life", sorted(LIVES))
def test_no_account_of_a_good_user_is_reported(life: str) -> None:
    """Whatever they do with their passwords, and wherever they go."""
    town = Town(miss=0.02, repeat=0.1)
    for seed in range(12):
        town.move_in(life, seed)
    assert compromised(pipeline(), town) == []


@pytest.mark.parametrize(
    ("start", "method", "dull"),
    [
        ("SIP/2.0 200 OK", "OPTIONS", True),
        ("SIP/2.0 404 Not Found", "REGISTER", True),
        ("SIP/2.0 401 Unauthorized", "REGISTER", False),
        ("SIP/2.0 403 Forbidden", "REGISTER", False),
        ("SIP/2.0 200 OK", "REGISTER", False),
        ("SIP/2.0 486 Busy Here", "INVITE", False),
        ("SIP/2.0 200 OK", "BYE", False),
        ("OPTIONS sip:a@b SIP/2.0", "OPTIONS", False),
    ],
)
def test_an_answer_that_says_nothing_is_told_at_a_glance(start: str, method: str, dull: bool) -> None:
    """What could be a guess, a success, or a part of a call is read; so are requests."""
    payload = f"{start}\r\nCall-ID: 1\r\nCSeq: 7 {method}\r\n\r\n".encode()
    made = Compromises(Dialogs())
    assert made.dull(datagram(payload), Sources(10)) is dull
    assert not made.dull(datagram(payload.replace(b"CSeq", b"cseq")), Sources(10))


def test_an_answer_to_a_request_that_was_read_is_read() -> None:
    """The last request before a ban has its answer still to come."""
    payload = b"SIP/2.0 200 OK\r\nCSeq: 7 OPTIONS\r\n\r\n"
    made, sources = Compromises(Dialogs()), Sources(10)
    for later, dull in ((PAIRING_TIME, False), (PAIRING_TIME + 1.0, True)):
        sent = datagram(payload, START + later)
        sources.touch(sent.destination, START)
        assert made.dull(sent, sources) is dull


def test_dull_answers_are_counted_and_no_more() -> None:
    """A banned scanner goes on; the answers to him count as responses without a request."""
    traffic = Scene()
    for number in range(40):
        Talk(traffic, THIEF, str(number), "friendly-scanner").ask(START + number, "OPTIONS", "200 OK")
    node = pipeline_factory(Settings(), load_rules())()
    node.feed(traffic.frames)
    assert THIEF in node.blocklist.guard.hosts
    assert node.stats.responses == 40
    assert node.tracker.stats.unmatched_responses == node.decoder.stats.skipped > 30
