"""Join tokens survive copying or say what is wrong; invites are for one join and a short time."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.cluster.tokens import MAX_OPEN, MAX_VALID, Invites, JoinToken
from shield.errors import InputError, RemoteError
from shield.wire import pack_value

WALL = 1_800_000_000.0
PUBLIC = bytes(range(32))
SEEDS = (("192.0.2.1", 7170), ("2001:db8::1", 7170))
KEY, OTHER_KEY = bytes(32), b"\1" * 32


def make(invites: Invites, *, valid: float = 900.0, node: str = "") -> JoinToken:
    return invites.create("shield", PUBLIC, SEEDS, WALL, valid=valid, node=node)


def reason(invites: Invites, token: JoinToken, wall: float = WALL) -> str:
    with pytest.raises(RemoteError) as caught:
        invites.find(token.id, token.secret, wall)
    return caught.value.reason


def test_a_token_is_one_word_and_comes_back() -> None:
    """The text holds everything and needs no quotes in a shell."""
    token = make(Invites(), node="pbx-2")
    text = token.encode()
    assert text.startswith("shield1.")
    assert len(text) < 260
    assert text.replace("-", "").replace("_", "").replace(".", "").isalnum()
    assert JoinToken.parse(text) == token


def test_line_breaks_of_a_terminal_do_no_harm() -> None:
    """Tokens are copied from terminals and mails, which break lines."""
    token = make(Invites())
    text = token.encode()
    assert JoinToken.parse(f"  {text[:70]}\r\n  {text[70:]}\n") == token


def test_every_truncated_copy_is_noticed() -> None:
    """Wherever the copy ends, the error says that it is cut off and to copy all of it."""
    text = make(Invites()).encode()
    for end in range(len("shield1."), len(text)):
        with pytest.raises(InputError, match="copy all of it"):
            JoinToken.parse(text[:end])


def test_a_slip_of_the_hand_is_noticed() -> None:
    """One wrong character is told here and costs none of the five tries."""
    text = make(Invites()).encode()
    for place in range(len("shield1."), len(text)):
        wrong = "A" if text[place] != "A" else "B"
        spoiled = text[:place] + wrong + text[place + 1 :]
        # The last character has bits that mean nothing.
        if place == len(text) - 1:
            continue
        with pytest.raises(InputError, match="the join token is damaged"):
            JoinToken.parse(spoiled)


@pytest.mark.parametrize("text", ["", "hello", "shield2.AAAA", "SHIELD1.AAAA", "eyJhbGciOi"])
def test_what_is_no_token_is_told_so(text: str) -> None:
    """A wrong prefix gets the prefix and where tokens come from."""
    with pytest.raises(InputError, match=r"not a join token: one begins with 'shield1.'"):
        JoinToken.parse(text)


def test_an_endless_token_is_refused() -> None:
    """A file given by mistake is not decoded."""
    with pytest.raises(InputError, match="longer than"):
        JoinToken.parse("shield1." + "A" * 10_000)


@given(st.text(max_size=300) | st.binary(max_size=200).map(lambda data: data.hex()))
def test_noise_gives_an_input_error(noise: str) -> None:
    """No text whatever raises anything else."""
    for text in (noise, "shield1." + noise):
        with pytest.raises(InputError):
            JoinToken.parse(text)


@pytest.mark.parametrize(
    "change",
    [
        {"cluster": "A b"},
        {"public": bytes(31)},
        {"addresses": ()},
        {"addresses": (("h", 0),)},
        {"id": b""},
        {"secret": b""},
        {"expires": "now"},
        {"node": "../x"},
    ],
    ids=",".join,
)
def test_a_well_packed_token_with_nonsense_is_refused(change: dict[str, object]) -> None:
    """Each field is checked before it is used."""
    token = replace(make(Invites()), **change)
    with pytest.raises(InputError, match="damaged"):
        JoinToken.parse(token.encode())


def test_later_fields_are_ignored() -> None:
    """A newer version may append fields to the token."""
    token = make(Invites())
    packed = base64.urlsafe_b64decode(token.encode()[8:] + "==")
    longer = bytes([packed[0] + 1]) + packed[1:] + pack_value("new")
    text = "shield1." + base64.urlsafe_b64encode(longer).rstrip(b"=").decode()
    assert JoinToken.parse(text) == token


def test_an_expired_token_is_told_before_anybody_is_asked() -> None:
    """The new host looks at its own clock first, and says that this may be what is wrong."""
    token = make(Invites(), valid=60)
    token.check(WALL + 60)
    with pytest.raises(InputError, match=r"expired.*clock.*shield cluster invite"):
        token.check(WALL + 61)


def test_a_token_shows_no_secret() -> None:
    """A log line with a token in it gives nothing away."""
    token = make(Invites())
    assert token.secret.hex() not in repr(token)
    assert str(token.secret) not in repr(token)


def test_only_a_hash_of_the_secret_is_kept() -> None:
    """Who reads the file of invites cannot join with it."""
    invites = Invites()
    token = make(invites)
    kept = json.dumps(invites.rows())
    assert token.secret.hex() not in kept
    assert token.id.hex() in kept


def test_a_restart_keeps_invites() -> None:
    """Open, used and burnt ones come back from JSON as they were."""
    invites = Invites()
    opened, used, burnt = make(invites, node="b"), make(invites), make(invites)
    invites.find(used.id, used.secret, WALL).use("c", KEY)
    for _ in range(5):
        assert reason(invites, replace(burnt, secret=bytes(16))) == "wrong_secret"
    again = Invites(json.loads(json.dumps(invites.rows())))
    assert again.rows() == invites.rows()
    assert again.find(opened.id, opened.secret, WALL).node == "b"
    assert reason(again, burnt) == "burnt_token"
    with pytest.raises(RemoteError, match="used_token: c has joined"):
        again.find(used.id, used.secret, WALL).allow("d", OTHER_KEY)


def test_a_token_is_for_one_join() -> None:
    """Used once, it is good for nobody else, not even for the same name with another key."""
    invites = Invites()
    token = make(invites)
    invite = invites.find(token.id, token.secret, WALL)
    invite.allow("b", KEY)
    invite.use("b", KEY)
    for name, key in (("b", OTHER_KEY), ("c", KEY)):
        with pytest.raises(RemoteError, match="used_token"):
            invite.allow(name, key)
    invite.allow("b", KEY)  # the answer was lost, and the same host asks again


def test_an_invite_may_name_its_node() -> None:
    """Then nobody joins under another name."""
    invites = Invites()
    token = make(invites, node="b")
    invite = invites.find(token.id, token.secret, WALL)
    invite.allow("b", KEY)
    with pytest.raises(RemoteError, match="wrong_name"):
        invite.allow("c", KEY)


def test_an_invite_expires() -> None:
    """By the clock of the node that made it, whatever the new host's clock says."""
    invites = Invites()
    token = make(invites, valid=60)
    assert invites.find(token.id, token.secret, WALL + 60)
    assert reason(invites, token, WALL + 61) == "expired_token"


def test_five_wrong_secrets_burn_an_invite() -> None:
    """After that the right one is refused too; other invites are not touched."""
    invites = Invites()
    token, other = make(invites), make(invites)
    for _ in range(5):
        assert reason(invites, replace(token, secret=bytes(16))) == "wrong_secret"
    assert reason(invites, token) == "burnt_token"
    assert invites.find(other.id, other.secret, WALL)


def test_an_unknown_token_changes_nothing() -> None:
    """Guessing names of tokens neither burns nor stores anything."""
    invites = Invites()
    token = make(invites)
    before = invites.rows()
    assert reason(invites, replace(token, id=bytes(8))) == "unknown_token"
    assert reason(invites, replace(token, id=b"")) == "unknown_token"
    assert invites.rows() == before


def test_open_counts_what_can_still_be_used() -> None:
    """Used, burnt and expired ones do not count; until they expire, their tokens get an answer."""
    invites = Invites()
    assert invites.open(WALL) == 0
    assert not invites.expected(WALL)
    used, burnt, _expires = make(invites), make(invites), make(invites, valid=10)
    assert invites.open(WALL) == 3
    invites.find(used.id, used.secret, WALL).use("b", KEY)
    for _ in range(5):
        reason(invites, replace(burnt, secret=bytes(16)))
    assert invites.open(WALL) == 1
    assert invites.open(WALL + 11) == 0
    assert invites.expected(WALL + 900)
    assert not invites.expected(WALL + 901)


def test_there_is_a_limit_and_time_frees_it() -> None:
    """A hundred may be open; expired ones make room, and so do used ones."""
    invites = Invites()
    tokens = [make(invites) for _ in range(MAX_OPEN)]
    with pytest.raises(InputError, match="100 invites are open"):
        make(invites)
    for token in tokens:
        invites.find(token.id, token.secret, WALL).use("b", KEY)
    for _ in range(MAX_OPEN):
        make(invites)
    assert len(invites.rows()) <= 2 * MAX_OPEN
    later = invites.create("shield", PUBLIC, SEEDS, WALL + 901)
    assert [row["id"] for row in invites.rows()] == [later.id.hex()]


def test_used_invites_are_bounded() -> None:
    """A script that invites and joins all week does not fill the file."""
    invites = Invites()
    for _ in range(3 * MAX_OPEN):
        token = make(invites)
        invites.find(token.id, token.secret, WALL).use("b", KEY)
    assert len(invites.rows()) <= MAX_OPEN + 1


@pytest.mark.parametrize(
    ("seeds", "valid", "node", "words"),
    [
        (SEEDS, 0.0, "", "valid for at most 7 days"),
        (SEEDS, MAX_VALID + 1, "", "valid for at most 7 days"),
        (SEEDS, float("nan"), "", "valid for at most 7 days"),
        ((), 900.0, "", "needs the address"),
        ((("h" * 300, 1),), 900.0, "", "needs the address"),
        (SEEDS, 900.0, "A B", "node name"),
    ],
)
def test_wrong_invites_are_not_made(
    seeds: tuple[tuple[str, int], ...], valid: float, node: str, words: str
) -> None:
    """What the operator asked for in vain is said in words, and nothing is kept."""
    invites = Invites()
    with pytest.raises(InputError, match=words):
        invites.create("shield", PUBLIC, seeds, WALL, valid=valid, node=node)
    assert invites.rows() == []
