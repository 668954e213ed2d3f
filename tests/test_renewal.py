"""An unproven ban while the source goes on: renewed, proven, lifted or over, as the rules see it."""

from __future__ import annotations

from shield.blocklist.decision import EARNED, Change, ChangeKind
from shield.capture.source import Frame
from shield.detect.alert import Proof
from shield.net import Network
from shield.pipeline import Finding, Pipeline, Verdict
from tests.builders import CLIENT, challenge, credentials, request, response
from tests.test_pipeline import GUESSES, START, THREE, back, options, pipeline, refusal, sent

HOST = Network.parse(CLIENT)


def changes(findings: list[Finding]) -> list[Change]:
    found: list[Change] = []
    for finding in findings:
        found += finding.changes if isinstance(finding, Verdict) else (finding,)
    return found


def kinds(findings: list[Finding]) -> list[str]:
    return [change.kind.value for change in changes(findings)]


def scan(begin: float, seconds: int) -> list[Frame]:
    """One probe a second."""
    return [options(begin + n, int(begin) + n) for n in range(seconds)]


def banned(*texts: str) -> Pipeline:
    """A pipeline that has just banned the client for five minutes, until START + 302."""
    made = pipeline(*(texts or (THREE,)))
    assert kinds(made.feed(scan(0, 3))) == ["added"]
    return made


def until(made: Pipeline) -> float | None:
    found = made.blocklist.get(HOST, made.time)
    return None if found is None else found.until - START


def login(time: float) -> list[Frame]:
    """A REGISTER with the right password, and the answers of the server."""
    asked = request("REGISTER", call_id="good", branch="z9hG4bKgood1")
    again = request("REGISTER", credentials("n1"), cseq=2, call_id="good", branch="z9hG4bKgood2")
    return [
        sent(asked, time),
        back(response(401, asked, challenge("n1")), time + 0.1),
        sent(again, time + 0.2),
        back(response(200, again), time + 0.3),
    ]


def test_a_scan_that_goes_on_stays_banned() -> None:
    """Each renewal is one change, of five minutes from then; never longer at a time, never proven."""
    made = banned()
    found = changes(made.feed(scan(3, 1200)))
    assert {change.kind for change in found} == {ChangeKind.EXTENDED}
    assert 4 <= len(found) <= 6
    for change in found:
        assert change.decision.duration == 300.0
        assert (change.decision.proof, change.decision.repeats) == (Proof.UNPROVEN, 0)
    assert made.decoder.stats.skipped > 1200 * 0.7, "most packets are skipped all the same"


def test_a_scan_that_stops_is_free_after_five_minutes() -> None:
    """Packets that were only skipped renew nothing."""
    made = banned()
    made.feed(scan(3, 200))
    assert kinds(made.feed([options(310, 999, "192.0.2.77")])) == ["expired"]


def test_good_packets_of_a_victim_do_not_renew_the_ban_that_a_forger_caused() -> None:
    """He calls and registers on; nothing answers, as a kernel would drop it."""
    made = banned()
    traffic = [
        sent(request("REGISTER", call_id="mine", branch=f"z9hG4bKm{n}", cseq=n + 1), 3.0 + n)
        for n in range(298)
    ]
    assert kinds(made.feed(traffic)) == []
    assert until(made) == 302.0


def test_a_login_while_it_is_read_lifts_the_ban() -> None:
    """In mode observe the server answers; then unproven evidence counts for nothing any more."""
    made = banned()
    made.feed(scan(3, 200))
    found = changes(made.feed([*login(250), options(251, 9, "192.0.2.77")]))
    assert [(change.kind, change.reason) for change in found] == [(ChangeKind.REMOVED, EARNED)]
    assert kinds(made.feed(scan(260, 100))) == []
    assert until(made) is None


def test_one_forged_packet_does_not_hide_the_login_that_follows() -> None:
    """The ban was renewed a moment before; the source is read on until its old end."""
    made = banned()
    assert kinds(made.feed(scan(243, 2))) == ["extended"]
    assert kinds(made.feed([*login(250), options(251, 9, "192.0.2.77")])) == ["removed"]


def test_proof_that_is_found_makes_it_a_proven_ban() -> None:
    """Credentials for a nonce that went there only: the full time, and not read any more."""
    made = banned(THREE, GUESSES)
    frames = [frame._replace(time=frame.time + 250) for number in range(3) for frame in refusal(number)]
    (change,) = changes(made.feed(frames))
    assert (change.kind, change.decision.proof) == (ChangeKind.EXTENDED, Proof.PROVEN)
    assert change.decision.duration > 300
    before = made.stats.requests
    made.feed(scan(260, 30))
    assert made.stats.requests == before
