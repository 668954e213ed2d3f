"""shield.sip.transactions: what became of each request, and what proves its sender."""

from __future__ import annotations

import pytest

from shield.net import Transport, pack
from shield.sip import transactions
from shield.sip.event import NONCE, TCP, TO_TAG, Kind, SipEvent
from shield.sip.logins import MAX_WAITING
from shield.sip.servers import Servers
from shield.sip.transactions import CHALLENGE_GRACE, NONCE_FRESH, Tracker
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

OTHER, CALLEE = "192.0.2.77", "203.0.113.5"


class Talk:
    """A client and a server whose messages go through one Tracker; time stands until moved."""

    def __init__(self, *servers: str, learn: bool = True) -> None:
        self.tracker = Tracker(Servers(frozenset(map(pack, servers)), learn=learn))
        self.time = 100.0

    def ask(
        self, payload: bytes, source: str = CLIENT, server: str = SERVER, *, connected: bool = False
    ) -> SipEvent:
        """Send a request."""
        transport = Transport.TCP if connected else Transport.UDP
        packet = datagram(payload, self.time, source, server, connected=connected, transport=transport)
        return self.tracker.request(packet, read_request(payload))

    def answer(
        self,
        status: int,
        asked: bytes,
        *extra: str,
        client: str = CLIENT,
        server: str = SERVER,
        to_tag: str = "srv1",
    ) -> SipEvent | None:
        """Answer a request."""
        payload = response(status, asked, *extra, to_tag=to_tag)
        return self.tracker.response(
            datagram(payload, self.time, server, client), read_response(payload)
        )

    def exchange(self, status: int, asked: bytes, *extra: str, client: str = CLIENT) -> SipEvent | None:
        """Send a request and answer it."""
        self.ask(asked, client)
        return self.answer(status, asked, *extra, client=client)


def attempt(number: int, *lines: str, call_id: str = "c1", tag: str = "f1") -> bytes:
    """The REGISTER with that CSeq number; each has its own branch."""
    return request("REGISTER", *lines, cseq=number, call_id=call_id, tag=tag, branch=f"z9hG4bK{number}")


def kind(event: SipEvent | None) -> Kind | None:
    """Kind of an event, if there is one."""
    return None if event is None else event.kind


# Pairing


def test_the_same_request_again_is_a_retransmission() -> None:
    """Same branch and CSeq (RFC 3261 section 17.2.3); a new CSeq or branch is a new request."""
    talk = Talk()
    assert talk.ask(attempt(1)).kind is Kind.REQUEST
    assert talk.ask(attempt(1)).kind is Kind.RETRANSMISSION
    assert talk.ask(attempt(2)).kind is Kind.REQUEST
    assert talk.ask(request(cseq=1, branch="z9hG4bKother")).kind is Kind.REQUEST
    assert talk.ask(attempt(1), OTHER).kind is Kind.REQUEST


@pytest.mark.parametrize("status", [401, 403])
def test_tries_with_one_branch_and_cseq_are_each_looked_at(status: int) -> None:
    """hydra uses the same Call-ID, branch and CSeq for all its passwords; servers test each."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n"))
    kinds = []
    for guess in range(4):
        assert talk.ask(attempt(1)).kind is Kind.RETRANSMISSION
        talk.answer(401, attempt(1), challenge(f"n{guess}"))
        wrong = attempt(2, credentials(f"n{guess}", answer=f"{guess:032}"))
        event = talk.ask(wrong)
        assert (event.kind, event.proofs, event.repeat) == (Kind.REQUEST, NONCE, False)
        kinds.append(kind(talk.answer(status, wrong, *([challenge("x")] if status == 401 else []))))
    assert kinds == [Kind.REFUSED] * 4


def test_a_late_copy_of_a_challenge_after_the_login_starts_nothing() -> None:
    """The refresh of a minute later is not taken for an answer to it."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1"))
    talk.exchange(200, attempt(2, credentials("n1")))
    talk.answer(401, attempt(1), challenge("n1"))
    event = talk.ask(attempt(3, credentials("n1")))
    assert (event.answers_challenge, event.repeat, event.proofs) == (False, False, NONCE)


def test_a_final_answer_is_paired_with_its_request() -> None:
    """The event tells of the request, at the time of the response."""
    talk = Talk()
    asked = request("OPTIONS")
    talk.ask(asked)
    talk.time += 0.5
    event = talk.answer(404, asked)
    assert event is not None
    assert (event.kind, event.status, event.time) == (Kind.ANSWER, 404, 100.5)
    assert event.client == pack(CLIENT)
    assert event.response is not None
    assert talk.answer(404, asked) is None


def test_zeros_before_the_cseq_number_hide_no_answer() -> None:
    """Servers write the number anew; an attacker must not get rid of his refusals so."""
    talk = Talk()
    asked = request("OPTIONS", cseq="0001")
    talk.ask(asked)
    assert kind(talk.answer(404, request("OPTIONS", cseq=1))) is Kind.ANSWER


def test_what_cannot_be_paired_is_counted() -> None:
    """Answers without request, and answers from another address than was asked."""
    talk = Talk()
    asked = request("OPTIONS")
    assert talk.answer(200, asked) is None
    talk.ask(asked)
    assert talk.answer(200, asked, server=OTHER) is None
    assert (talk.tracker.stats.unmatched_responses, talk.tracker.stats.stray_responses) == (1, 1)


def test_a_transaction_is_forgotten_after_its_time() -> None:
    """Timer B has long fired when both periods are over; nothing is counted as lost."""
    talk = Talk()
    talk.tracker.tick(talk.time)
    talk.ask(attempt(1))
    for _ in range(2):
        talk.time += transactions.TRANSACTION_TIME
        talk.tracker.tick(talk.time)
    assert talk.answer(200, attempt(1)) is None
    assert talk.tracker.forgotten == 0


def test_a_flood_has_a_ceiling_and_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables that are full forget the oldest and say how many."""
    monkeypatch.setattr(transactions, "MAX_TRANSACTIONS", 10)
    talk = Talk()
    for number in range(20):
        talk.ask(attempt(number))
    assert talk.tracker.forgotten == 10


@pytest.mark.parametrize("status", [180, 183])
def test_ringing_without_credentials_is_progress(status: int) -> None:
    """A call that reaches a callee without login is what toll fraud looks for; 100 says nothing."""
    talk = Talk()
    asked = request("INVITE")
    talk.ask(asked)
    assert talk.answer(100, asked) is None
    event = talk.answer(status, asked)
    assert event is not None
    assert (event.kind, event.status) == (Kind.PROGRESS, status)
    assert kind(talk.answer(486, asked)) is Kind.ANSWER


def test_ringing_after_login_or_of_another_method_is_no_progress() -> None:
    """Users may call; and only INVITE rings."""
    talk = Talk()
    asked = request("INVITE", credentials("n1"))
    talk.ask(asked)
    assert talk.answer(180, asked) is None
    options = request("OPTIONS", call_id="c2")
    talk.ask(options)
    assert talk.answer(183, options) is None


# Logins


def test_a_challenge_and_good_credentials() -> None:
    """The usual login: nothing at the challenge, proof with the credentials, ACCEPTED."""
    talk = Talk()
    assert talk.exchange(401, attempt(1), challenge("n1")) is None
    good = attempt(2, credentials("n1"))
    event = talk.ask(good)
    assert (event.proofs, event.answers_challenge, event.repeat) == (NONCE, True, False)
    assert event.auth == (b"100", b"n1", b"0" * 32)
    assert kind(talk.answer(200, good)) is Kind.ACCEPTED
    assert talk.tracker.tick(200.0) == []


@pytest.mark.parametrize("status", [486, 487, 603])
def test_a_call_with_credentials_that_ends_at_the_callee_was_accepted(status: int) -> None:
    """Busy, cancelled, declined: the callee said it, so the login had been good."""
    talk = Talk()
    assert kind(talk.exchange(status, request("INVITE", credentials("n", proxy=True)))) is Kind.ACCEPTED
    assert kind(talk.exchange(404, attempt(9, credentials("n")))) is Kind.ANSWER


def test_a_fresh_challenge_after_credentials_is_a_refusal() -> None:
    """The nonce was new and used at once: the password was wrong."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1"))
    event = talk.exchange(401, attempt(2, credentials("n1")), challenge("n2"))
    assert event is not None
    assert (event.kind, event.status, event.proofs) == (Kind.REFUSED, 401, NONCE)
    assert kind(talk.exchange(401, attempt(3, credentials("n2")), challenge("n3"))) is Kind.REFUSED


def test_403_after_credentials_is_a_refusal() -> None:
    """Asterisk and others say 403 to a wrong password; without credentials it is an answer."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1"))
    assert kind(talk.exchange(403, attempt(2, credentials("n1")))) is Kind.REFUSED
    assert kind(talk.exchange(403, request("INVITE", call_id="c2"))) is Kind.ANSWER


@pytest.mark.parametrize("stale", [", stale=true", ", stale=TRUE", ', stale = "true"'])
def test_a_stale_nonce_is_no_refusal(stale: str) -> None:
    """The digest was right (RFC 7616 section 3.3); then the client answers again."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1"))
    assert talk.exchange(401, attempt(2, credentials("n1")), challenge("n2", more=stale)) is None
    assert kind(talk.exchange(200, attempt(3, credentials("n2")))) is Kind.ACCEPTED


def test_stale_false_is_a_refusal() -> None:
    """Kamailio always writes the parameter."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1"))
    event = talk.exchange(401, attempt(2, credentials("n1")), challenge("n2", more=", stale=FALSE"))
    assert kind(event) is Kind.REFUSED


def test_a_broken_challenge_is_no_stale_one() -> None:
    """A challenge that cannot be read excuses nobody."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1"))
    event = talk.exchange(401, attempt(2, credentials("n1")), "WWW-Authenticate: ???")
    assert kind(event) is Kind.REFUSED


def test_an_old_nonce_is_no_refusal() -> None:
    """Servers that do not say stale: a nonce of half a minute may have expired."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1"))
    talk.time += NONCE_FRESH
    event = talk.ask(attempt(2, credentials("n1")))
    assert not event.answers_challenge
    assert talk.answer(401, attempt(2, credentials("n1")), challenge("n2")) is None


def test_a_stored_nonce_without_a_challenge_is_no_refusal() -> None:
    """Phones send credentials of an hour ago with their first request."""
    talk = Talk()
    assert talk.exchange(401, attempt(1, credentials("old")), challenge("n1")) is None
    assert kind(talk.exchange(200, attempt(2, credentials("n1")))) is Kind.ACCEPTED


def test_credentials_that_ignore_the_challenge_are_guesses() -> None:
    """Tools with a nonce of their own choice after a challenge are refused, not excused as old."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1"))
    event = talk.exchange(401, attempt(2, credentials("mine")), challenge("n2"))
    assert event is not None
    assert (event.kind, event.proofs, event.foreign_nonce) == (Kind.REFUSED, 0, False)


def test_unreadable_credentials_are_none() -> None:
    """Basic or garbage: no login was tried, so nothing was refused."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1"))
    odd = attempt(2, "Authorization: Basic eHg=")
    assert talk.ask(odd).auth is None
    assert talk.answer(401, odd, challenge("n2")) is None


def test_the_login_of_a_dialog_that_is_in_use_is_not_forgotten() -> None:
    """A challenge in a Call-ID of minutes ago makes it young again: the refusal is still seen."""
    talk = Talk()
    talk.tracker.tick(talk.time)
    talk.exchange(401, attempt(1), challenge("n1"))
    talk.time += transactions.LOGIN_TIME
    talk.tracker.tick(talk.time)
    talk.time += transactions.LOGIN_TIME - 1
    talk.exchange(401, attempt(2), challenge("n2"))
    talk.time += 2
    talk.tracker.tick(talk.time)
    assert kind(talk.exchange(401, attempt(3, credentials("n2")), challenge("n3"))) is Kind.REFUSED


# Whose nonce


def test_a_nonce_sent_to_two_addresses_proves_nothing() -> None:
    """Kamailio gives the same nonce to all who ask in the same second."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1"))
    talk.exchange(401, attempt(1), challenge("n1"), client=OTHER)
    for source in (CLIENT, OTHER):
        event = talk.ask(attempt(2, credentials("n1")), source)
        assert (event.proofs, event.foreign_nonce) == (0, False)
    talk.exchange(401, attempt(3), challenge("n1"))
    assert talk.ask(attempt(4, credentials("n1"))).proofs == 0


def test_the_same_nonce_twice_to_one_address_still_proves() -> None:
    """A server may repeat its nonce to the client that has it already."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1"))
    talk.exchange(401, attempt(2), challenge("n1"))
    assert talk.ask(attempt(3, credentials("n1"))).proofs == NONCE


def test_a_nonce_of_another_address_is_foreign() -> None:
    """Who shows a nonce that somebody else was given, under a forged address or after overhearing."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1"), client=OTHER)
    event = talk.ask(attempt(2, credentials("n1")))
    assert (event.proofs, event.foreign_nonce) == (0, True)


def test_each_nonce_of_several_challenges_counts() -> None:
    """RFC 8760: one line for each algorithm; the client answers the one that it can."""
    talk = Talk()
    lines = (challenge("sha", more=", algorithm=SHA-256"), challenge("md5", more=", algorithm=MD5"))
    talk.exchange(401, attempt(1), *lines)
    wrong = attempt(2, credentials("md5"))
    event = talk.ask(wrong)
    assert (event.proofs, event.answers_challenge) == (NONCE, True)
    assert kind(talk.answer(401, wrong, challenge("sha2"), challenge("md52"))) is Kind.REFUSED
    assert talk.ask(attempt(3, credentials("sha2"))).proofs == NONCE


@pytest.mark.parametrize("name", ["Authorization", "authorization ", "AUTHORIZATION"])
def test_credentials_prove_if_any_of_their_nonces_does(name: str) -> None:
    """One line for each realm (RFC 3261 section 22.3), in any spelling and order."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1"))
    second = credentials("n1").replace("Authorization", name)
    event = talk.ask(attempt(2, credentials("x", "other.example", "zoe"), second))
    assert (event.proofs, event.foreign_nonce) == (NONCE, False)
    assert event.auth == (b"100", b"n1", b"0" * 32)


def test_proxy_and_server_credentials_in_one_request() -> None:
    """Both header fields are looked at; without proof the first counts."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1"), client=OTHER)
    event = talk.ask(attempt(2, credentials("x", user="a"), credentials("n1", user="b", proxy=True)))
    assert (event.proofs, event.foreign_nonce) == (0, True)
    assert event.auth is not None
    assert event.auth[0] == b"a"


def test_a_challenge_of_the_next_realm_is_no_refusal() -> None:
    """RFC 3261 section 22.3: the first proxy took the credentials, now the second one asks."""
    talk = Talk()
    talk.exchange(407, attempt(1), challenge("n1", "one.example", proxy=True))
    first = credentials("n1", "one.example", proxy=True)
    second = challenge("n2", "two.example", proxy=True)
    assert talk.exchange(407, attempt(2, first), second) is None
    again = attempt(3, first, credentials("n2", "two.example", proxy=True))
    assert talk.ask(again).answers_challenge
    assert kind(talk.answer(407, again, challenge("n3", "two.example", proxy=True))) is Kind.REFUSED


def test_ever_new_realms_excuse_only_a_few_times() -> None:
    """Some servers take the realm from To: a guesser must not get a new excuse with each try."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1", "realm1"))
    kinds = [
        kind(
            talk.exchange(
                401,
                attempt(n, credentials(f"n{n - 1}", f"realm{n - 1}")),
                challenge(f"n{n}", f"realm{n}"),
            )
        )
        for n in range(2, 8)
    ]
    assert kinds == [None, None, None, Kind.REFUSED, Kind.REFUSED, Kind.REFUSED]


# Repeats


def test_a_client_that_tries_its_stored_password_again_repeats() -> None:
    """Same Call-ID, same From tag, rising CSeq: a phone with an old password."""
    talk = Talk()
    assert not talk.ask(attempt(1, credentials("n1"))).repeat
    assert talk.ask(attempt(2, credentials("n2"))).repeat
    assert talk.ask(attempt(5, credentials("n3"))).repeat


@pytest.mark.parametrize(
    ("number", "tag", "call_id"), [(2, "f2", "c1"), (0, "f1", "c1"), (2, "f1", "c2")]
)
def test_irregular_steps_are_no_repeats(number: int, tag: str, call_id: str) -> None:
    """Another tag, a CSeq that does not rise, another Call-ID: no phone does so by itself."""
    talk = Talk()
    talk.ask(attempt(1, credentials("n1")))
    assert not talk.ask(attempt(number, credentials("n2"), call_id=call_id, tag=tag)).repeat


def test_two_answers_to_one_question_are_two_passwords() -> None:
    """The same nonce without count and cnonce: a phone with one password has one response to it."""
    talk = Talk()
    assert not talk.ask(attempt(1, credentials("n1", answer="1" * 32))).repeat
    assert talk.ask(attempt(2, credentials("n1", answer="1" * 32))).repeat
    assert not talk.ask(attempt(3, credentials("n1", answer="2" * 32))).repeat
    assert talk.ask(attempt(4, credentials("n2", answer="3" * 32))).repeat
    counted = credentials("n2", answer="4" * 32) + ", qop=auth, nc=00000002, cnonce=x"
    assert talk.ask(attempt(5, counted)).repeat


def test_every_user_of_a_gateway_has_a_password_of_its_own() -> None:
    """Under one Call-ID: the first try of each is no repeat, whatever the others did."""
    talk = Talk()
    repeats = [talk.ask(attempt(n, credentials(f"n{n}", user=f"line{n % 3}"))).repeat for n in range(9)]
    assert repeats == [False] * 3 + [True] * 6
    many = [talk.ask(attempt(n, credentials("n", user=f"u{n}"), call_id="c9")).repeat for n in range(99)]
    assert not any(many)


def test_the_first_credentials_after_a_challenge_are_no_repeat() -> None:
    """The request without credentials before them was no try."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1"))
    assert not talk.ask(attempt(2, credentials("n1"))).repeat
    talk.answer(401, attempt(2, credentials("n1")), challenge("n2"))
    assert talk.ask(attempt(3, credentials("n2"))).repeat


def test_a_login_ends_the_series() -> None:
    """After ACCEPTED the next credentials in the same Call-ID are a refresh, not a repeated failure."""
    talk = Talk()
    talk.exchange(200, attempt(1, credentials("n1")))
    assert not talk.ask(attempt(2, credentials("n1"))).repeat


# Challenges that nobody takes up


def test_a_challenge_without_credentials_is_abandoned_after_the_grace() -> None:
    """Scanners go away after 401; the event has the status of the challenge and comes once."""
    talk = Talk()
    talk.exchange(407, attempt(1), challenge("n1", proxy=True))
    assert talk.tracker.tick(talk.time + CHALLENGE_GRACE - 0.01) == []
    events = talk.tracker.tick(talk.time + CHALLENGE_GRACE)
    assert [(event.kind, event.status, event.time) for event in events] == [
        (Kind.ABANDONED, 407, talk.time + CHALLENGE_GRACE)
    ]
    assert talk.tracker.tick(talk.time + 100.0) == []
    assert talk.tracker.stats.abandoned == 1


def test_each_user_tried_under_one_call_id_is_abandoned() -> None:
    """A scanner that keeps its Call-ID leaves one challenge behind for each user, not one in all."""
    talk = Talk()
    users = []
    for number, user in enumerate(["100", "101", "102"]):
        asked = request("REGISTER", user=user, cseq=number, branch=f"z9hG4bK{number}")
        event = talk.exchange(401, asked, challenge(f"n{number}"))
        assert event is None
    users += [event.user for event in talk.tracker.tick(talk.time + CHALLENGE_GRACE)]
    assert users == [b"100", b"101", b"102"]
    assert talk.tracker.stats.abandoned == 3


def test_a_gateway_that_registers_its_lines_under_one_call_id_abandons_nothing() -> None:
    """RFC 3261 section 10.2.4: the challenges of several users cross each other."""
    talk = Talk()
    for number in range(24):
        asked = request("REGISTER", user=f"1{number}", cseq=number, branch=f"z9hG4bKa{number}")
        assert talk.exchange(401, asked, challenge(f"n{number}")) is None
    for number in range(24):
        line = credentials(f"n{number}", user=f"1{number}")
        good = request("REGISTER", line, user=f"1{number}", cseq=99, branch=f"z9hG4bKb{number}")
        assert kind(talk.exchange(200, good)) is Kind.ACCEPTED
    assert talk.tracker.tick(talk.time + 100.0) == []


def test_too_many_users_under_one_call_id_do_not_wait() -> None:
    """The oldest is taken for abandoned at once, so a fast scanner neither hides nor fills memory."""
    talk = Talk()
    found = []
    for number in range(100):
        asked = request("REGISTER", user=f"u{number}", cseq=number, branch=f"z9hG4bK{number}")
        event = talk.exchange(401, asked, challenge(f"n{number}"))
        found += [event.user] if event is not None and event.kind is Kind.ABANDONED else []
    assert len(found) == 100 - MAX_WAITING
    found += [event.user for event in talk.tracker.tick(talk.time + CHALLENGE_GRACE)]
    assert found == [b"u%d" % number for number in range(100)]


def test_the_same_user_asked_again_is_one_challenge() -> None:
    """A phone that starts again has not given up: what counts is whether it answers in the end."""
    talk = Talk()
    assert talk.exchange(401, attempt(1), challenge("n1")) is None
    assert talk.exchange(401, attempt(2), challenge("n2")) is None
    assert len(talk.tracker.tick(talk.time + CHALLENGE_GRACE)) == 1


def test_a_challenge_sent_again_gives_more_time() -> None:
    """On a bad line the challenge arrives late: grace starts with the last copy."""
    talk = Talk()
    start = talk.time
    talk.exchange(401, attempt(1), challenge("n1"))
    talk.time = start + 2.0
    talk.ask(attempt(1))
    assert talk.answer(401, attempt(1), challenge("n1")) is None
    assert talk.tracker.tick(start + CHALLENGE_GRACE) == []
    assert len(talk.tracker.tick(start + 2.0 + CHALLENGE_GRACE)) == 1


def test_another_answer_again_gives_no_more_time() -> None:
    """Only a repeated challenge is waited for."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1"))
    talk.time += 2.0
    assert talk.answer(500, attempt(1)) is None
    assert len(talk.tracker.tick(talk.time + CHALLENGE_GRACE - 2.0)) == 1


def test_credentials_take_a_challenge_up() -> None:
    """Good or bad ones: who answers has not gone away."""
    talk = Talk()
    talk.exchange(401, attempt(1), challenge("n1"))
    talk.ask(attempt(2, credentials("bad")))
    assert talk.tracker.tick(talk.time + 100.0) == []


def test_unwatched_challenges_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """When too many wait at once the oldest is given up, and that is not silent."""
    talk = Talk()
    monkeypatch.setattr(transactions, "MAX_LOGINS", 4)
    for number in range(6):
        talk.exchange(401, attempt(1, call_id=f"c{number}"), challenge(f"n{number}"))
    assert talk.tracker.stats.unwatched_challenges == 2
    assert talk.tracker.forgotten == 2
    assert len(talk.tracker.tick(talk.time + CHALLENGE_GRACE)) == 4


def test_taken_up_challenges_are_not_counted_as_unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Logins that went well lose nothing, however many there are."""
    talk = Talk()
    monkeypatch.setattr(transactions, "MAX_LOGINS", 4)
    for number in range(6):
        talk.exchange(401, attempt(1, call_id=f"c{number}"), challenge(f"n{number}"))
        talk.exchange(200, attempt(2, credentials(f"n{number}"), call_id=f"c{number}"))
    assert talk.tracker.stats.unwatched_challenges == 0


# Answered calls and TCP


def call(talk: Talk, call_id: str, to_tag: str, client: str = CLIENT) -> SipEvent | None:
    """An INVITE that is answered with 200."""
    asked = request("INVITE", call_id=call_id)
    talk.ask(asked, client)
    return talk.answer(200, asked, client=client, to_tag=to_tag)


def test_ack_with_the_callees_tag_completes_the_call_and_proves_the_client() -> None:
    """RFC 3261 section 13.2.2.4; the tag went to this client only."""
    talk = Talk()
    assert kind(call(talk, "c1", "randomtag-abcdef")) is Kind.ANSWER
    ack = request("ACK", call_id="c1", to_tag="randomtag-abcdef", branch="z9hG4bKack")
    event = talk.ask(ack)
    assert (event.kind, event.proofs) == (Kind.COMPLETED, TO_TAG)
    assert talk.ask(ack).kind is Kind.REQUEST


@pytest.mark.parametrize("to_tag", ["", "guessed"])
def test_ack_without_the_tag_is_an_ordinary_request(to_tag: str) -> None:
    """Who did not see the 200 does not know the tag."""
    talk = Talk()
    call(talk, "c1", "randomtag-abcdef")
    event = talk.ask(request("ACK", call_id="c1", to_tag=to_tag))
    assert (event.kind, event.proofs) == (Kind.REQUEST, 0)


def test_a_tag_whose_beginning_went_to_two_clients_proves_nothing() -> None:
    """Servers that make their own tags begin them alike: who saw one can guess the next."""
    talk = Talk()
    call(talk, "c1", "a6a1c5f60faecf035a1ae5b6e96e979a-1111")
    call(talk, "c2", "a6a1c5f60faecf035a1ae5b6e96e979a-2222", OTHER)
    event = talk.ask(request("ACK", call_id="c1", to_tag="a6a1c5f60faecf035a1ae5b6e96e979a-1111"))
    assert (event.kind, event.proofs) == (Kind.COMPLETED, 0)


def test_a_call_answered_without_tag_is_never_completed() -> None:
    """Nothing secret came back, so nothing can be shown."""
    talk = Talk()
    call(talk, "c1", "")
    event = talk.ask(request("ACK", call_id="c1"))
    assert (event.kind, event.proofs) == (Kind.REQUEST, 0)


def test_ack_for_a_refused_call_is_a_request() -> None:
    """ACK of the same transaction for 486 says nothing about an answered call."""
    talk = Talk()
    talk.exchange(486, request("INVITE"))
    assert talk.ask(request("ACK", to_tag="srv1")).kind is Kind.REQUEST


def test_a_handshake_proves_every_request() -> None:
    """Also retransmissions and ACK; and it stays with the answer."""
    talk = Talk()
    asked = request("OPTIONS")
    assert talk.ask(asked, connected=True).proofs == TCP
    assert talk.ask(asked, connected=True).proofs == TCP
    event = talk.answer(200, asked)
    assert event is not None
    assert event.proofs == TCP
    assert talk.ask(request("ACK"), connected=True).proofs == TCP


# Who is a server


def test_who_answers_register_is_learned_as_server() -> None:
    """Also a refusal or a challenge is an answer; no answer at all is none."""
    talk = Talk()
    talk.ask(attempt(1))
    assert talk.tracker.servers.known == set()
    talk.answer(401, attempt(1), challenge("n1"))
    assert talk.tracker.servers.known == {pack(SERVER)}


def test_who_answers_three_clients_is_learned_as_server() -> None:
    """Fewer may be one phone with several lines."""
    talk = Talk()
    for number in (1, 2, 3):
        assert talk.tracker.servers.known == set()
        talk.exchange(200, request("OPTIONS"), client=f"192.0.2.{number}")
    assert talk.tracker.servers.known == {pack(SERVER)}


def test_a_phone_that_answers_its_server_is_not_learned() -> None:
    """Calls from a known server to a phone do not make the phone a server."""
    talk = Talk(SERVER)
    for number in range(4):
        asked = request("OPTIONS", call_id=f"c{number}")
        talk.ask(asked, SERVER, CLIENT)
        talk.answer(200, asked, client=SERVER, server=CLIENT)
    assert talk.tracker.servers.known == {pack(SERVER)}


def relay(talk: Talk, *vias: str) -> None:
    """SERVER sends an INVITE on to CALLEE with these Via lines below its own."""
    talk.ask(request("INVITE", *vias, via=SERVER, branch="z9hG4bKp"), SERVER, CALLEE)


@pytest.mark.parametrize(
    "below",
    [
        f"Via: SIP/2.0/UDP {CLIENT}:5060;branch=z9hG4bK1",
        f"Via: SIP/2.0/UDP phone.example;received={CLIENT};branch=z9hG4bK1",
        f"Via: SIP / 2.0 / UDP  {CLIENT} : 5060 ; branch=z9hG4bK1",
        f"v: SIP/2.0/UDP {CLIENT};branch=z9hG4bK1",
        f"VIA : SIP/2.0/UDP {CLIENT};branch=z9hG4bK1, SIP/2.0/UDP x;branch=z9hG4bK0",
    ],
)
def test_who_relays_a_request_is_learned_as_server(below: str) -> None:
    """A second Via names the client whose request the proxy had received, in any spelling."""
    talk = Talk()
    talk.ask(request("INVITE"))
    relay(talk, below)
    assert talk.tracker.servers.known == {pack(SERVER)}


@pytest.mark.parametrize(
    "below",
    [
        "",
        f"Via: SIP/2.0/UDP {CLIENT};branch=z9hG4bKother",
        f"Via: SIP/2.0/UDP {OTHER};branch=z9hG4bK1",
        "Via: SIP/2.0/UDP phone.example;branch=z9hG4bK1",
        "Via: nonsense",
        "Via: ,",
    ],
)
def test_an_invented_second_via_makes_no_server(below: str) -> None:
    """An attacker can write any Via, but nobody had sent him that request."""
    talk = Talk()
    talk.ask(request("INVITE"))
    relay(talk, *([below] if below else []))
    assert talk.tracker.servers.known == set()


def test_a_request_that_went_elsewhere_makes_no_relay() -> None:
    """Who copies a request that he overheard did not receive it."""
    talk = Talk()
    talk.ask(request("INVITE"), server=OTHER)
    relay(talk, f"Via: SIP/2.0/UDP {CLIENT};branch=z9hG4bK1")
    assert talk.tracker.servers.known == set()


def test_nothing_is_learned_when_that_is_switched_off() -> None:
    """Only the configured servers are known then."""
    talk = Talk(OTHER, learn=False)
    talk.exchange(200, attempt(1))
    relay(talk, f"Via: SIP/2.0/UDP {CLIENT};branch=z9hG4bK1")
    assert talk.tracker.servers.known == {pack(OTHER)}


def test_a_cseq_without_number_pairs_too() -> None:
    """A malformed CSeq is echoed by servers; it counts as number zero."""
    talk = Talk()
    odd = request("REGISTER", credentials("n1"), cseq="x")
    talk.ask(odd)
    assert kind(talk.answer(403, odd)) is Kind.REFUSED
