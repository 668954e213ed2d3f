"""Facts of rule documents: what they may say, and how each mistake is reported."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from shield.detect.rule import KINDS, Rule, parse_rule
from shield.errors import ConfigError
from shield.sip.event import NONCE, TCP, TO_TAG, Kind, SipEvent
from tests.builders import datagram, read_request, request


def read(text: str = "") -> Rule:
    """A rule of TOML text, description given."""
    return parse_rule(tomllib.loads('description = "d"\n' + text), "own", "own.toml")


def problems(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return caught.value.problems


def test_defaults_are_those_of_a_fingerprint() -> None:
    """A rule of one line counts single requests of any method for each client."""
    rule = read()
    assert (rule.name, rule.path, rule.description, rule.kind) == ("own", "own.toml", "d", "scan")
    assert (rule.severity, rule.confidence) == (2, 2)
    assert (rule.events, rule.methods, rule.statuses) == ((Kind.REQUEST,), frozenset(), frozenset())
    assert (rule.credentials, rule.trusted, rule.repeat) == (None, None, None)
    assert (rule.mismatch, rule.foreign, rule.rate) == (False, False, 0)
    assert (rule.group, rule.distinct, rule.max_retry) == (("client",), None, 1)
    assert (rule.find_time, rule.algorithm, rule.forgive) == (600.0, "window", True)
    assert (rule.proof, rule.ban_time, rule.network) == (0, 3600.0, None)
    assert rule.fingerprint


def test_every_key_is_read() -> None:
    """All tables and keys of a rule file, once."""
    rule = read(
        """
        name = "own"
        kind = "enum"
        severity = 4
        confidence = 3
        score = 5
        [match]
        event = ["answer", "abandoned"]
        method = ["INVITE", "FOO"]
        status = [404, "480-482"]
        credentials = false
        trusted = false
        repeat = true
        mismatch = true
        foreign = true
        rate = 30
        [match.field]
        user = { prefix = "1" }
        [match.header]
        Subject = { absent = true }
        [[mark]]
        field = "user-agent"
        contains = "x"
        weight = 5
        [count]
        group_by = ["client", "tail"]
        distinct = "called"
        max_retry = 7
        trusted_factor = 2
        find_time = "2m"
        tiers = { "1d" = 9, "1h" = 8 }
        forgive = false
        [exempt]
        trusted = true
        network = ["192.0.2.0/24", "2001:db8::1"]
        [exempt.field]
        user = { set = "echo" }
        [exempt.header]
        X-Probe = { prefix = "ours" }
        [require]
        proof = ["nonce", "totag", "tcp"]
        [decision]
        ban_time = "1d"
        network = [24, 64]
        """
    )
    assert (rule.kind, rule.severity, rule.confidence, rule.score) == ("enum", 4, 3, 5)
    assert rule.events == (Kind.ANSWER, Kind.ABANDONED)
    assert rule.methods == {b"INVITE", b"FOO"}
    assert rule.statuses == {404, 480, 481, 482}
    assert (rule.credentials, rule.trusted, rule.repeat) == (False, False, True)
    assert (rule.mismatch, rule.foreign, rule.rate) == (True, True, 30)
    assert [condition.name for condition in rule.conditions] == ["user", "header.Subject"]
    assert [(mark.condition.name, mark.weight) for mark in rule.marks] == [("user-agent", 5)]
    assert (rule.group, rule.distinct_name, rule.max_retry) == (("client", "tail"), "called", 7)
    assert (rule.trusted_factor, rule.find_time) == (2, 120.0)
    assert (rule.algorithm, rule.forgive) == ("window", False)
    assert rule.tiers == ((8, 3_600.0), (9, 86_400.0))
    assert (rule.keep, rule.exempt_trusted, len(rule.exempt_networks)) == (9, True, 2)
    assert [condition.name for condition in rule.exempt] == ["user", "header.X-Probe"]
    assert rule.proof == NONCE | TO_TAG | TCP
    assert (rule.ban_time, rule.network) == (86_400.0, (24, 64))
    assert not rule.fingerprint


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("[match]\nevent = ['answer']", False),
        ("[count]\nmax_retry = 2", False),
        ("[match]\nrate = 5", False),
    ],
)
def test_a_fingerprint_needs_one_request(text: str, expected: bool) -> None:
    """What needs an answer, several messages or a rate is behaviour."""
    assert read(text).fingerprint is expected


@pytest.mark.parametrize("kind", KINDS)
def test_every_class_of_behaviour_has_a_name(kind: str) -> None:
    """The classes that alerts, reports and peers speak of."""
    assert read(f"kind = '{kind}'").kind == kind


def test_marks_add_up() -> None:
    """The score is the sum of the weights of the marks that are seen, with their texts."""
    rule = read(
        """
        score = 3
        [[mark]]
        field = "user-agent"
        set = ["phone/1"]
        weight = 2
        [[mark]]
        field = "call-id"
        prefix = "c"
        [[mark]]
        field = "uri"
        contains = "nowhere"
        weight = 9
        """
    )
    payload = request()
    event = SipEvent(Kind.REQUEST, datagram(payload), read_request(payload))
    score, marks = rule.scores(event)
    assert score == 3
    assert [mark.text for mark in marks] == ["user-agent set ['phone/1']", "call-id prefix c"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name = 'other'", ".name: 'other' differs from the file name"),
        ("kind = 'virus'", ".kind: 'virus' is not one of scan, enum"),
        ("kind = []", ".kind: must not be empty"),
        ("kind = 5", ".kind: wrong type (int)"),
        ("severity = 5", ".severity: must be 1 to 4"),
        ("severity = true", ".severity: wrong type (bool)"),
        ("confidence = 0", ".confidence: must be 1 to 3"),
        ("score = 101", ".score: must be 1 to 100"),
        ("colour = 'red'", ".colour: unknown key"),
        ("match = 5", ".match: wrong type (int)"),
        ("[match]\nevents = ['request']", ".match.events: unknown key"),
        ("[match]\nevent = ['call']", ".match.event: 'call' is not one of request"),
        ("[match]\nevent = []", ".match.event: must not be empty"),
        ("[match]\nmethod = [1]", ".match.method: 1 is not a text"),
        ("[match]\nstatus = 404", ".match.status: wrong type (int)"),
        ("[match]\nstatus = ['4xx']", ".match.status: '4xx' is no status or range"),
        ("[match]\nstatus = ['100-99999999999']", ".match.status: '100-99999999999' is no status"),
        ("[match]\nstatus = [99]", ".match.status: 99 is no status or range"),
        ("[match]\ncredentials = 'no'", ".match.credentials: wrong type (str)"),
        ("[match]\ntrusted = 1", ".match.trusted: wrong type (int)"),
        ("[match]\nrepeat = 1", ".match.repeat: wrong type (int)"),
        ("[match]\nmismatch = 1", ".match.mismatch: wrong type (int)"),
        ("[match]\nforeign = 1", ".match.foreign: wrong type (int)"),
        ("[match]\nrate = -1", ".match.rate: must be 0 to 1000000"),
        ("[match.field]\nuser = 'x'", ".match.field.user: must be a table such as"),
        ("[match.field]\nshoe = { set = 'x' }", ".match.field.shoe: unknown field 'shoe'"),
        ("[match.header]\nTo = { regex = '(' }", ".match.header.To.regex: "),
        ("[[mark]]\nset = 'x'", ".mark[1]: unknown field ''"),
        ("[[mark]]\nfield = 'uri'\nset = 'x'\nweight = 0", ".mark[1].weight: must be 1 to 100"),
        ("[[mark]]\nfield = 'uri'", ".mark[1]: expected one of regex"),
        ("mark = [5]", ".mark[1]: "),
        ("[count]\nby = ['planet']", ".count.by: 'planet' is not one of client"),
        ("[count]\nby = []", ".count.by: must not be empty"),
        ("[count]\ndistinct = 'shoe'", ".count.distinct: unknown field 'shoe'"),
        ("[count]\nmax_retry = 0", ".count.max_retry: must be 1 to 10000"),
        ("[count]\ntrusted_factor = 0", ".count.trusted_factor: must be 1 to 100"),
        ("[count]\nfind_time = '3 moons'", ".count.find_time: "),
        ("[count]\nfind_time = 0", ".count.find_time: must be above 0"),
        ("[count]\nfind_time = true", ".count.find_time: wrong type (bool)"),
        ("[count]\nfind_time = nan", ".count.find_time: must be above 0"),
        ("[count]\nalgorithm = 'magic'", ".count.algorithm: 'magic' is not one of window, bucket"),
        ("[count]\nalgorithm = 'score'\ndistinct = 'user'", ".count.algorithm: score takes no distinct"),
        ("[count]\nalgorithm = 'bucket'\nby = 'user'", ".count.algorithm: bucket takes no distinct"),
        ("[count]\nhalf_life = '2d'", ".count.half_life: must be above 0"),
        ("[count]\nby = 'user'\ngroup_by = 'tail'", ".count.by: is group_by, give one of them"),
        ("[count]\ntiers = { '2d' = 5 }", ".count.tiers.2d: must be 2 to 64 things in at most a day"),
        ("[count]\ntiers = { '1h' = 65 }", ".count.tiers.1h: must be 2 to 64 things"),
        ("[count]\ntiers = { 'soon' = 5 }", ".count.tiers.soon: "),
        ("[count]\ntiers = { 1m = 2, 2m = 3, 3m = 4, 4m = 5, 5m = 6 }", ".count.tiers: at most 4"),
        ("[exempt]\ntrusted = 1", ".exempt.trusted: wrong type (int)"),
        ("[exempt]\nnetwork = 'home'", ".exempt.network: not an address or network"),
        ("[exempt.field]\nshoe = { set = 'x' }", ".exempt.field.shoe: unknown field 'shoe'"),
        ("[require]\nsources = 257\n[count]\nby = 'user'", ".require.sources: must be 1 to 256"),
        ("[require]\neach = 17\n[count]\nby = 'user'", ".require.each: must be 1 to 16"),
        ("[require]\nsources = 2", ".require: sources and each are for rules that do not count"),
        ("[decision]\nnetwork = [16, 64]", ".decision.network: must be two prefix lengths"),
        ("[count]\nforgive = 1", ".count.forgive: wrong type (int)"),
        ("[require]\nproof = ['dna']", ".require.proof: 'dna' is not one of nonce"),
        ("[decision]\nban_time = '40d'", ".decision.ban_time: must be above 0 and at most 2592000 s"),
        ("[decision]\nnetwork = [24]", ".decision.network: must be two prefix lengths"),
        ("[decision]\nnetwork = [24, 'x']", ".decision.network: must be two prefix lengths"),
        ("[decision]\nnetwork = [33, 64]", ".decision.network: must be two prefix lengths"),
        ("[decision]\nnetwork = '24'", ".decision.network: wrong type (str)"),
    ],
)
def test_every_mistake_is_named_with_file_and_key(text: str, problem: str) -> None:
    """One line for the mistake, beginning with the file and the full key."""
    found = problems(text)
    assert any(line.startswith("own.toml" + problem) for line in found), found


def test_all_mistakes_are_reported_at_once() -> None:
    """Nobody has to start shield once for each typing error."""
    found = problems("severity = 9\n[match]\nrat = 1\n[count]\nby = 'x'\n[decision]\nnetwork = [1]")
    assert len(found) == 4


def test_a_description_is_wanted() -> None:
    """It is what an operator reads in each alert."""
    data: dict[str, Any] = {}
    with pytest.raises(ConfigError, match=r"own\.toml\.description: missing"):
        parse_rule(data, "own", "own.toml")
