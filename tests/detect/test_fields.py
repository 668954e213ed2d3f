"""Facts of fields: the names under which rules speak of a message."""

from __future__ import annotations

import pytest

from shield.detect.fields import FIELDS, field
from shield.errors import ConfigError
from shield.sip.event import Kind, SipEvent
from tests.builders import datagram, read_request, request


def event_of(payload: bytes, kind: Kind = Kind.REQUEST) -> SipEvent:
    """A request as an event, its branch as the tracker sets it."""
    return SipEvent(kind, datagram(payload), read_request(payload))


def value(name: str, event: SipEvent) -> bytes | None:
    return field(name, "rule")(event)


INVITE = event_of(
    request(
        "INVITE",
        "Contact: <sip:me@192.0.2.9>",
        "X-Colour: blue",
        "Max-Forwards: 70",
        user="alice",
        call_id="id7",
        tag="f7",
        to_tag="t7",
        cseq=9,
        agent="phone/2",
    ).replace(b"Length: 0", b"Length: 3")
    + b"v=0 and more"
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("method", b"INVITE"),
        ("uri", b"sip:alice@host.example"),
        ("user", b"alice"),
        ("domain", b"host.example"),
        ("from", b"<sip:alice@host.example>;tag=f7"),
        ("from.user", b"alice"),
        ("from.host", b"host.example"),
        ("from.tag", b"f7"),
        ("to", b"<sip:alice@host.example>;tag=t7"),
        ("to.user", b"alice"),
        ("to.tag", b"t7"),
        ("via", b"SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK1"),
        ("branch", b"z9hG4bK1"),
        ("call-id", b"id7"),
        ("cseq", b"9 INVITE"),
        ("contact", b"<sip:me@192.0.2.9>"),
        ("user-agent", b"phone/2"),
        ("header.Max-Forwards", b"70"),
        ("header.x-colour", b"blue"),
        ("header.Subject", None),
        ("source-port", b"5060"),
        ("target", b"198.51.100.1:5060"),
        ("auth.user", None),
        ("auth.nonce", None),
        ("auth.response", None),
        ("called", None),
        ("tail", None),
        ("defect", None),
        ("body", b"v=0"),
    ],
)
def test_each_name_gives_its_part(name: str, expected: bytes | None) -> None:
    """Every field reads the part that it is named after; what the message lacks is None."""
    assert value(name, INVITE) == expected


def test_raw_is_the_header_as_received() -> None:
    """A rule about spelling sees the bytes themselves."""
    raw = value("raw", INVITE)
    assert raw is not None
    assert raw.startswith(b"INVITE sip:alice@host.example SIP/2.0\r\n")


def test_credentials_are_read_apart() -> None:
    """User, nonce and response of the credentials that count."""
    event = event_of(request())
    event.auth = (b"bob", b"n1", b"r1")
    assert [value(f"auth.{name}", event) for name in ("user", "nonce", "response")] == [
        b"bob",
        b"n1",
        b"r1",
    ]


@pytest.mark.parametrize(
    ("user", "called", "tail"),
    [
        ("0044-20.7946 0000".replace(" ", ""), b"00442079460000", b"9460000"),
        ("+442079460000", b"+442079460000", b"9460000"),
        ("1234567", b"1234567", None),
        ("12345678", b"12345678", b"2345678"),
        ("*97", b"*97", None),
        ("alice", None, None),
        ("a12345678", None, None),
        ("+", None, None),
    ],
)
def test_called_is_a_number_and_tail_its_subscriber(
    user: str, called: bytes | None, tail: bytes | None
) -> None:
    """Separators are left out; a short number has no tail, or every extension would look alike."""
    event = event_of(request("INVITE", user=user))
    assert value("called", event) == called
    assert value("tail", event) == tail


def test_defects_are_one_value() -> None:
    """A rule that counts distinct defects needs one text for each combination."""
    event = event_of(request("OPTIONS", "To: <sip:other@host.example>", cseq="x"))
    defect = value("defect", event)
    assert defect is not None
    assert set(defect.split(b",")) >= {b"duplicate_to", b"bad_cseq"}


def test_an_unreadable_message_has_few_fields() -> None:
    """Every reader takes an event without a request; only raw, defect and addresses say something."""
    event = SipEvent(Kind.MALFORMED, datagram(b"hello"), None)
    given = {name: read(event) for name, read in FIELDS.items()}
    given["header"] = value("header.To", event)
    assert {name: found for name, found in given.items() if found} == {
        "raw": b"hello",
        "defect": b"unreadable",
        "source-port": b"5060",
        "target": b"198.51.100.1:5060",
    }


@pytest.mark.parametrize("name", ["", "uri.user", "header", "header.", "User"])
def test_an_unknown_name_is_refused(name: str) -> None:
    """The error says where it stands and which names there are."""
    with pytest.raises(ConfigError, match=r"a\.toml: unknown field .*source-port.*header\.NAME"):
        field(name, "a.toml")
