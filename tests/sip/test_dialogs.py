"""shield.sip.dialogs: calls from INVITE to BYE, their forks, and what is not seen of them."""

from __future__ import annotations

import pytest

from shield.net import pack
from shield.sip import dialogs as module
from shield.sip.calls import Call, State
from shield.sip.dialogs import SETUP_TIME, TALK_TIME, Dialogs
from shield.sip.event import Kind, SipEvent
from shield.sip.servers import Servers
from shield.sip.transactions import Tracker
from tests.builders import (
    CLIENT,
    SERVER,
    challenge,
    credentials,
    datagram,
    read_request,
    read_response,
    request,
    response,
)

GATEWAY = "203.0.113.5"


class Phone:
    """A caller at CLIENT, a proxy, and what a Tracker makes of their messages."""

    def __init__(self) -> None:
        self.tracker = Tracker(Servers(frozenset([pack(SERVER)])))
        self.calls = self.tracker.dialogs
        self.time = 100.0
        self.number = 0

    def ask(self, payload: bytes, source: str = CLIENT, server: str = SERVER) -> SipEvent:
        packet = datagram(payload, self.time, source, server)
        return self.tracker.request(packet, read_request(payload))

    def answer(self, status: int, asked: bytes, to_tag: str = "b1", *lines: str,
               server: str = SERVER, client: str = CLIENT) -> None:  # fmt: skip
        payload = response(status, asked, *lines, to_tag=to_tag)
        packet = datagram(payload, self.time, server, client)
        self.tracker.response(packet, read_response(payload))

    def invite(self, *lines: str, call: str = "c1", to_tag: str = "") -> bytes:
        """Send an INVITE to 4930123."""
        self.number += 1
        asked = request("INVITE", *lines, user="4930123", cseq=self.number, call_id=call,
                        to_tag=to_tag, branch=f"z9hG4bK{call}{self.number}")  # fmt: skip
        self.ask(asked)
        return asked

    def call(self, call: str = "c1") -> Call:
        found = self.calls.find(call.encode(), b"f1")
        assert found is not None
        return found

    def bye(
        self, call: str = "c1", *, tag: str = "f1", to_tag: str = "b1", source: str = CLIENT
    ) -> None:
        self.number += 1
        branch = f"z9hG4bKbye{self.number}"
        self.ask(request("BYE", user="x", cseq=self.number, call_id=call, tag=tag, to_tag=to_tag,
                         branch=branch), source)  # fmt: skip


def answered(phone: Phone, call: str = "c1", to_tag: str = "b1") -> Call:
    """A call that is being talked in."""
    asked = phone.invite(call=call)
    phone.answer(180, asked, to_tag)
    phone.answer(200, asked, to_tag)
    return phone.call(call)


def test_a_call_goes_from_invite_to_bye() -> None:
    """Trying, ringing, answered, ended, with the times of each and who called whom."""
    phone = Phone()
    asked = phone.invite()
    call = phone.call()
    assert (call.state, call.called, call.source) == (State.TRYING, b"4930123", pack(CLIENT))
    phone.time = 102.0
    phone.answer(180, asked)
    assert (call.state, call.rang) == (State.RINGING, 102.0)
    phone.time = 105.0
    phone.answer(200, asked)
    assert (call.state, call.answered, call.status) == (State.ANSWERED, 105.0, 200)
    phone.time = 125.0
    phone.bye()
    assert (call.state, call.ended, call.duration(999.0)) == (State.ENDED, 125.0, 20.0)
    assert (call.called, call.agent, call.incomplete) == (b"4930123", b"phone/1", False)
    assert len(phone.calls) == 0


def test_the_callee_hangs_up() -> None:
    """A BYE from the other side has the tags exchanged (RFC 3261 section 12.2.1.1)."""
    phone = Phone()
    call = answered(phone)
    phone.bye(tag="b1", to_tag="f1", source=SERVER)
    assert call.state is State.ENDED


def test_a_challenged_call_waits_for_credentials() -> None:
    """407 is not the end of a call: the INVITE comes again under the same Call-ID, with the account."""
    phone = Phone()
    asked = phone.invite()
    phone.answer(407, asked, "s1", challenge("n1", proxy=True))
    call = phone.call()
    assert (call.state, call.status, call.account) == (State.TRYING, 0, b"")
    phone.invite(credentials("n1", user="100@host.example", proxy=True))
    assert phone.call() is call
    assert call.account == b"100"


@pytest.mark.parametrize("status", [404, 486, 487, 603])
def test_a_final_failure_ends_early_dialogs(status: int) -> None:
    """Busy, cancelled (487), declined: the call is over and was never answered."""
    phone = Phone()
    asked = phone.invite()
    phone.answer(183, asked)
    call = phone.call()
    phone.answer(status, asked)
    assert (call.state, call.status, call.duration(999.0)) == (State.FAILED, status, 0.0)
    assert call.dialogs == {b"b1": State.FAILED}


def test_forks_are_dialogs_of_one_call() -> None:
    """Two phones ring and both answer: the call lasts until the last of them is hung up."""
    phone = Phone()
    asked = phone.invite()
    for tag in ("b1", "b2"):
        phone.answer(180, asked, tag)
    call = phone.call()
    phone.answer(200, asked, "b1")
    assert call.dialogs == {b"b1": State.ANSWERED, b"b2": State.RINGING}
    phone.answer(200, asked, "b2")
    phone.bye(to_tag="b1")
    assert call.state is State.ANSWERED
    phone.bye(to_tag="b2")
    assert call.state is State.ENDED


def test_a_proxy_passes_a_call_on() -> None:
    """The same Call-ID and From tag between proxy and gateway are the same call of the same caller."""
    phone = Phone()
    asked = phone.invite()
    onward = request("INVITE", user="4930123", cseq=1, call_id="c1", branch="z9hG4bKon")
    phone.ask(onward, SERVER, GATEWAY)
    phone.answer(200, onward, "b1", server=GATEWAY, client=SERVER)
    phone.answer(200, asked, "b1")
    assert len(phone.calls) == 1
    assert (phone.call().source, phone.call().state) == (pack(CLIENT), State.ANSWERED)


def test_a_bye_with_wrong_tags_ends_nothing() -> None:
    """Who does not know the tags cannot end the record of a call."""
    phone = Phone()
    call = answered(phone)
    phone.bye(to_tag="guess")
    phone.bye(tag="guess", to_tag="b1")
    assert call.state is State.ANSWERED


def test_a_reinvite_is_a_sign_and_481_to_it_the_end() -> None:
    """A session timer keeps a long call; a peer that knows the dialog no more ends it."""
    phone = Phone()
    call = answered(phone)
    phone.time += TALK_TIME - 10
    again = phone.invite(to_tag="b1")
    phone.answer(200, again)
    phone.time += 3_600.0
    phone.tracker.tick(phone.time)
    assert call.state is State.ANSWERED
    phone.answer(481, phone.invite(to_tag="b1"))
    assert call.state is State.ENDED


def test_silent_calls_are_given_up() -> None:
    """Without a sign for long a call is over, at the time of its last one, and marked incomplete."""
    phone = Phone()
    ringing, talking = phone.invite(call="r1"), answered(phone, "t1")
    assert ringing
    lost = phone.call("r1")
    phone.tracker.tick(100.0 + SETUP_TIME + 1)
    assert (lost.state, lost.incomplete, talking.state) == (State.FAILED, True, State.ANSWERED)
    phone.tracker.tick(100.0 + TALK_TIME + 1)
    assert (talking.state, talking.ended, talking.incomplete) == (State.ENDED, 100.0, True)


def test_calls_at_once_are_counted_by_source_and_account() -> None:
    """Ringing and answered calls count, others do not."""
    phone = Phone()
    for number in range(3):
        proof = credentials("n", user="100", proxy=True)
        asked = phone.invite(proof, call=f"c{number}")
        if number:
            phone.answer(180, asked)
    assert phone.calls.at_once(pack(CLIENT), b"100") == 2
    phone.answer(486, asked)
    assert phone.calls.at_once(pack(CLIENT), b"100") == 1
    assert phone.calls.at_once(pack(GATEWAY), b"100") == 0


def test_the_number_of_calls_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of INVITEs drops the oldest calls that ring, counts them, and leaves those that talk."""
    monkeypatch.setattr(module, "MAX_RINGING", 4)
    phone = Phone()
    talking = answered(phone, "talk")
    for number in range(9):
        phone.invite(call=f"f{number}")
    assert (len(phone.calls), phone.calls.forgotten) == (5, 5)
    assert talking.state is State.ANSWERED


def test_too_many_forks_are_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """To tags beyond MAX_FORKS are not kept."""
    monkeypatch.setattr(module, "MAX_FORKS", 2)
    phone = Phone()
    asked = phone.invite()
    for number in range(9):
        phone.answer(180, asked, f"b{number}")
    assert len(phone.call().dialogs) == 2


def test_a_call_of_a_skipped_source_is_told_by_the_responses() -> None:
    """Its requests are not read; trying, ringing, answer and end are known from what goes to it."""
    phone, seen = Phone(), []
    phone.calls.on_call = seen.append
    phone.tracker.on_unread = phone.calls.unread
    asked = request("INVITE", user="4930123", cseq=2, call_id="c1", branch="z9hG4bKx")
    phone.answer(407, asked, "s1")
    phone.answer(100, asked, "")
    call = phone.call()
    assert seen == [call]
    assert (call.incomplete, call.source, call.called) == (True, pack(CLIENT), b"4930123")
    onward = request("INVITE", user="4930123", cseq=2, call_id="c1", branch="z9hG4bKon")
    phone.ask(onward, SERVER, GATEWAY)
    phone.answer(180, asked)
    phone.answer(200, asked)
    assert call.state is State.ANSWERED
    phone.answer(200, request("BYE", user="x", cseq=3, call_id="c1", to_tag="b1", branch="z9hG4bKy"))
    assert call.state is State.ENDED


def test_other_methods_cost_nothing() -> None:
    """REGISTER and OPTIONS never reach the table."""
    phone = Phone()

    def never(_event: SipEvent) -> None:
        raise AssertionError

    phone.calls.request = never  # type: ignore[method-assign]
    for method in ("REGISTER", "OPTIONS", "SUBSCRIBE", "ACK", "CANCEL"):
        assert phone.ask(request(method, branch=f"z9hG4bK{method}")).kind is Kind.REQUEST
    assert isinstance(phone.calls, Dialogs)
