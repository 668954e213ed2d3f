"""shield.detect.habits: what a source does over several requests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from shield.detect.habits import HABITS, MOST_TRACES, Habits, habit
from shield.sip.event import Kind, SipEvent
from tests.builders import datagram, read_request, request

START = 1_700_000_000.0


def habits(
    times: Iterable[float], kind: Kind = Kind.ANSWER, *, proven: bool = False, **each: Any
) -> Habits:
    """Requests at these times; a list in ``each`` gives each request its own value."""
    kept = Habits(START)
    for number, at in enumerate(times):
        values = {
            key: value[number] if isinstance(value, list) else value for key, value in each.items()
        }
        port = values.pop("port", 5060)
        payload = request(**values)
        sent = datagram(payload, START + at, source_port=port)
        kept.add(SipEvent(kind, sent, read_request(payload)), number, proven=proven)
    return kept


def shown(name: str, times: Iterable[float], kind: Kind = Kind.ANSWER, **each: Any) -> int:
    return habit(name, habits(times, kind, **each).traces(START + 100, 3_600))


FIVE = [0.0, 7.0, 19.0, 24.0, 41.0]
APART = [f"call-{number}" for number in range(8)]


def test_a_port_for_each_dialog() -> None:
    """Tools open a socket for each request; a phone keeps its own, and answers challenges from it."""
    ports = [40_000, 40_001, 40_002, 40_003, 40_004]
    assert shown("ports", FIVE, port=ports, call_id=APART) == 5
    assert shown("ports", FIVE, port=5060, call_id=APART) == 0
    assert shown("ports", FIVE, port=[*ports[:4], 40_000], call_id=APART) == 0


def test_agents_on_one_port() -> None:
    """Three products from one port are no phone; three phones behind NAT have three ports."""
    agents = ["Yealink T46S 1", "Zoiper 2", "snom/9", "Yealink T42 2", "Zoiper 3"]
    assert shown("agents", FIVE, agent=agents) == 3
    assert shown("agents", FIVE, agent=agents, port=[1, 2, 3, 1, 2]) == 1


def test_an_update_of_the_firmware_is_no_new_agent() -> None:
    """The product stays, only its version is another; models of one maker are one product too."""
    assert (
        shown("agents", FIVE[:3], agent=["Yealink SIP-T46S 66.85", "Yealink SIP-T46S 66.86", "yealink"])
        == 1
    )


def test_many_names_of_one_shape_are_masks() -> None:
    """From any ports: what a program writes stays the same when it changes its name."""
    agents = ["Yealink T46S 1", "Zoiper 2", "snom/9", "Linphone", "Bria 3"]
    assert shown("masks", FIVE, agent=agents, port=[1, 2, 3, 4, 5]) == 5


def test_a_program_keeps_the_order_of_its_fields() -> None:
    """Of one method; in which letters it spells their names is not asked."""
    kept = Habits(START)
    for number in range(3):
        lines = request().split(b"\r\n\r\n")[0].split(b"\r\n")
        payload = b"\r\n".join([lines[0], *lines[number + 1 :], *lines[1 : number + 1]]) + b"\r\n\r\n"
        kept.add(SipEvent(Kind.ANSWER, datagram(payload, START), read_request(payload)), 0, proven=False)
    assert habit("orders", kept.traces(START, 60)) == 3
    short = request().replace(b"Call-ID", b"i").replace(b"From", b"f")
    for payload in (request(), short, request("INVITE")):
        same = Habits(START)
        same.add(SipEvent(Kind.ANSWER, datagram(payload, START), read_request(payload)), 0, proven=False)
        assert habit("orders", same.traces(START, 60)) == 1


def test_users_and_what_one_dialog_holds() -> None:
    """One Call-ID is one dialog of one user with one tag."""
    users, tags = ["1", "2", "3", "4", "5"], ["a", "b", "c", "c", "c"]
    assert shown("users", FIVE, user=users) == 5
    assert shown("dialog-users", FIVE, user=users) == 5
    assert shown("dialog-users", FIVE, user=users, call_id=APART) == 1
    assert shown("dialog-tags", FIVE, tag=tags) == 3


def test_a_cseq_rises() -> None:
    """In one dialog each request has another; a new dialog may begin with the same."""
    assert shown("stuck-cseq", FIVE, cseq=2) == 4
    assert shown("stuck-cseq", FIVE, cseq=[1, 2, 3, 4, 5]) == 0
    assert shown("stuck-cseq", FIVE, cseq=2, call_id=APART) == 0


@pytest.mark.parametrize(
    ("times", "paced"),
    [
        ([0, 2, 4, 6, 8, 10], 6),
        ([0, 2.05, 4, 6.1, 8, 10.1], 6),
        ([0, 2, 4, 6, 9, 11], 0),  # one gap is longer
        ([0, 2, 4, 6, 8], 0),  # too few
        ([0, 60, 120, 180, 240, 300], 0),  # a timer
        ([0, 0, 0, 0, 0, 0], 0),  # all at once is no pace
    ],
)
def test_a_machine_has_a_pace(times: list[float], paced: int) -> None:
    """Equal gaps, a few seconds at most."""
    assert shown("pace", times, call_id=APART) == paced


def test_what_is_told_late_has_no_pace() -> None:
    """That a challenge was given up is known seconds later, by the clock of this node."""
    assert shown("pace", [0, 2, 4, 6, 8, 10], Kind.ABANDONED, call_id=APART) == 0
    assert shown("hurry", [0, 0, 0, 0, 0, 0], Kind.ABANDONED, call_id=APART) == 0


def test_dialogs_of_one_second() -> None:
    """A machine does not wait for answers."""
    assert shown("hurry", [0, 0.1, 0.2, 0.9, 1.0, 1.2, 5], call_id=APART) == 5
    assert shown("hurry", [0, 0.1, 0.2], call_id="one") == 1


def test_it_keeps_the_last_few_in_little_memory() -> None:
    """A suspect has a kilobyte in all; what is packed is what was kept."""
    kept = habits(range(50), call_id="one", proven=True)
    kept.quiet_until, kept.proven_alert = START + 9, True
    packed = kept.packed()
    assert len(packed) <= 300
    again = Habits.unpack(packed)
    assert (again.quiet_until, again.proven_alert) == (START + 9, True)
    traces = again.traces(START + 50, 3_600)
    assert [trace.offset for trace in traces] == list(range(50 - MOST_TRACES, 50))
    assert [trace.oddities for trace in traces] == list(range(50 - MOST_TRACES, 50))
    assert all(trace.proven for trace in traces)


def test_what_is_long_ago_does_not_count() -> None:
    """Within the time of the rule only."""
    assert len(habits([0, 30, 50, 60]).traces(START + 60, 20)) == 2


def test_nothing_kept_is_no_habit() -> None:
    """None of them is shown by nobody."""
    assert {name: habit(name, []) for name in HABITS} == dict.fromkeys(HABITS, 0)
