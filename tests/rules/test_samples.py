"""Every built-in rule against the captures that it ships with."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from shield.cli.samples import run_samples, samples_directory
from shield.config import Settings
from shield.detect.rule import Rule
from shield.detect.rulefiles import load_rules
from shield.errors import ConfigError

SAMPLES = Path(__file__).parent
MAX_BYTES = 30_000


@cache
def rules() -> tuple[Rule, ...]:
    return tuple(load_rules())


NAMES = [rule.name for rule in rules()]


def outcomes(name: str, used: tuple[Rule, ...], directory: Path = SAMPLES) -> dict[str, str]:
    """Sample name to "ok" or what went wrong."""
    return {
        result["sample"]: "ok" if result["ok"] else result["message"]
        for result in run_samples(Settings(), used, [name], directory)
    }


@pytest.mark.parametrize("name", NAMES)
def test_the_attack_is_found_and_its_near_miss_is_not_banned(name: str) -> None:
    """With all rules at work the attack raises the rule's alert, and the near miss bans nobody."""
    found = outcomes(name, rules())
    assert {sample.split(".")[0].split("-")[0] for sample in found} == {"attack", "benign"}
    assert set(found.values()) == {"ok"}, found


@pytest.mark.parametrize("name", NAMES)
def test_switched_off_the_rule_is_silent(name: str) -> None:
    """Without the rule nothing raises its alert: the sample proves this rule and not something else."""
    found = outcomes(name, tuple(rule for rule in rules() if rule.name != name))
    attacks = [message for sample, message in found.items() if sample.startswith("attack")]
    assert attacks
    assert all(message.startswith(("no alert", "only alerts of ")) for message in attacks), attacks


@pytest.mark.parametrize("name", NAMES)
def test_the_rule_finds_its_attack_alone(name: str) -> None:
    """No rule leans on another one's counting."""
    found = outcomes(name, tuple(rule for rule in rules() if rule.name == name))
    assert set(found.values()) == {"ok"}, found


def test_every_directory_belongs_to_a_rule_and_is_small() -> None:
    """No sample is left of a rule that is gone, and a checkout stays small."""
    directories = {path.name for path in SAMPLES.iterdir() if path.is_dir() and path.name[0] != "_"}
    assert directories == set(NAMES)
    large = [path for path in SAMPLES.glob("*/*") if path.stat().st_size > MAX_BYTES]
    assert large == []


def test_these_are_the_samples_that_the_command_takes() -> None:
    """``shield rules test`` finds them without an option."""
    assert samples_directory() == SAMPLES


def test_the_site_of_a_sample_is_known_to_its_rules(tmp_path: Path) -> None:
    """relay-probe needs to know our domains: without config.toml its attack is silent."""
    (tmp_path / "relay-probe").mkdir()
    for file in (SAMPLES / "relay-probe").glob("*.pcap"):
        (tmp_path / "relay-probe" / file.name).write_bytes(file.read_bytes())
    assert outcomes("relay-probe", rules(), tmp_path)["attack.pcap"] != "ok"
    site = tmp_path / "relay-probe" / "config.toml"
    site.write_text('[detect]\ndomains = ["example.com"]\n')
    assert outcomes("relay-probe", rules(), tmp_path)["attack.pcap"] == "ok"
    site.write_text("[detect]\ndomains = 5\n")
    with pytest.raises(ConfigError, match="domains"):
        outcomes("relay-probe", rules(), tmp_path)


def matcher(name: str, field: str) -> Callable[[str], bool]:
    """The test of a rule on one field."""
    rule = next(rule for rule in rules() if rule.name == name)
    test = next(condition.test for condition in rule.conditions if condition.name == field)
    assert test is not None
    return lambda value: bool(test(value.encode()))


def test_a_number_without_an_international_prefix_is_local() -> None:
    """972 is Israel and Dallas, 53 is Cuba and Buenos Aires: what stands in front decides."""
    costly = matcher("toll-costly-range", "called")
    local = ("2525551234", "9725551234", "0972123456", "9972123456", "01153451234", "01137123456",
             "18002525551", "8102525551", "03053123456", "100")  # fmt: skip
    abroad = ("0039061234567", "00441132521234", "+390612345678", "01144113252123")
    assert [number for number in (*local, *abroad) if costly(number)] == []
    dear = ("+25261234567", "00972592277524", "9011972592277524", "900972592277524",
            "810972592277524", "0000972592277524", "011881612345678", "+5352345678")  # fmt: skip
    assert [number for number in dear if not costly(number)] == []


@pytest.mark.parametrize(
    "line",
    [
        "From: \"Miles O'Brien\" <sip:o'brien@example.com>;tag=1",
        'From: "Cote d\'Or" <sip:1@example.com;user=phone>;tag=1',
        "From: \"Rock 'and' Roll\" <sip:a@example.com>;tag=4",
        'From: "Kids\' Order Desk" <sip:a@example.com>;tag=4',
        'From: "Credit Union Select Desk" <sip:a@example.com>;tag=4',
        "Subject: the boys' -- all of them",
        "Subject: no worries'\r\nOrganization: a=b",
        'Contact: <sip:a@192.0.2.1>;reg-id=1;+sip.instance="<urn:uuid:0>"',
    ],
)
def test_good_header_fields_are_no_sql(line: str) -> None:
    """Quotes, and words of SQL, stand in names of people and companies."""
    assert not matcher("sql-injection", "raw")(f"{line}\r\n")


@pytest.mark.parametrize(
    "text",
    [
        "100' or 1=1--", "x\" OR 'x' or 'a'='a", "admin'-- ", "%27%20or%20%271%27%3D%271",
        "1' union select 1,2", "1 UNION ALL SELECT NULL", "100';DROP TABLE subscriber;--",
        "a' and sleep(5)='", "a')or('1'='1", "a'||(select", "' or ''='", "1'/**/or/**/1=1",
    ],
)  # fmt: skip
def test_pieces_of_statements_are_sql(text: str) -> None:
    """What ends a quoted value and goes on as SQL, in its usual spellings."""
    assert matcher("sql-injection", "raw")(f"From: <sip:{text}@example.com>;tag=1\r\n")
