"""The authority: issue, renew, revoke, and clocks that are set back."""

from __future__ import annotations

import pytest

from shield.cluster import authority as module
from shield.cluster.authority import CERTIFICATE_LIFE, DAY, Authority, create
from shield.cluster.identity import Certificate, make_request, new_key
from shield.cluster.revocation import Revocation, Revocations
from shield.errors import InputError, RemoteError
from tests.cluster.identities import WALL, cluster, member


@pytest.fixture
def authority() -> Authority:
    return create("shield", "a", WALL)[0]


def is_revoked(certificate: Certificate, authority: Authority, wall: float = WALL) -> bool:
    try:
        certificate.check(wall, authority.revocations.times)
    except RemoteError as error:
        return error.reason == "revoked"
    return False


def test_the_first_node_admits_others() -> None:
    """Joiners show their token only to the node whose certificate says that it is the authority's."""
    authority, identity = create("lab", "pbx-1", WALL)
    assert authority.cluster == identity.cluster == "lab"
    assert identity.name == "pbx-1"
    assert identity.own.authority
    assert not member(authority, "b").own.authority


@pytest.mark.parametrize(("cluster_name", "node"), [("Lab", "a"), ("lab", "A"), ("", "a")])
def test_wrong_names_make_no_cluster(cluster_name: str, node: str) -> None:
    """Names are checked before anything is made."""
    with pytest.raises(InputError):
        create(cluster_name, node, WALL)


def test_each_certificate_has_a_serial_number_of_its_own(authority: Authority) -> None:
    """Also two of the same moment for the same node."""
    serials = {member(authority, "b").own.serial for _ in range(10)}
    assert len(serials) == 10
    assert all(serial.bit_length() < 160 for serial in serials)  # RFC 5280 section 4.1.2.2


def test_a_revoked_node_is_out_and_may_come_back_anew(authority: Authority) -> None:
    """All certificates so far are void, one that is issued later counts, others are not touched."""
    first, other = member(authority, "b"), member(authority, "c")
    second = member(authority, "b", WALL + 5)
    revocation = authority.revoke("b", WALL + 10)
    assert is_revoked(first.own, authority)
    assert is_revoked(second.own, authority)
    assert not is_revoked(other.own, authority)
    assert Revocation.read(revocation.body, revocation.signature, authority.certificate) == revocation
    # The very same moment, so the order in which it was said must decide.
    assert not is_revoked(member(authority, "b", WALL + 10).own, authority)


def test_a_clock_that_was_set_back_saves_no_certificate(authority: Authority) -> None:
    """A certificate issued by a clock that ran ahead is revoked all the same."""
    early = member(authority, "b", WALL + 3600)
    authority.revoke("b", WALL)
    assert is_revoked(early.own, authority)
    assert not is_revoked(member(authority, "b", WALL + 1).own, authority)


def test_a_restart_forgets_nothing(authority: Authority) -> None:
    """With what was kept, an authority knows which names are given away and revokes them."""
    early = member(authority, "b", WALL + 3600)
    again = Authority(authority.key, authority.certificate, issued=dict(authority.issued))
    assert again.taken("b", WALL)
    again.revoke("b", WALL)
    assert is_revoked(early.own, again)


def test_a_name_is_taken_while_its_certificate_lives(authority: Authority) -> None:
    """Unknown, expired and revoked names are free."""
    assert not authority.taken("b", WALL)
    member(authority, "b")
    assert authority.taken("b", WALL + CERTIFICATE_LIFE - 1)
    assert not authority.taken("b", WALL + CERTIFICATE_LIFE + 1)
    authority.revoke("b", WALL + 1)
    assert not authority.taken("b", WALL + 1)


def test_renewal_keeps_name_and_role(authority: Authority) -> None:
    """A node gets a certificate for the same name that lives longer."""
    node = member(authority, "b")
    later = WALL + 60 * DAY
    fresh = node.renewed(authority.renew(node.own, node.request(), later))
    assert fresh.name == "b"
    assert fresh.expires == later + CERTIFICATE_LIFE
    assert not fresh.own.authority
    first = authority.own_identity("a", WALL)
    assert first.renewed(authority.renew(first.own, first.request(), later)).own.authority


def test_renewal_is_for_the_own_name_only(authority: Authority) -> None:
    """A node cannot become another one by asking for its name."""
    node = member(authority, "b")
    with pytest.raises(RemoteError) as caught:
        authority.renew(node.own, make_request(node.key, "a"), WALL)
    assert caught.value.reason == "wrong_name"


def test_nobody_renews_what_does_not_count(authority: Authority) -> None:
    """Revoked and expired certificates and requests that are none are refused by reason."""
    node = member(authority, "b")
    for request, wall, reason in (
        (b"garbage", WALL, "request"),
        (node.request(), WALL + CERTIFICATE_LIFE + 1, "expired"),
    ):
        with pytest.raises(RemoteError) as caught:
            authority.renew(node.own, request, wall)
        assert caught.value.reason == reason
    authority.revoke("b", WALL)
    with pytest.raises(RemoteError, match="revoked"):
        authority.renew(node.own, node.request(), WALL)


def test_an_authority_renews_no_foreign_certificate(authority: Authority) -> None:
    """A certificate of a cluster with another name is not renewed here."""
    stranger = member(create("other", "a", WALL)[0], "b")
    with pytest.raises(RemoteError, match="wrong_name"):
        authority.renew(stranger.own, stranger.request(), WALL)


def test_the_node_with_the_authority_renews_itself(authority: Authority) -> None:
    """Whatever its certificate says now: expired, or that of a node without authority."""
    plain = member(authority, "b")
    late = WALL + 2 * CERTIFICATE_LIFE
    fresh = authority.own_identity("b", late, plain.key)
    fresh.own.check(late, authority.revocations.times)
    assert fresh.own.authority
    assert fresh.secret(b"x") == plain.secret(b"x")


def test_an_authority_has_its_own_key(authority: Authority) -> None:
    """A key that does not belong to the certificate is noticed at once."""
    with pytest.raises(RemoteError, match="another key"):
        Authority(new_key(), authority.certificate)


def test_revocations_are_shared_with_the_node(authority: Authority) -> None:
    """What the authority revokes, the node that holds it knows without being told."""
    shared = Revocations()
    again = Authority(authority.key, authority.certificate, revocations=shared)
    again.revoke("b", WALL)
    assert "b" in shared.times


def test_the_memory_of_names_is_bounded(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one issued first is forgotten."""
    monkeypatch.setattr(module, "MAX_ISSUED", 2)
    for name in ("b", "c", "b", "d"):
        member(authority, name)
    assert list(authority.issued) == ["b", "d"]


def test_clusters_of_tests_are_cached() -> None:
    """Tests that only read share one cluster."""
    assert cluster() is cluster()
