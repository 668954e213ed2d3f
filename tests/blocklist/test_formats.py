"""Import and export: every format comes back, and every mistake is named by its line."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.blocklist import formats, readers
from shield.blocklist.decision import LIMIT, Decision
from shield.blocklist.formats import LIMIT_FORMATS, Format, ImportEntry, detect, dump, parse
from shield.detect.alert import Proof
from shield.errors import InputError
from shield.net import Network, Port
from tests.requires import need

NOW = 1000.0
WALL = 1_800_000_000.0
VALUES = ("192.0.2.1", "198.51.100.0/24", "2001:db8::5", "2001:db8:1::/48")


def ban(
    value: str, left: float = 600.0, *, proof: Proof = Proof.PROVEN, reason: str = 'why, "x"'
) -> Decision:
    return Decision(
        network=Network.parse(value),
        scenario="sip-scan",
        origin="node-a",
        proof=proof,
        time=WALL,
        until=NOW + left,
        duration=3600.0,
        id=f"a-{value}",
        reason=reason,
    )


def entry(
    value: str, duration: float | None = None, reason: str = "", scenario: str = ""
) -> ImportEntry:
    return ImportEntry(Network.parse(value), duration, reason, scenario)


def text(*lines: str) -> list[str]:
    return [line + "\n" for line in lines]


@pytest.mark.parametrize("form", list(Format))
@pytest.mark.parametrize("told", [True, False])
def test_what_is_dumped_is_read_back(form: Format, told: bool) -> None:
    """In every format, told or found out: the same networks, with what the format can say of them."""
    dumped = "".join(dump([ban(value) for value in VALUES], form, NOW)).splitlines(keepends=True)
    result = parse(dumped, "list", form if told else None)
    assert result.problems == []
    assert {str(e.network) for e in result.entries} == set(VALUES)
    wanted = {
        Format.PLAIN: (None, "", ""),
        Format.NFT: (600.0, "", ""),
        Format.IPSET: (600.0, "", ""),
    }.get(form, (600.0, 'why, "x"', "sip-scan"))
    assert {(e.duration, e.reason, e.scenario) for e in result.entries} == {wanted}


@pytest.mark.parametrize("form", list(Format))
def test_an_empty_list_is_read_back(form: Format) -> None:
    """Without a problem; what has ended is not dumped."""
    dumped = list(dump([ban("192.0.2.1", left=0.0)], form, NOW))
    assert parse("".join(dumped).splitlines(keepends=True), "list", form) == formats.ImportResult()


def test_a_json_dump_is_one_document_with_all_fields() -> None:
    """Any JSON reader takes it."""
    dumped = json.loads("".join(dump([ban("192.0.2.1"), ban("192.0.2.2")], "json", NOW)))
    assert dumped == [ban("192.0.2.1").as_json(NOW), ban("192.0.2.2").as_json(NOW)]


def test_a_reason_with_line_ends_stays_one_csv_line() -> None:
    """Attackers choose parts of reasons."""
    lines = list(dump([ban("192.0.2.1", reason="one\r\ntwo")], "csv", NOW))
    assert len(lines) == 2
    assert parse(lines, "list").entries[0].reason == "one two"


@pytest.mark.parametrize("form", ["plain", "nft", "ipset"])
def test_a_network_with_both_kinds_is_dumped_once_with_the_later_end(form: str) -> None:
    """A set holds a value once."""
    both = [ban("192.0.2.1", 60), ban("192.0.2.1", 300.2, proof=Proof.UNPROVEN)]
    found = parse(dump(both, form, NOW), "list", form).entries
    assert found == [entry("192.0.2.1", None if form == "plain" else 301.0)]


def test_nft_networks_do_not_overlap() -> None:
    """nft refuses overlapping intervals; what is left out is named."""
    dumped = "".join(dump([ban("192.0.2.0/25"), ban("192.0.2.0/24"), ban("192.0.2.9")], "nft", NOW))
    assert "# 192.0.2.0/25 is inside 192.0.2.0/24" in dumped
    found = {str(e.network) for e in parse(dumped.splitlines(), "list").entries}
    assert found == {"192.0.2.0/24", "192.0.2.9"}


def test_timeouts_are_never_zero_nor_too_long() -> None:
    """Zero would mean for ever; ipset takes at most 2147483 seconds."""
    dumped = "".join(dump([ban("192.0.2.1", 0.001), ban("192.0.2.2", 9e6)], "ipset", NOW))
    assert "192.0.2.1 timeout 1 " in dumped
    assert "192.0.2.2 timeout 2147483 " in dumped


def test_unknown_formats_are_refused() -> None:
    """By dump and by parse, with the names that exist."""
    with pytest.raises(InputError, match="json, csv, plain, nft, ipset"):
        dump([], "xml", NOW)
    with pytest.raises(InputError, match="unknown format 'xml'"):
        parse([], "list", "xml")


@pytest.mark.parametrize(
    ("lines", "form"),
    [
        (["# heading", "", "192.0.2.1"], Format.PLAIN),
        (["; x", "192.0.2.0/24 ; SBL1, other"], Format.PLAIN),
        (["[2001:db8::1]"], Format.PLAIN),
        (["192.0.2.1 # [1], {2}"], Format.PLAIN),
        ([], Format.PLAIN),
        (["["], Format.JSON),
        (['[{"value": 1}]'], Format.JSON),
        (["[]"], Format.JSON),
        (['{"value": "192.0.2.1"}'], Format.JSON),
        (["192.0.2.1,1h,why"], Format.CSV),
        (["id,source,ip,reason"], Format.CSV),
        (["value"], Format.CSV),
        (["table inet x {"], Format.NFT),
        (["add element inet t s { 192.0.2.1 }"], Format.NFT),
        (["elements = { 192.0.2.1,", "192.0.2.2 }"], Format.NFT),
        (["create x hash:ip family inet"], Format.IPSET),
        (["add x 192.0.2.1 timeout 5"], Format.IPSET),
    ],
)
def test_the_format_is_told_from_the_first_lines(lines: list[str], form: Format) -> None:
    """Whatever the file is called."""
    assert detect(lines) is form


def test_plain_lines_take_comments_durations_and_ranges() -> None:
    """The comment behind a value is its reason."""
    result = parse(
        text(
            "# heading",
            "192.0.2.1",
            "  198.51.100.0/24 ; SBL1",
            "192.0.2.2 1h30m # scanner",
            "203.0.113.4-203.0.113.9",
            "[2001:db8::1]",
            "::ffff:192.0.2.3",
        ),
        "list",
    )
    assert result.problems == []
    assert result.entries == [
        entry("192.0.2.1"),
        entry("198.51.100.0/24", reason="SBL1"),
        entry("192.0.2.2", 5400.0, "scanner"),
        entry("203.0.113.4/30"),
        entry("203.0.113.8/31"),
        entry("2001:db8::1"),
        entry("192.0.2.3"),
    ]


@pytest.mark.parametrize("form", list(Format))
def test_a_mistake_costs_one_entry_and_names_its_line(form: Format) -> None:
    """Entries before and behind it are read."""
    wrong = {
        Format.JSON: ['{"value": "192.0.2.1"}', '{"value": "192.0.2.1000"}', '{"value": "192.0.2.2"}'],
        Format.CSV: ["192.0.2.1,1h", "192.0.2.1000,1h", "192.0.2.2,1h"],
        Format.PLAIN: ["192.0.2.1", "192.0.2.1000", "192.0.2.2"],
        Format.NFT: ["elements = { 192.0.2.1,", "192.0.2.1000,", "192.0.2.2 }"],
        Format.IPSET: ["add x 192.0.2.1", "add x 192.0.2.1000", "add x 192.0.2.2"],
    }[form]
    result = parse(text(*wrong), "my.list", form)
    assert [str(e.network) for e in result.entries] == ["192.0.2.1", "192.0.2.2"]
    (problem,) = result.problems
    assert problem.startswith("my.list:2: not an address or network")


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("192.0.2.1/24", "host bits"),
        ("192.0.2.1 soon", "not a duration"),
        ("192.0.2.1 99999d", "too long"),
        ("192.0.2.1 0", "has ended"),
        ("192.0.2.9-192.0.2.1", "not a range"),
        ("192.0.2.9-2001:db8::1", "not a range"),
        ("x" * 500, "not an address"),
        ("192.0.2.1 \t2027-01-15 09:00:00 + 600 = 2027-99-15 09:10:00", "not a time"),
    ],
)
def test_problems_of_plain_lines_say_why(line: str, why: str) -> None:
    """One line, short enough to read."""
    result = parse([line], "list", "plain", wall=WALL)
    assert result.entries == []
    assert why in result.problems[0]
    assert len(result.problems[0]) < 300


def test_fail2ban_bans_with_time() -> None:
    """With the time, what is left; without it, the ban time; an endless ban has no duration."""
    local = "%Y-%m-%d %H:%M:%S"
    start, end = (time.strftime(local, time.localtime(WALL + shift)) for shift in (-100, 500))
    gone = time.strftime(local, time.localtime(WALL - 5))
    lines = text(
        f"192.0.2.1 \t{start} + 600 = {end}",
        f"192.0.2.2 \t{start} + -1 = 9999-12-31 23:59:59",
        f"192.0.2.3 \t{start} + 95 = {gone}",
    )
    result = parse(lines, "list", wall=WALL)
    assert result.entries == [entry("192.0.2.1", 500.0), entry("192.0.2.2")]
    assert result.problems == ["list:3: 192.0.2.3 has ended"]
    assert [e.duration for e in parse(lines, "list").entries] == [600.0, None, 95.0]


def test_crowdsec_csv_by_its_headings() -> None:
    """Both of its tables; other types and scopes are named."""
    listed = parse(
        text(
            "id,source,ip,reason,action,country,as,events_count,expiration,simulated,alert_id",
            '7,cscli,Ip:192.0.2.1,"manual, by hand",ban,,,1,3h59m49.764s,false,3',
            "8,cscli,Range:198.51.100.0/24,x,captcha,,,1,1h,false,3",
            "9,cscli,192.0.2.4,x,ban,,,1,-5m,false,3",
        ),
        "list",
    )
    assert listed.entries == [entry("192.0.2.1", 14389.764, "manual, by hand")]
    assert [p.split(": ", 1)[1] for p in listed.problems] == [
        "Range:198.51.100.0/24: type 'captcha' is neither a ban nor a limit",
        "192.0.2.4 has ended",
    ]
    imported = parse(
        text("duration,scope,value,scenario", "24h,ip,192.0.2.1,ssh", "1h,country,FR,", "1h,range,,"),
        "list",
    )
    assert imported.entries == [entry("192.0.2.1", 86400.0, "", "ssh")]
    assert "scope 'country'" in imported.problems[0]
    assert "no address" in imported.problems[1]


def test_csv_without_heading_and_with_an_open_quote() -> None:
    """Columns are value, duration, reason; an open quote costs one line."""
    result = parse(text("192.0.2.1,1h,why", "", '192.0.2.2,"1h', "# comment", "192.0.2.3"), "list")
    assert result.entries == [entry("192.0.2.1", 3600.0, "why"), entry("192.0.2.3")]
    assert result.problem_count == 1
    assert result.problems[0].startswith("list:3: not CSV")


def test_crowdsec_json_alerts_with_decisions() -> None:
    """A pretty printed document of alerts, each with its decisions."""
    document = [
        {
            "id": 1,
            "decisions": [
                {
                    "value": "192.0.2.1",
                    "duration": "1h0m1s",
                    "scenario": "x",
                    "scope": "Ip",
                    "type": "ban",
                }
            ],
        },
        {"id": 2, "decisions": [{"value": "nonsense", "type": "ban"}]},
        {"id": 3, "decisions": None},
        None,
    ]
    for indent in (None, 2):
        result = parse(json.dumps(document, indent=indent).splitlines(), "list")
        assert result.entries == [entry("192.0.2.1", 3601.0, "", "x")]
        assert [p.split(":")[:2] for p in result.problems] == [["list", "entry 2"], ["list", "entry 3"]]
        assert parse([json.dumps({"decisions": document[:1]})], "list").entries == result.entries


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ('[\n{"value": "192.0.2.1",\n}]', "list:1: not JSON"),
        ('[{"value": "192.0.2.1", "duration": 1e300}]', "list:entry 1: duration too long"),
        ('[{"value": "192.0.2.1", "duration": NaN}]', "list:entry 1: duration too long"),
        ("[" * 100_000, "list:1: not JSON"),
        ("[[[[[[1]]]]]]", "list:entry 1: not an entry"),
        ("[7]", "list:entry 1: not an entry: '7'"),
        ('[{"value": "192.0.2.1", "remaining": ' + "9" * 5000 + "}]", "list:1: not JSON"),
    ],
)
def test_problems_of_json_documents(document: str, why: str) -> None:
    """Named, without an exception."""
    result = parse(document.splitlines(), "list", "json")
    assert result.entries == []
    assert result.problems[0].startswith(why)


def test_json_lines() -> None:
    """One object on each line, a broken one costs itself."""
    lines = text('{"value": "192.0.2.1"}', "{broken}", "", '{"ip": "192.0.2.2", "ttl": 60}')
    result = parse(lines, "list")
    assert result.entries == [entry("192.0.2.1"), entry("192.0.2.2", 60.0)]
    assert result.problems[0].startswith("list:2: not JSON")


NFT = """\
table inet filter {
  set banned {
    type ipv4_addr
    flags interval,timeout
    # a comment { with, braces }
    elements = { 192.0.2.1 timeout 1h expires 59m49s764ms, 198.51.100.0/24 timeout 2h
      comment "a, b }",
           203.0.113.4-203.0.113.5 }
  }
  set ports {
    type inet_service
    elements = { 5060, 5061 }
  }
  set allow4 {
    type ipv4_addr
    elements = { 192.0.2.99 }
  }
  set both {
    type ipv4_addr . inet_service
    elements = { 192.0.2.7 . 5060 }
  }
  chain input {
    type filter hook input priority filter; policy accept;
    tcp dport { 22, 80 } accept
  }
}
add element inet filter other { 2001:db8::1 timeout 60s }
"""


def test_nft_listings() -> None:
    """Elements of address sets, with what is left of their time; other sets are named and skipped."""
    result = parse(NFT.splitlines(keepends=True), "rules")
    assert result.entries == [
        entry("192.0.2.1", 3589.764),
        entry("198.51.100.0/24", 7200.0, "a, b }"),
        entry("203.0.113.4/31"),
        entry("2001:db8::1", 60.0),
    ]
    assert result.problems == [
        "rules:12: set ports: type inet_service is no list of addresses, skipped",
        "rules:16: set allow4: its name says that it allows, skipped",
        "rules:20: '192.0.2.7 . 5060' is more than an address",
    ]


def test_nft_elements_alone_and_unclosed() -> None:
    """Only the elements may be given; a missing brace is named, what was complete is kept."""
    result = parse(["elements={192.0.2.1,192.0.2.2 timeout 1d", ", 192.0.2.3"], "list")
    assert result.entries == [entry("192.0.2.1"), entry("192.0.2.2", 86400.0)]
    assert result.problems == ["list:2: elements = { is never closed"]


def test_ipset_save() -> None:
    """Timeouts and comments; 0 is for ever; sets of other things or that allow are skipped."""
    result = parse(
        text(
            "create bad hash:ip family inet hashsize 1024 maxelem 65536 timeout 0 comment",
            'add bad 192.0.2.1 timeout 599 comment "a b"',
            "add bad 192.0.2.2 timeout 0",
            "create nets hash:net family inet",
            "add nets 198.51.100.0/24",
            "add nets 198.51.100.7 nomatch",
            "create whitelist hash:ip",
            "add whitelist 192.0.2.3",
            "create pairs hash:ip,port",
            "add pairs 192.0.2.4,5060",
            "what is this",
            "COMMIT",
        ),
        "list",
    )
    assert result.entries == [
        entry("192.0.2.1", 599.0, "a b"),
        entry("192.0.2.2"),
        entry("198.51.100.0/24"),
    ]
    assert [p.split(":")[1] for p in result.problems] == ["6", "7", "9", "11"]


def test_limits_of_lines_entries_and_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is named or counted, and memory stays bounded."""
    monkeypatch.setattr(formats, "MAX_LINE", 50)
    monkeypatch.setattr(formats, "MAX_ENTRIES", 3)
    monkeypatch.setattr(formats, "MAX_PROBLEMS", 4)
    monkeypatch.setattr(readers, "MAX_DOCUMENT", 100)
    long = parse(["x" * 51, "192.0.2.1"], "list")
    assert long.problems == ["list:1: a line of more than 50 characters, left out"]
    assert long.entries == [entry("192.0.2.1")]
    many = parse((f"192.0.2.{n}" for n in range(100)), "list")
    assert len(many.entries) == 3
    assert many.problems == ["list:4: more than 3 entries, the rest is left out"]
    wrong = parse(["x"] * 10, "list")
    assert (len(wrong.problems), wrong.problem_count) == (4, 10)
    document = parse(["[", "{", *['"a": 1,'] * 50, "}]"], "list")
    assert document.problems[0].endswith("a JSON document of more than 100 characters")


@given(lines=st.lists(st.text(max_size=60)), form=st.sampled_from([None, *Format]))
def test_any_text_is_read_without_an_exception(lines: list[str], form: Format | None) -> None:
    """Whatever is given as a list."""
    result = parse(lines, "list", form, wall=WALL)
    assert result.problem_count == len(result.problems)


_PIECES = st.sampled_from(
    [
        "elements",
        "=",
        "{",
        "}",
        ",",
        "192.0.2.1",
        "timeout",
        "expires",
        "1h",
        "comment",
        '"a"',
        "add",
        "x",
        "element",
        "create",
        "hash:ip",
        "type",
        ".",
        "#",
        "[",
        "]",
        '"value"',
        ":",
        "-",
        "0",
        ";",
        "+",
        "\n",
    ]
)


@given(words=st.lists(_PIECES, max_size=40), form=st.sampled_from(list(Format)))
def test_any_order_of_true_words_is_read_without_an_exception(words: list[str], form: Format) -> None:
    """Closer to what the readers look for than any text."""
    for found in parse(" ".join(words).splitlines(), "list", form, wall=WALL).entries:
        assert str(found.network).startswith("192.0.2.1")


@pytest.mark.system
def test_nft_and_ipset_load_what_is_dumped(tmp_path: Path) -> None:
    """The real programs take the files, and what they print then is read back."""
    need("nft", "ipset", "ip")
    decisions = [ban(value) for value in (*VALUES, "198.51.100.0/25")]
    for form in ("nft", "ipset"):
        (tmp_path / form).write_text("".join(dump(decisions, form, NOW)))
    script = (
        f"nft -f {tmp_path}/nft && nft list ruleset > {tmp_path}/nft.out && "
        f"ipset restore -file {tmp_path}/ipset && ipset save > {tmp_path}/ipset.out"
    )
    subprocess.run(["ip", "netns", "add", "blfmt"], check=True)
    try:
        subprocess.run(["ip", "netns", "exec", "blfmt", "sh", "-c", script], check=True)
    finally:
        subprocess.run(["ip", "netns", "del", "blfmt"], check=True)
    for form, count in (("nft", 4), ("ipset", 5)):
        result = parse((tmp_path / f"{form}.out").read_text().splitlines(), form)
        assert result.problems == []
        assert len(result.entries) == count
        assert all(e.duration is not None and 500 < e.duration <= 600 for e in result.entries)


def test_only_what_can_say_limit_holds_limits() -> None:
    """The others could only ban; JSON and CSV bring a limit back with its ports."""
    ports = (Port.parse("udp/40001"), Port.parse("tcp/5071"))
    mixed = [ban("192.0.2.1"), ban("192.0.2.2")._replace(type=LIMIT, ports=ports)]
    for form in Format:
        lines = list(dump(mixed, form, 0.0))
        assert any("192.0.2.1" in line for line in lines)
        assert any("192.0.2.2" in line for line in lines) is (form in LIMIT_FORMATS)
        if form in LIMIT_FORMATS:
            found = {str(one.network): (one.type, one.ports) for one in parse(lines, "list").entries}
            assert found == {"192.0.2.1": ("ban", ""), "192.0.2.2": ("limit", "udp/40001 tcp/5071")}
