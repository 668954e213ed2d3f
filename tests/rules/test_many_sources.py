"""Many sources that act together, from packets to bans; good users who look alike stay."""

from __future__ import annotations

from struct import pack as numbers

import pytest

from shield.detect.alert import Proof
from shield.net import pack
from tests.rules.test_slow import bans, findings, quiet
from tests.traffic import PHONE, START, Talk


def bot(number: int) -> bytes:
    """An address in a network of its own."""
    return numbers("!I", 198 << 24 | 18 << 16 | number << 8 | 7)


def rotated(number: int) -> bytes:
    """The next address of a rented machine."""
    return numbers("!IIQ", 0x20010DB8, 0x00090000, 0x1000 + number * 977)


@pytest.mark.parametrize(
    ("bots", "guesses", "gap"), [(6, 3, 5.0), (12, 4, 1.0), (40, 2, 10.0), (20, 1, 60.0)]
)
def test_a_botnet_that_guesses_one_password_is_found(bots: int, guesses: int, gap: float) -> None:
    """Whatever each of them does, all that took part are banned, and proven."""
    traffic = quiet()
    for turn in range(guesses):
        for number in range(bots):
            at = START + (turn * bots + number) * gap
            Talk(traffic, bot(number), "100", PHONE).login(at, accepted=False)
    found = bans(findings(traffic))
    assert {ban.alert.source for ban in found} == {bot(number) for number in range(bots)}
    assert {ban.alert.proof for ban in found} == {Proof.PROVEN}
    assert all(dict(ban.alert.details)["aimed_at"].startswith("account 100") for ban in found)
    assert max(ban.alert.sources for ban in found) >= min(bots, 5)


def test_a_botnet_that_asks_for_users_is_found_by_its_campaign() -> None:
    """Seven machines with eight users each, in the course of a day."""
    traffic = quiet()
    for number in range(56):
        at = START + number * 900
        Talk(traffic, bot(number % 7), f"{200 + number}", PHONE).ask(at, "REGISTER", "404 Not Found")
    found = bans(findings(traffic))
    assert {ban.alert.source for ban in found} == {bot(number) for number in range(7)}
    assert len({ban.alert.campaign for ban in found}) == 1


@pytest.mark.parametrize("gap", [1.0, 20.0, 600.0])
def test_a_new_address_for_each_probe_does_not_help(gap: float) -> None:
    """After 16 probes the /64 is banned as a whole, in one decision."""
    traffic = quiet()
    for number in range(16):
        Talk(traffic, rotated(number), f"{number}", PHONE).ask(
            START + number * gap, "REGISTER", "404 Not Found"
        )
    (ban,) = bans(findings(traffic))
    assert ban.decision is not None
    assert str(ban.decision.network) == "2001:db8:9::/64"


def test_a_new_address_for_each_guess_does_not_help() -> None:
    """Of one account or of many."""
    for accounts in (1, 40):
        traffic = quiet()
        for number in range(18):
            talk = Talk(traffic, rotated(number), f"{number % accounts}", PHONE)
            talk.login(START + number * 30, accepted=False)
        networks = {str(ban.decision.network) for ban in bans(findings(traffic)) if ban.decision}
        assert "2001:db8:9::/64" in networks


@pytest.mark.parametrize("deed", ["login", "call"])
def test_a_network_with_somebody_good_is_not_banned(deed: str) -> None:
    """Neither as a whole, nor those in it who asked for one user each."""
    traffic = quiet()
    good = Talk(traffic, rotated(999), "friend", PHONE)
    good.login(START, accepted=True) if deed == "login" else good.call(START)
    for number in range(60):
        talk = Talk(traffic, rotated(number), f"{number}", PHONE)
        talk.ask(START + 30 + number * 60, "REGISTER", "404 Not Found")
    assert bans(findings(traffic)) == []


def test_an_account_on_four_dual_stack_devices_is_no_botnet() -> None:
    """Its password was changed: eight addresses try again and again, for hours."""
    traffic = quiet()
    for device in range(4):
        six = numbers("!IIQ", 0x20010DB8, 0x100 + device, 7)
        for address in (bot(100 + device), six):
            talk = Talk(traffic, address, "100", PHONE)
            for number in range(60):
                talk.login(START + device * 7 + number * 90, accepted=False)
    assert findings(traffic) == []


def test_a_phone_that_changes_its_address_all_the_time_is_one_phone() -> None:
    """With an old password, through sixty addresses of its provider and of others."""
    traffic = quiet()
    talk = Talk(traffic, pack("198.51.100.1"), "100", PHONE)
    for number in range(60):
        talk.client = pack(f"198.51.{100 + number % 3}.{number + 1}")
        talk.login(START + number * 45, accepted=False)
    assert findings(traffic) == []
