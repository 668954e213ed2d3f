"""The token exchange: who has the token gets in once, everybody else hears why not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.cluster.admission import Admission, AdmissionGuest, Admitted, Joiner, RefusedError
from shield.cluster.authority import CERTIFICATE_LIFE, Authority, create
from shield.cluster.identity import Identity, make_request, new_key, read_request
from shield.cluster.messages import Admit, Claim, Leave, Refuse, decode, encode_message
from shield.cluster.tokens import Invites, JoinToken
from shield.errors import InputError, RemoteError, SystemFailure
from shield.wire import MAX_GREETING, Frames
from tests.cluster.identities import WALL, member

SEEDS = (("192.0.2.1", 7170), ("192.0.2.2", 7170))


class Site:
    """A node with the authority, and what it has kept."""

    def __init__(self) -> None:
        self.authority, self.identity = create("shield", "a", WALL)
        self.invites = Invites()
        self.members = {"a"}
        self.kept: list[list[dict[str, Any]]] = []
        self.admission = Admission(
            self.authority,
            self.invites,
            is_member=self.members.__contains__,
            seeds=lambda: SEEDS,
            keep=lambda: self.kept.append(self.admission.invites.rows()),
        )

    def invite(self, node: str = "") -> JoinToken:
        return self.invites.create("shield", self.authority.root.public, SEEDS, WALL, node=node)

    def ask(self, claim: bytes, wall: float = WALL) -> bytes:
        guest = AdmissionGuest(self.admission)
        answer = guest.receive_data(claim, wall)
        assert guest.done
        return answer

    def join(self, token: JoinToken, node: str, wall: float = WALL) -> Admitted:
        joiner = Joiner(token, node, new_key())
        admitted = joiner.receive_data(self.ask(joiner.claim(self.identity.certificate, WALL), wall))
        assert admitted is not None
        return admitted


@pytest.fixture
def site() -> Site:
    return Site()


def refusal(call: Callable[..., object], *arguments: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def answer_of(data: bytes) -> Any:
    frames = Frames()
    frames.feed(data)
    frame = frames.next_frame()
    assert frame is not None
    return decode(frame)


def claim_of(token: JoinToken, node: str = "b", request: bytes | None = None) -> bytes:
    request = make_request(new_key(), node) if request is None else request
    return encode_message(Claim(token.id, token.secret, node, request))


def test_a_token_makes_a_member(site: Site) -> None:
    """The new host has an identity of the cluster and addresses of members."""
    admitted = site.join(site.invite(), "b")
    assert admitted.identity.name == "b"
    assert admitted.identity.cluster == "shield"
    assert admitted.identity.own.verify(admitted.identity.sign(b"x"), b"x")
    assert not admitted.identity.own.authority
    assert admitted.seeds == SEEDS


def test_everything_is_kept_before_the_certificate_leaves(site: Site) -> None:
    """A crash after the answer cannot make the token good again."""
    token = site.invite()
    site.join(token, "b")
    assert site.kept[-1][0]["used_by"] == "b"
    site.admission.invites = Invites(site.kept[-1])
    assert refusal(site.join, token, "c") == "used_token"


def test_if_it_cannot_be_kept_nothing_is_given(site: Site) -> None:
    """A full disk fails the join instead of making a token that works twice."""

    def full() -> None:
        raise SystemFailure("invites.json: No space left on device")

    keep, site.admission._keep = site.admission._keep, full
    token = site.invite()
    assert refusal(site.join, token, "b") == "not_kept"
    assert refusal(site.join, replace(token, secret=bytes(16)), "b") == "not_kept"
    site.admission._keep = keep
    assert site.join(token, "b").identity.name == "b"
    named = site.invite("b")
    site.admission._keep = full
    assert refusal(site.join, named, "b") == "not_kept"
    assert site.authority.taken("b", WALL)


def test_a_reused_token_is_refused(site: Site) -> None:
    """Also for the name that used it, with another key."""
    token = site.invite()
    site.join(token, "b")
    assert refusal(site.join, token, "c") == "used_token"
    assert refusal(site.join, token, "b") == "used_token"


def test_a_lost_answer_may_be_asked_for_again(site: Site) -> None:
    """The same host with the same key gets its certificate although the token is used."""
    token = site.invite()
    joiner = Joiner(token, "b", new_key())
    claim = joiner.claim(site.identity.certificate, WALL)
    site.ask(claim)
    admitted = joiner.receive_data(site.ask(claim))
    assert admitted is not None
    assert admitted.identity.name == "b"


def test_an_expired_token_is_refused(site: Site) -> None:
    """The clock of the authority counts."""
    assert refusal(site.join, site.invite(), "b", WALL + 901) == "expired_token"


def test_wrong_secrets_burn_the_token_even_over_a_restart(site: Site) -> None:
    """Five guesses in all, however often the node is restarted."""
    token = site.invite()
    for _ in range(5):
        assert refusal(site.join, replace(token, secret=bytes(16)), "b") == "wrong_secret"
        site.admission.invites = Invites(site.kept[-1])
    assert refusal(site.join, token, "b") == "burnt_token"


def test_a_taken_name_is_refused_and_the_token_stays_good(site: Site) -> None:
    """Members and names whose certificate lives are taken; the operator hears what to do."""
    site.members.add("c")
    token = site.invite()
    for name in ("a", "c"):
        with pytest.raises(RefusedError, match=f"invite --node {name}") as caught:
            site.join(token, name)
        assert caught.value.reason == "name_taken"
    site.join(site.invite(), "d")
    assert refusal(site.join, token, "d") == "name_taken"
    assert site.join(token, "b").identity.name == "b"


def test_a_revoked_name_is_free_again(site: Site) -> None:
    """What was put out may be installed anew; the old certificate stays void."""
    old = site.join(site.invite(), "b").identity
    site.authority.revoke("b", WALL + 1)
    fresh = site.join(site.invite(), "b", WALL + 2).identity
    fresh.own.check(WALL + 2, site.authority.revocations.times)
    with pytest.raises(RemoteError, match="revoked"):
        old.own.check(WALL + 2, site.authority.revocations.times)


def test_an_invite_that_names_a_member_replaces_it(site: Site) -> None:
    """The operator has said so; any other name is refused by both sides."""
    site.join(site.invite(), "b")
    site.members.add("b")
    token = site.invite("b")
    with pytest.raises(InputError, match="for a node named b, not c"):
        Joiner(token, "c", new_key())
    assert refusal(site.join, replace(token, node=""), "c") == "wrong_name"
    assert site.join(token, "b").identity.name == "b"


def test_a_token_of_another_cluster_is_not_shown(site: Site) -> None:
    """The pin differs, so not even the name of the token leaves the host."""
    foreign = Site().invite()
    joiner = Joiner(foreign, "b", new_key())
    with pytest.raises(RemoteError, match="certificate"):
        joiner.claim(site.identity.certificate, WALL)


@pytest.mark.parametrize("shown", [None, b"", b"garbage"])
def test_a_server_without_certificate_sees_no_claim(site: Site, shown: bytes | None) -> None:
    """Nothing shown is nothing proved."""
    with pytest.raises(RemoteError, match="certificate"):
        Joiner(site.invite(), "b", new_key()).claim(shown, WALL)


def test_a_captured_node_collects_no_tokens(site: Site) -> None:
    """A member that is not the authority's node may have a good certificate: it sees no claim."""
    captured = member(site.authority, "c")
    with pytest.raises(RemoteError, match="not the node with the authority"):
        Joiner(site.invite(), "b", new_key()).claim(captured.certificate, WALL)


def test_an_expired_server_sees_no_claim(site: Site) -> None:
    """Certificates have an end for joiners too."""
    with pytest.raises(RemoteError, match="expired"):
        Joiner(site.invite(), "b", new_key()).claim(
            site.identity.certificate, WALL + CERTIFICATE_LIFE + 1
        )


@pytest.mark.parametrize("node", ["B", "", "a b"])
def test_a_wrong_name_is_told_before_anybody_is_asked(site: Site, node: str) -> None:
    """The rule for names is checked on the new host."""
    with pytest.raises(InputError, match="node name"):
        Joiner(site.invite(), node, new_key())


def swapped_request() -> bytes:
    """A request with somebody else's public key in it."""
    mine, theirs = make_request(new_key(), "b"), make_request(new_key(), "b")
    return mine.replace(read_request(mine)[1], read_request(theirs)[1])


@pytest.mark.parametrize(
    ("request_der", "reason"),
    [
        (b"garbage", "request"),
        (b"", "request"),
        (swapped_request(), "request"),
        (make_request(new_key(), "c"), "wrong_name"),
    ],
    ids=["garbage", "empty", "key-of-another", "name-of-another"],
)
def test_a_claim_needs_a_request_of_its_own(site: Site, request_der: bytes, reason: str) -> None:
    """Whoever asks must own the key and ask for one name; the token stays good for the rightful host."""
    token = site.invite()
    answer = answer_of(site.ask(claim_of(token, "b", request_der)))
    assert isinstance(answer, Refuse)
    assert answer.reason == reason
    assert site.join(token, "b").identity.name == "b"


def test_nothing_is_parsed_for_who_has_no_token(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate request of a stranger is not looked at."""
    monkeypatch.setattr(
        "shield.cluster.admission.read_request", lambda _der: pytest.fail("was looked at")
    )
    answer = answer_of(site.ask(claim_of(replace(site.invite(), id=bytes(8)), "b", b"x")))
    assert answer.reason == "unknown_token"
    assert site.kept == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ((MAX_GREETING + 1).to_bytes(4, "big"), "oversize"),
        (b"GET / HTTP/1.1\r\n\r\n", "oversize"),
        (b"\0\0\0\1\xc1", "garbage"),
        (b"\0\0\0\1\x01", "shape"),
        (b"\0\0\0\2\x91\x0a", "shape"),
        (b"\0\0\0\2\x91\x63", "no_certificate"),
        (encode_message(Leave("x")), "no_certificate"),
        (encode_message(Claim(b"", b"", "b", bytes(5000))), "shape"),
    ],
    ids=["oversize", "http", "garbage", "no-array", "no-fields", "unknown", "leave", "large-request"],
)
def test_what_is_no_claim_is_refused_by_reason(site: Site, data: bytes, reason: str) -> None:
    """One answer, then nothing more is read from this connection."""
    guest = AdmissionGuest(site.admission)
    answer = answer_of(guest.receive_data(data, WALL))
    assert isinstance(answer, Refuse)
    assert answer.reason == guest.reason == reason
    assert guest.done
    assert not guest.admitted


def test_there_is_one_claim_for_each_connection(site: Site) -> None:
    """Nobody guesses twice on one connection."""
    guest = AdmissionGuest(site.admission)
    token = site.invite()
    assert guest.receive_data(claim_of(replace(token, secret=bytes(16))), WALL)
    assert guest.reason == "wrong_secret"
    assert guest.receive_data(claim_of(token), WALL) == b""
    assert not guest.admitted


def test_a_claim_in_pieces_is_one_claim(site: Site) -> None:
    """TCP cuts where it likes."""
    guest = AdmissionGuest(site.admission)
    claim = claim_of(site.invite())
    for octet in claim[:-1]:
        assert guest.receive_data(bytes([octet]), WALL) == b""
        assert not guest.done
    assert guest.receive_data(claim[-1:], WALL)
    assert guest.admitted == "b"


@given(st.binary(max_size=200))
def test_noise_never_admits_and_never_breaks(noise: bytes) -> None:
    """Any bytes of a stranger: a refusal or waiting for more."""
    guest = AdmissionGuest(NOISE_SITE.admission)
    answer = guest.receive_data(noise, WALL)
    assert not guest.admitted
    assert bool(answer) == guest.done


@given(st.binary(max_size=200))
def test_noise_as_answer_makes_no_identity(noise: bytes) -> None:
    """Any bytes of a server: an error of ours or waiting for more."""
    joiner = Joiner(NOISE_TOKEN, "b", new_key())
    with suppress(RemoteError, RefusedError):
        assert joiner.receive_data(noise) is None


NOISE_SITE = Site()
NOISE_TOKEN = NOISE_SITE.invite()


def forged_answers() -> dict[str, Callable[[Authority, Identity, bytes], Admit]]:
    """Answers of a server that wants the new host in another cluster, or under another name."""
    other, stranger = create("shield", "a", WALL)

    def issue(authority: Authority, name: str, key: bytes) -> bytes:
        return authority.issue(name, key, WALL)

    def right(authority: Authority, _identity: Identity, key: bytes) -> Admit:
        return Admit(issue(authority, "b", key), authority.certificate, "shield", ())

    return {
        "another authority": lambda _a, _i, key: Admit(
            issue(other, "b", key), other.certificate, "shield", ()
        ),
        "certificate of another authority": lambda a, _i, key: Admit(
            issue(other, "b", key), a.certificate, "shield", ()
        ),
        "authority of another": lambda a, i, key: right(a, i, key)._replace(authority=other.certificate),
        "another key": lambda a, i, _key: right(a, i, stranger.own.public),
        "another name": lambda a, _i, key: Admit(issue(a, "c", key), a.certificate, "shield", ()),
        "another cluster": lambda a, i, key: right(a, i, key)._replace(cluster="other"),
        "a node as authority": lambda a, i, key: right(a, i, key)._replace(authority=i.certificate),
        "garbage": lambda a, i, key: right(a, i, key)._replace(certificate=b"garbage"),
    }


@pytest.mark.parametrize("case", forged_answers())
def test_a_forged_answer_is_not_believed(site: Site, case: str) -> None:
    """The certificate must be for our key and name, by the authority that the token pins."""
    key = new_key()
    joiner = Joiner(site.invite(), "b", key)
    answer = forged_answers()[case](site.authority, site.identity, key.public_key().public_bytes_raw())
    with pytest.raises(RemoteError):
        joiner.receive_data(encode_message(answer))


def test_an_answer_that_is_none_is_told(site: Site) -> None:
    """Neither admitted nor refused is a broken protocol."""
    with pytest.raises(RemoteError, match="unexpected"):
        Joiner(site.invite(), "b", new_key()).receive_data(encode_message(Leave("x")))


def test_a_refusal_cannot_write_to_the_terminal(site: Site) -> None:
    """Escape sequences in the words of a server are not passed on."""
    joiner = Joiner(site.invite(), "b", new_key())
    with pytest.raises(RefusedError) as caught:
        joiner.receive_data(encode_message(Refuse("no\x1b[2J", "a\nb\x07")))
    assert str(caught.value) == "refused (no?[2J): a?b?"
