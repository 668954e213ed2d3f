"""``scripts/bench detection`` measures what it says, and shield reaches its goals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shield.net import Datagram, Transport, pack
from tests.bench import detection_page as page
from tests.bench.asterisk_log import asterisk_log
from tests.bench.corpus import BUNDLED, Ban, Capture, Result, captures, directory
from tests.bench.day import day
from tests.bench.detection import main, measure, sections
from tests.bench.detection_rows import goals, row, tally
from tests.bench.jail import fail2ban
from tests.bench.jail import missing as no_fail2ban
from tests.bench.pike import missing as no_pike
from tests.bench.pike import parse, pike
from tests.bench.replayed import Replayed
from tests.requires import need

CLIENT, SERVER = pack("203.0.113.7"), pack("192.0.2.10")
HEAD = (
    'Via: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bK1\r\nFrom: "x" <sip:x@example.com>;tag=1\r\n'
    "To: <sip:{user}@example.com>{tag}\r\nCall-ID: abc\r\nCSeq: 1 {method}\r\n"
)


def exchange(method: str, user: str, status: str) -> list[Datagram]:
    """A request, and its answer."""
    ask = (
        f"{method} sip:{user}@example.com SIP/2.0\r\n{HEAD.format(user=user, tag='', method=method)}\r\n"
    )
    answer = f"SIP/2.0 {status}\r\n{HEAD.format(user=user, tag=';tag=2', method=method)}\r\n"
    return [
        Datagram(1.7e9, CLIENT, 5062, SERVER, 5060, Transport.UDP, ask.encode()),
        Datagram(1.7e9 + 0.1, SERVER, 5060, CLIENT, 5062, Transport.UDP, answer.encode()),
    ]


def named(*names: str) -> list[Capture]:
    """Captures that come with the repository."""
    return [capture for capture in captures(BUNDLED) if capture.name in names]


@pytest.mark.parametrize(
    ("method", "status", "said"),
    [
        ("REGISTER", "404 Not Found", "No matching endpoint found"),
        ("OPTIONS", "404 Not Found", "No matching endpoint found"),
        ("INVITE", "404 Not Found", "to extension '900' rejected because extension not found"),
        ("REGISTER", "401 Unauthorized", ""),
        ("OPTIONS", "200 OK", ""),
    ],
)
def test_the_log_tells_failures_and_nothing_else(method: str, status: str, said: str) -> None:
    """An unknown user or number has a line with the client's address, a challenge none."""
    lines = list(asterisk_log(exchange(method, "900", status)))
    assert [said in line.text and "203.0.113.7:5062" in line.text for line in lines] == (
        [True] if said else []
    )


def test_the_log_tells_refused_passwords() -> None:
    """Each guess of a real tool has a line, and a challenge that comes first has none."""
    [capture] = named("svcrack038_success")
    lines = [line.text for line in asterisk_log(capture.datagrams)]
    assert len(lines) > 10
    assert all(line.endswith("Failed to authenticate") for line in lines)


def test_a_log_of_pike_is_read() -> None:
    """The first blocked request of each source counts, and what was no request is left out."""
    [capture] = named("svmap038_ipv6")
    [source] = capture.attackers
    log = ["@ready -", f"0(1) ALERT: @pass {source}", f"@block {source}", f"@block {source}", "@end ::1"]
    assert parse(capture, log).bans[source].messages == 2


def test_who_is_wronged_is_told_from_who_is_caught() -> None:
    """A ban of a good user counts as benign, in a capture of forged sources as forged."""
    [attack, forged] = named("dist_brute_12", "spoofed_carrier_sippts")
    some = min(attack.attackers)
    found = tally(attack, Result({some: Ban(3, 1.0), "198.51.100.1": Ban(9, 1.0)}))
    assert (found["banned"], found["messages"], found["benign_banned"], found["forged_banned"]) == (
        1,
        3,
        1,
        0,
    )
    found = tally(forged, Result({min(forged.others): Ban(9, 1.0)}))
    assert (found["benign_banned"], found["forged_banned"]) == (0, 1)


def test_a_missed_goal_is_told() -> None:
    """An attacker that is not banned, and a slow median, do not reach their goals."""
    [capture] = named("hydra_sip")
    [source] = capture.attackers
    missed = goals([row(capture, Replayed(), Replayed(), [], {})])
    assert [one["goal"] for one in missed if not one["met"]] == ["every attacker found"]
    late = Replayed({source: Ban(99, 1.0)}, scenarios=("hydra",))
    slow = goals([row(capture, late, Replayed(), ["hydra"], {})])
    assert [one["met"] for one in slow] == [True, False, True, True, True, True]


@pytest.mark.parametrize("place", sorted({BUNDLED, directory()}), ids=str)
def test_shield_reaches_its_goals(place: Path) -> None:
    """Everybody found, soon enough, nobody wronged; also when no rule knows the tool."""
    result = measure(captures(place), ["shield"], 1, 1)
    assert [one for one in result["goals"] if not one["met"]] == []


def test_nobody_is_banned_in_a_day_of_good_users() -> None:
    """A short day of all kinds of good users; scripts/bench has a long one."""
    found = day(20_000, 3)
    assert found["messages"] == found["read"] >= 20_000
    assert (found["bans"], found["limits"], found["errors"]) == ({}, {}, {})


def test_the_page_is_written_where_it_is_marked(tmp_path: Path) -> None:
    """Sections that were measured are put in place of the old ones, others stay."""
    result = measure(named("hydra_sip"), ["shield"], 1, 1)
    copy = tmp_path / "page.md"
    copy.write_text("a\n<!-- captures: begin -->\nold\n<!-- captures: end -->\nb\n")
    assert page.stale(result["rows"], copy)
    page.write(sections(result), copy)
    assert page.stale(result["rows"], copy) == []
    assert "old" not in copy.read_text()
    assert copy.read_text().endswith("<!-- captures: end -->\nb\n")


def test_the_page_compares_every_bundled_capture() -> None:
    """With what each of the three tools made of it, and nothing that was not measured."""
    text = page.PAGE.read_text()
    compared = text.partition("<!-- comparison: begin -->")[2].partition("<!-- comparison: end -->")[0]
    for capture in captures(BUNDLED):
        assert f"\n| {capture.name} | {capture.kind} |" in compared
    assert "n/a: needs" not in compared


def test_an_unknown_part_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The message lists those that exist."""
    with pytest.raises(SystemExit):
        main(["nonsense"])
    assert "fail2ban" in capsys.readouterr().err


def test_results_are_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Rows and goals, as the table has them."""
    with pytest.raises(SystemExit) as ended:
        main(["shield", "--json", "--captures", str(BUNDLED)])
    assert ended.value.code == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["rows"]) == len(captures(BUNDLED))


@pytest.mark.system
def test_a_real_fail2ban_bans_who_guesses() -> None:
    """Its tenth failure is the ban; who mistypes three times is left alone."""
    if no_fail2ban():
        need("fail2ban-server", root=False)
    results, jail = fail2ban(named("svcrack038_success", "benign_wrong_password_then_ok"))
    assert jail["max_retry"] == 10
    assert results["benign_wrong_password_then_ok"].bans == {}
    [ban] = results["svcrack038_success"].bans.values()
    assert ban.messages >= 20  # a challenge comes before each guess


@pytest.mark.system
def test_a_real_pike_blocks_who_is_fast() -> None:
    """A fast enumeration is blocked, one message is not, and TCP is told apart."""
    if no_pike():
        need("ip", "kamailio")
    files = named("linktype_any_svwar", "svmap038_ipv6", "nmap_tcp_methods")
    results = pike(files)
    [fast] = [capture for capture in files if capture.name == "linktype_any_svwar"]
    assert fast.caught(results[fast.name])
    assert results["svmap038_ipv6"].bans == {}
    assert results["nmap_tcp_methods"].missing == "TCP"
