"""shield.location.registration: who is bound where, by a REGISTER that was let in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shield.errors import RemoteError
from shield.location.registration import (
    MAX_AOR,
    MAX_CONTACTS,
    MAX_EXPIRES,
    Binding,
    Registration,
    aor_of,
    pack_registration,
    read_registration,
    registered,
    shown,
)
from shield.sip.event import Kind, SipEvent
from shield.wire import pack_value
from tests.builders import datagram, read_request, read_response, request, response

HOME = "<sip:100@192.0.2.9:5060>"


def event(
    *contacts: str,
    asked: tuple[str, ...] = (f"Contact: {HOME}",),
    kind: Kind = Kind.ACCEPTED,
    method: str = "REGISTER",
    status: int = 200,
    user: str = "100",
) -> SipEvent:
    """A REGISTER with these header lines, answered with these."""
    sent = request(method, *asked, user=user)
    made = SipEvent(kind, datagram(sent, 1000.0), read_request(sent))
    made.response, made.status = read_response(response(status, sent, *contacts)), status
    return made


def bound(one: SipEvent) -> dict[bytes, float]:
    found = registered(one)
    assert found is not None
    return {binding.contact: binding.left for binding in found.bindings}


def test_the_answer_says_which_bindings_there_are() -> None:
    """Not the request: the registrar may grant less, and knows the other devices."""
    answer = (f"Contact: {HOME};expires=60, <sip:100@192.0.2.8>;expires=1800;q=0.5",)
    found = registered(event(*answer, asked=(f"Contact: {HOME}", "Expires: 3600")))
    assert found is not None
    assert found.bindings == (
        Binding(b"sip:100@192.0.2.9:5060", 60.0),
        Binding(b"sip:100@192.0.2.8", 1800.0),
    )
    assert (found.aor, found.server, found.transport, found.time) == (
        b"100@host.example", "198.51.100.1:5060", "udp", 1000.0,
    )  # fmt: skip
    assert found.left == 1800.0


@pytest.mark.parametrize(
    ("answer", "asked", "left"),
    [
        (("Expires: 120", f"Contact: {HOME}"), (f"Contact: {HOME}",), 120.0),
        ((f"Contact: {HOME}",), (f"Contact: {HOME}", "Expires: 90"), 90.0),
        ((f"Contact: {HOME}",), (f"Contact: {HOME}",), 3600.0),
        ((), (f"Contact: {HOME};expires=77",), 77.0),
        ((f"Contact: {HOME};expires=9999999",), (), float(MAX_EXPIRES)),
        ((f"m: {HOME};EXPIRES=30",), (), 30.0),
        ((f"Contact: {HOME};expires=x",), ("Expires: 40",), 40.0),
    ],
)
def test_how_long(answer: tuple[str, ...], asked: tuple[str, ...], left: float) -> None:
    """expires of the contact, else Expires of the answer, else of the request, else an hour."""
    assert bound(event(*answer, asked=asked)) == {b"sip:100@192.0.2.9:5060": left}


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        ((), ("Contact: *", "Expires: 0")),
        ((), (f"Contact: {HOME};expires=0",)),
        ((), (f"Contact: {HOME}", "Expires: 0")),
        ((f"Contact: {HOME};expires=0",), (f"Contact: {HOME}", "Expires: 0")),
        ((), ()),
    ],
)
def test_nothing_is_left_after_unregistering(answer: tuple[str, ...], asked: tuple[str, ...]) -> None:
    """The star, an expiry of zero, or a query that finds nobody."""
    assert bound(event(*answer, asked=asked)) == {}


def test_one_of_two_devices_unregisters() -> None:
    """The other one is still in the answer."""
    answer = ("Contact: <sip:100@192.0.2.8>;expires=500",)
    assert bound(event(*answer, asked=(f"Contact: {HOME};expires=0",))) == {b"sip:100@192.0.2.8": 500.0}


@pytest.mark.parametrize(
    "other",
    [
        {"kind": Kind.ANSWER},
        {"kind": Kind.REFUSED, "status": 403},
        {"kind": Kind.REQUEST},
        {"method": "SUBSCRIBE"},
        {"status": 300},
    ],
)
def test_only_a_register_that_was_let_in_with_credentials_counts(other: dict[str, object]) -> None:
    """Anybody can forge the rest, or an open server answers 200 to everybody."""
    assert registered(event(f"Contact: {HOME}", **other)) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "aor"),
    [
        (b"<sip:Alice@Example.COM:5061;transport=tcp>;tag=1", b"Alice@example.com"),
        (b"sip:al%3Aice@h.example", b"al:ice@h.example"),
        (b'"Al, <x>" <sips:a%20b@h.example>', b"a b@h.example"),
        (b"<sip:a%40b@h.example>", b"a@b@h.example"),
        (b"<sip:\xc3\xa9\xff@h.example>", b"\xc3\xa9\xff@h.example"),
        (b"<sip:x@[2001:DB8::1]>", b"x@2001:db8::1"),
        (b"<sip:h.example>", None),
        (b"<tel:+49123>", None),
        (b"<sip:" + b"x" * MAX_AOR + b"@h.example>", None),
        (b"nonsense", None),
    ],
)
def test_addresses_of_record(value: bytes, aor: bytes | None) -> None:
    """Colons, blanks and 8-bit text in users survive; parameters and ports are not part of it."""
    assert aor_of(value) == aor


def test_a_registrar_that_lists_hundreds_is_cut() -> None:
    """And contacts without end are left out."""
    many = ", ".join(f"<sip:100@192.0.2.{number}>" for number in range(40))
    assert len(bound(event(f"Contact: {many}"))) == MAX_CONTACTS
    assert bound(event(f"Contact: <sip:{'x' * 600}@h>, {HOME}")) == {b"sip:100@192.0.2.9:5060": 3600.0}


def test_contacts_that_cannot_be_read_cost_only_themselves() -> None:
    """The others of the same answer count."""
    assert bound(event(f"Contact: <<>>, {HOME};expires=5")) == {b"sip:100@192.0.2.9:5060": 5.0}


BINDINGS = st.lists(
    st.builds(Binding, st.binary(max_size=40), st.integers(1, MAX_EXPIRES).map(float)),
    min_size=1, max_size=MAX_CONTACTS,
)  # fmt: skip


@given(st.binary(min_size=1, max_size=60), BINDINGS)
def test_a_registration_travels_with_the_time_that_is_left(aor: bytes, bindings: list[Binding]) -> None:
    """What has ended meanwhile is gone; the rest has that much less."""
    sent = Registration(aor, "192.0.2.1:5060", "tcp", 5.0, tuple(bindings))
    back = read_registration(aor, pack_registration(sent), sent.left)
    assert back == sent
    later = read_registration(aor, pack_registration(sent), sent.left - 0.5)
    assert [b.contact for b in later.bindings] == [b.contact for b in bindings if b.left > 0.5]


@pytest.mark.parametrize(
    "value",
    [
        b"", b"\xc1", pack_value(7), pack_value(("a", "udp", 1.0)), pack_value((1, "udp", 1.0, ())),
        pack_value(("a", "x" * 9, 1.0, ())), pack_value(("a", "udp", "1", ())),
        pack_value(("a", "udp", 1.0, (7,))), pack_value(("a", "udp", 1.0, (("c", 1.0),))),
        pack_value(("a", "udp", 1.0, ((b"c", 1.0),) * 17)), b"x" * 5000,
    ],
)  # fmt: skip
def test_values_that_cannot_be_read(value: bytes) -> None:
    """One error, whatever it is."""
    with pytest.raises(RemoteError):
        read_registration(b"a@b", value, 10.0)


def test_octets_are_shown_as_text() -> None:
    """UTF-8 as it is, anything else escaped as in a URI, so that it can be asked for again."""
    assert shown("é b".encode()) == "é b"
    assert shown(b"a\xff\n@h") == "a%FF%0A@h"
