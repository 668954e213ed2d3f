"""Facts of the pipeline: from a frame to what was decided, and what operators ask of it."""

from __future__ import annotations

import tomllib

import pytest

from shield.blocklist.allowlist import Allowlist, AllowlistSettings
from shield.blocklist.blocklist import Blocklist
from shield.blocklist.blocklist_settings import BlocklistSettings
from shield.blocklist.decision import Change, ChangeKind
from shield.blocklist.policy_settings import PolicySettings
from shield.capture.settings import CaptureSettings
from shield.capture.source import Frame
from shield.detect.alert import Proof
from shield.detect.rule import parse_rule
from shield.detect.settings import DetectSettings
from shield.errors import ConfigError, InputError
from shield.explain import explain
from shield.net import Network, pack
from shield.pipeline import ALERTS_PER_SOURCE, Finding, Pipeline, Verdict
from tests.builders import CLIENT, SERVER, challenge, credentials, request, response
from tests.capture.wire import ACK, PSH, SYN, ether, frame, ip4, tcp, udp

START = 1_800_000_000.0
SCANNER = "[match.field]\nuser-agent = { prefix = 'scanner' }"
THREE = "[match]\nmethod = 'OPTIONS'\n[count]\nmax_retry = 3"
MALFORMED = "[match]\nevent = 'malformed'\n[count]\nmax_retry = 3"
GUESSES = "[match]\nevent = 'refused'\n[count]\nmax_retry = 2"


def pipeline(
    *texts: str,
    allow: tuple[str, ...] = (),
    servers: tuple[str, ...] = (SERVER,),
    local: tuple[bytes, ...] = (),
    learn: bool = True,
) -> Pipeline:
    """A pipeline with rules named r0, r1, ..."""
    allowlist = Allowlist(AllowlistSettings(entries=allow))
    return Pipeline(
        [
            parse_rule(tomllib.loads('description = "d"\n' + text), f"r{number}", "r.toml")
            for number, text in enumerate(texts)
        ],
        capture=CaptureSettings(),
        detect=DetectSettings(servers=servers, learn_servers=learn),
        policy=PolicySettings(),
        blocklist=Blocklist(BlocklistSettings(), allowlist),
        allowlist=allowlist,
        origin="node1",
        local=local,
    )


def sent(payload: bytes, time: float = 0.0, source: str = CLIENT, destination: str = SERVER) -> Frame:
    """A message in an Ethernet frame, ``time`` seconds after START."""
    return frame(ether(ip4(udp(payload), 17, source, destination)), time=START + time)


def back(payload: bytes, time: float, client: str = CLIENT) -> Frame:
    """A message from server to client."""
    data = ether(ip4(udp(payload, sport=5060, dport=5062), 17, SERVER, client))
    return frame(data, time=START + time)


def options(time: float, number: int = 0, source: str = CLIENT, agent: str = "phone/1") -> Frame:
    payload = request("OPTIONS", call_id=f"c{number}", branch=f"z9hG4bK{number}", agent=agent)
    return sent(payload, time, source)


def refusal(number: int) -> list[Frame]:
    """One wrong password: request, challenge, credentials, 403."""
    call_id, branch = f"c{number}", f"z9hG4bK{number}"
    asked = request("REGISTER", call_id=call_id, branch=branch + "a")
    tried = request("REGISTER", credentials(f"n{number}"), cseq=2, call_id=call_id, branch=branch + "b")
    return [
        sent(asked, number),
        back(response(401, asked, challenge(f"n{number}")), number + 0.1),
        sent(tried, number + 0.2),
        back(response(403, tried), number + 0.3),
    ]


def verdicts(findings: list[Finding]) -> list[Verdict]:
    return [found for found in findings if isinstance(found, Verdict)]


def test_three_requests_become_a_ban() -> None:
    """Frames in; out comes the alert, its decision and the change of the blocklist."""
    made = pipeline(THREE)
    (found,) = verdicts(made.feed([options(i / 10, i) for i in range(3)], 77.0))
    assert found.alert.scenario == "r0"
    assert found.decision is not None
    assert (found.decision.value, found.decision.until) == (CLIENT, 77.0 + 300.0)
    assert [change.kind for change in found.changes] == [ChangeKind.ADDED]
    assert (found.why, found.messages) == (found.decision.reason, 3)
    assert made.stats.as_json() == {
        "frames": 3,
        "messages": 3,
        "requests": 3,
        "responses": 0,
        "alerts": 1,
        "bans": 1,
        "compromised": 0,
        "errors": {},
    }


def test_without_node_time_the_frames_are_the_clock() -> None:
    """A replay bans and ends bans at the time of the capture."""
    made = pipeline(THREE)
    (found,) = verdicts(made.feed([options(i / 10, i) for i in range(3)]))
    assert found.decision is not None
    assert found.decision.until == pytest.approx(START + 300.2)
    (ended,) = made.feed([options(301.0, 9, "192.0.2.77")])
    assert isinstance(ended, Change)
    assert ended.kind is ChangeKind.EXPIRED
    assert len(made.blocklist) == 0


def test_a_banned_source_is_skipped_before_anything_is_parsed() -> None:
    """Its further packets are counted by the guard and cost nothing more."""
    made = pipeline(THREE)
    made.feed([options(i / 10, i) for i in range(10)], 0.0)
    assert made.stats.frames == 10
    assert made.stats.requests == 3
    assert made.decoder.stats.skipped == 7
    assert explain(made, pack(CLIENT), 0.0)["skipped"] == 7


def test_damaged_messages_are_counted_and_judged() -> None:
    """What breaks RFC 3261 is counted by reason and is an event of its own."""
    made = pipeline(MALFORMED)
    odd = request("OPTIONS", cseq="x")
    frames = [sent(b"INVITE nonsense\r\n\r\n", 0.0), sent(odd, 0.1), sent(odd, 0.2)]
    (found,) = verdicts(made.feed(frames, 0.0))
    assert found.decision is not None
    assert made.stats.errors["bad_cseq"] == 2
    assert sum(made.stats.errors.values()) >= 3


def test_a_damaged_response_is_counted_and_its_client_not_judged() -> None:
    """The server's mistakes are not the client's."""
    made = pipeline("[match]\nevent = 'malformed'")
    asked = request("OPTIONS")
    damaged = response(200, asked).replace(b"CSeq: 1 OPTIONS\r\n", b"")
    assert made.feed([sent(asked), back(damaged, 0.1)], 0.0) == []
    assert made.stats.errors["no_cseq"] == 1
    assert (made.stats.requests, made.stats.responses) == (1, 1)


def test_refused_passwords_are_proven_by_their_nonce() -> None:
    """Challenge, credentials, refusal: the whole way through tracker, engine and policy."""
    made = pipeline(GUESSES)
    findings: list[Finding] = []
    for number in range(2):
        findings += made.feed(refusal(number), 0.0)
    (found,) = verdicts(findings)
    assert (found.alert.proof, found.alert.proofs) == (Proof.PROVEN, ("nonce",))
    assert found.decision is not None
    assert found.decision.duration == 3_600.0
    assert explain(made, pack(CLIENT), 0.0)["source"]["refused_passwords"] == 2


def test_two_rules_about_one_message_are_one_offence() -> None:
    """The first ban of a tool that two rules know is not escalated."""
    made = pipeline(GUESSES, GUESSES + "\n[decision]\nban_time = '2h'")
    findings: list[Finding] = []
    for number in range(2):
        findings += made.feed(refusal(number), 0.0)
    durations = [found.decision.duration for found in verdicts(findings) if found.decision is not None]
    assert durations == [3_600.0, 7_200.0]


# Waiting


def test_a_single_suspicious_packet_is_banned_when_time_has_passed() -> None:
    """Frames of others carry event time on; the held alert becomes a decision."""
    made = pipeline(SCANNER)
    (first,) = verdicts(made.feed([options(0.0, agent="scanner")], 1.0))
    assert first.decision is None
    assert made.feed([options(9.0, 1, "192.0.2.77")], 10.0) == []
    (second,) = verdicts(made.feed([options(10.5, 2, "192.0.2.77")], 11.5))
    assert second.decision is not None
    assert second.decision.until == 311.5
    assert second.alert == first.alert


@pytest.mark.parametrize("answered", [True, False])
def test_a_carrier_whose_call_rings_is_not_banned_for_forged_packets(answered: bool) -> None:
    """Scanner packets come in his name while his first call rings for half a minute."""
    made = pipeline(SCANNER)
    call = request("INVITE", call_id="call", branch="z9hG4bKcall")
    ack = request("ACK", call_id="call", branch="z9hG4bKack", to_tag="srv1")
    end = [back(response(200, call), 30.0), sent(ack, 30.1)] if answered else []
    others = [options(2.0 + i, 100 + i, "192.0.2.77") for i in range(28)]
    later = [options(31.0 + i, 200 + i, "192.0.2.77") for i in range(60)]
    forged = [options(1.0 + i / 10, i, agent="scanner") for i in range(4)]
    ringing = [sent(call, 0.0), back(response(180, call), 0.5), *forged, *others]
    assert [found.decision for found in verdicts(made.feed(ringing, 0.0))] == [None, None]
    (last,) = verdicts(made.feed([*end, *later], 0.0))
    assert (last.decision is None) is answered
    assert last.again


def test_time_passes_without_traffic() -> None:
    """A live node's tick releases what waits, and ends bans."""
    made = pipeline(SCANNER)
    made.feed([options(0.0, agent="scanner")], 1.0)
    assert made.tick(5.0) == []
    (found,) = verdicts(made.tick(12.0, START + 11.0))
    assert found.decision is not None
    assert made.tick(100.0) == []
    (ended,) = made.tick(312.1)
    assert isinstance(ended, Change)
    assert ended.kind is ChangeKind.EXPIRED


def test_the_end_of_a_capture_judges_what_waits() -> None:
    """A file may end before the wait does."""
    made = pipeline(SCANNER)
    made.feed([options(0.0, agent="scanner")])
    (found,) = verdicts(made.finish())
    assert found.decision is not None
    assert found.decision.until == pytest.approx(START + 300.0)
    assert made.finish(5.0) == []


def test_the_end_of_a_capture_gives_out_unfinished_messages() -> None:
    """A TCP message whose end was never seen is judged as far as it came."""
    made = pipeline("[match]\nmethod = 'OPTIONS'\n[require]\nproof = 'tcp'")
    whole = request("OPTIONS").replace(b"Content-Length: 0", b"Content-Length: 50")

    def segment(payload: bytes, seq: int, flags: int, time: float, *, reply: bool = False) -> Frame:
        ends = (SERVER, CLIENT) if reply else (CLIENT, SERVER)
        ports = (5060, 5062) if reply else (5062, 5060)
        body = tcp(payload, seq, 0, flags, *ports)
        return frame(ether(ip4(body, 6, *ends)), time=START + time)

    found = made.feed(
        [
            segment(b"", 100, SYN, 0.0),
            segment(b"", 500, SYN | ACK, 0.01, reply=True),
            frame(ether(ip4(tcp(b"", 101, 501, ACK), 6, CLIENT, SERVER)), time=START + 0.02),
            frame(ether(ip4(tcp(whole, 101, 501, ACK | PSH), 6, CLIENT, SERVER)), time=START + 0.03),
        ],
        0.0,
    )
    assert found == []
    (verdict,) = verdicts(made.finish(1.0))
    assert verdict.alert.proof is Proof.PROVEN
    assert made.stats.errors["body_too_short"] == 1


def test_new_rules_hold_at_once() -> None:
    """Reading rules again needs no restart."""
    made = pipeline()
    assert made.feed([options(0.0, agent="scanner")], 0.0) == []
    made.use_rules([parse_rule(tomllib.loads('description = "d"\n' + SCANNER), "new", "new.toml")])
    (found,) = verdicts(made.feed([options(1.0, 1, agent="scanner")], 1.0))
    assert found.alert.scenario == "new"


# Servers


def test_our_servers_are_not_judged() -> None:
    """Named in the configuration or addresses of this host."""
    made = pipeline(THREE, servers=("198.51.100.7",), local=(pack("198.51.100.8"),))
    for source in ("198.51.100.7", "198.51.100.8"):
        assert made.feed([options(i / 10, i, source) for i in range(5)], 0.0) == []
        assert explain(made, pack(source), 0.0)["server"] is True


@pytest.mark.parametrize("text", ["198.51.100.0/24", "pbx.example"])
def test_a_server_is_a_single_address(text: str) -> None:
    """A network of servers would be a hole; a name is not resolved here."""
    with pytest.raises(ConfigError, match=r"detect\.servers"):
        pipeline(servers=(text,))


# An operator's ban


def ban(made: Pipeline, text: str) -> list[Change]:
    return made.ban(Network.parse(text), 50.0, START, duration=60.0, reason="why not")


def test_an_operator_may_ban() -> None:
    """His word is proof; two bans have two identities."""
    made = pipeline()
    (first,) = ban(made, "192.0.2.9")
    (second,) = ban(made, "203.0.113.0/24")
    assert (first.kind, first.decision.proof) == (ChangeKind.ADDED, Proof.PROVEN)
    assert (first.decision.origin, first.decision.scenario) == ("cli", "manual")
    assert (first.decision.until, first.decision.reason) == (110.0, "why not")
    assert first.decision.id != second.decision.id
    assert made.blocklist.match(pack("203.0.113.77"), 50.0) == second.decision


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.0.0.0/0", "too large"),
        ("192.0.2.9", "is allowlisted"),
        (SERVER, "our own server 198.51.100.1"),
        ("198.51.100.0/24", "our own server 198.51.100.1"),
    ],
)
def test_what_must_not_be_banned(text: str, message: str) -> None:
    """Half the Internet, a friend, our own server: refused with the reason."""
    made = pipeline(allow=("192.0.2.9",))
    with pytest.raises(InputError, match=message):
        ban(made, text)
    assert len(made.blocklist) == 0


def test_a_learned_server_may_be_banned() -> None:
    """What shield only believes does not stand against an operator's word."""
    made = pipeline(servers=())
    asked = request("REGISTER")
    made.feed([sent(asked), back(response(200, asked), 0.1)], 0.0)
    assert made.servers.learned == {pack(SERVER)}
    assert ban(made, SERVER)


# What is told about an address


def test_explain_an_unknown_address() -> None:
    """Nothing is known, and that is said in the same shape."""
    assert explain(pipeline(), pack("192.0.2.50"), 0.0) == {
        "value": "192.0.2.50",
        "banned": False,
        "limited": False,
        "decision": None,
        "allowlisted": None,
        "server": False,
        "source": None,
        "skipped": 0,
        "alerts": [],
    }


def test_explain_a_banned_address() -> None:
    """The decision, the source's history and its alerts with their reasons."""
    made = pipeline(THREE)
    (found,) = verdicts(made.feed([options(i / 10, i) for i in range(3)], 10.0))
    told = explain(made, pack(CLIENT), 10.0)
    assert told["banned"] is True
    assert told["decision"]["remaining"] == 300.0
    assert told["source"] == {
        "first_seen": START,
        "last_seen": START + 0.2,
        "messages": 3,
        "scores": [{"scenario": "r0", "score": 3, "limit": 3, "measure": "matching messages in 10m"}],
        "trusted": False,
        "trust": 0.0,
        "refused_passwords": 0,
    }
    assert told["alerts"] == [{**found.alert.as_json(), "why": found.why}]
    assert told["alerts"][0]["evidence"][0]["message"].startswith("OPTIONS ")
    made.feed([options(50.0, 9)], 50.0)
    assert explain(made, pack(CLIENT), 50.0)["source"]["last_seen"] == START + 50.0


def test_a_verdict_that_waited_is_replaced_by_the_last_word() -> None:
    """show never says "waits" about an alert that a flood, trust or a ban has settled."""
    made = pipeline(SCANNER)
    (waiting,) = verdicts(made.feed([options(0.0, 1, agent="scanner")], 0.0))
    assert (waiting.waits, waiting.again) == (True, False)
    assert explain(made, pack(CLIENT), 0.0)["alerts"][0]["why"].startswith("waits 10 s")
    crowd = [options(1.0 + n / 100, n, f"192.0.2.{100 + n}", "scanner") for n in range(12)]
    found = verdicts(made.feed([*crowd, options(2.0, 99, "192.0.2.77")], 0.0))
    (last,) = [verdict for verdict in found if verdict.alert == waiting.alert]
    assert (last.decision, last.waits, last.again) == (None, False, True)
    (told,) = explain(made, pack(CLIENT), 2.0)["alerts"]
    assert told["why"] == "one of many new sources with the same look: a forged flood"


def test_a_ban_takes_the_place_of_the_wait() -> None:
    """One alert, one line: first that it waits, then that it banned."""
    made = pipeline(SCANNER)
    made.feed([options(0.0, 1, agent="scanner")], 0.0)
    made.tick(11.0, START + 11.0)
    (told,) = explain(made, pack(CLIENT), 11.0)["alerts"]
    assert "address not proven" in told["why"]


def test_explain_an_allowed_address() -> None:
    """Alerts are kept, but it is not banned, and the entry that spares it is named."""
    made = pipeline(THREE, allow=("192.0.2.0/24",))
    (found,) = verdicts(made.feed([options(i / 10, i) for i in range(3)], 0.0))
    assert (found.decision, found.changes) == (None, ())
    told = explain(made, pack(CLIENT), 0.0)
    assert (told["banned"], told["allowlisted"]["value"]) == (False, "192.0.2.0/24")
    assert told["alerts"][0]["why"] == "allowlisted"


def test_explain_shows_trust() -> None:
    """An accepted login is credit of one."""
    made = pipeline()
    asked = request("REGISTER", credentials("n1"))
    made.feed([sent(asked), back(response(200, asked), 0.1)], 0.0)
    source = explain(made, pack(CLIENT), 0.0)["source"]
    assert (source["trusted"], source["trust"]) == (True, 1.0)


def test_the_last_alerts_of_a_source_are_kept() -> None:
    """A source that alarms for hours keeps ALERTS_PER_SOURCE of them."""
    made = pipeline(SCANNER, allow=(CLIENT,))
    for number in range(ALERTS_PER_SOURCE + 4):
        made.feed([options(number * 61.0, number, agent="scanner")], 0.0)
    times = [told["time"] for told in explain(made, pack(CLIENT), 0.0)["alerts"]]
    assert len(times) == ALERTS_PER_SOURCE
    assert times[-1] == START + (ALERTS_PER_SOURCE + 3) * 61.0
