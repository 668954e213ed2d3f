"""The directory of an identity, and TLS with nothing but the cluster's own certificates."""

from __future__ import annotations

import json
import ssl
import time
from pathlib import Path

import pytest

from shield.cluster.authority import CERTIFICATE_LIFE, Authority, create
from shield.cluster.identity import Certificate, Identity
from shield.cluster.identity_files import Directory, joiner_context
from shield.cluster.tokens import Invites
from shield.errors import ConfigError, InputError, SystemFailure
from tests.cluster.identities import Handshake, member

NOW = time.time()
# TLS looks at the clock of this machine.
SEEDS = (("192.0.2.1", 7170), ("a.example.net", 7171))


@pytest.fixture(scope="module")
def made() -> tuple[Authority, Identity]:
    return create("shield", "a", NOW)


@pytest.fixture
def directory(made: tuple[Authority, Identity], tmp_path: Path) -> Directory:
    authority, identity = made
    kept = Directory(tmp_path / "a")
    kept.create(identity, authority, SEEDS)
    return kept


def node_directory(authority: Authority, name: str, path: Path) -> Directory:
    kept = Directory(path / name)
    kept.create(member(authority, name, NOW), None, SEEDS)
    return kept


def test_what_was_written_is_read(made: tuple[Authority, Identity], directory: Directory) -> None:
    """Identity, authority and seeds come back as they were, also the names that were given away."""
    authority, identity = made
    stored = directory.load()
    assert stored.identity == identity
    assert stored.identity.own.verify(stored.identity.sign(b"x"), b"x")
    assert stored.authority is not None
    assert stored.authority.certificate == authority.certificate
    assert stored.authority.taken("a", NOW)
    assert stored.authority.revocations is stored.revocations
    assert stored.seeds == SEEDS


def test_only_the_first_node_holds_the_authority(
    made: tuple[Authority, Identity], tmp_path: Path
) -> None:
    """A node that joined has no key of the authority."""
    kept = node_directory(made[0], "b", tmp_path)
    assert kept.load().authority is None
    assert not (kept.path / "ca.key").exists()


def test_every_file_is_for_its_owner_alone(directory: Directory) -> None:
    """No file and not the directory can be read by others."""
    for path in (directory.path, *directory.path.iterdir()):
        assert path.stat().st_mode & 0o077 == 0


def test_revocations_invites_seeds_and_certificates_are_kept(
    made: tuple[Authority, Identity], directory: Directory
) -> None:
    """What changes while a node runs is there after a restart."""
    stored = directory.load()
    assert stored.authority is not None
    stored.authority.revoke("b", NOW)
    directory.save_revocations(stored.revocations)
    invites = Invites()
    token = invites.create("shield", stored.authority.root.public, SEEDS, NOW)
    directory.save_invites(invites.rows())
    fresh = stored.identity.renewed(
        stored.authority.renew(stored.identity.own, stored.identity.request(), NOW + 5)
    )
    directory.save_certificate(fresh)
    directory.save_issued(stored.authority)
    directory.save_seeds(fresh, [("::1", 7170)])
    again = directory.load()
    assert again.revocations.times == stored.revocations.times
    assert Invites(directory.load_invites()).find(token.id, token.secret, NOW).open
    assert token.secret.hex() not in (directory.path / "invites.json").read_text()
    assert again.identity == fresh
    assert again.seeds == (("::1", 7170),)
    assert again.authority is not None
    assert again.authority.issued == stored.authority.issued


def test_an_identity_is_never_overwritten(
    made: tuple[Authority, Identity], directory: Directory
) -> None:
    """A second init or join on a host is refused; so is one where only the authority's key is left."""
    for name in ("cluster.json", "ca.key"):
        assert directory.holds() == name
        with pytest.raises(InputError, match=f"{name} exists"):
            directory.create(made[1])
        (directory.path / name).unlink()
    assert directory.holds() == ""


def test_a_crash_before_the_last_file_leaves_no_identity(
    made: tuple[Authority, Identity], tmp_path: Path
) -> None:
    """A join that was interrupted can be done again."""
    kept = node_directory(made[0], "b", tmp_path)
    (kept.path / "cluster.json").unlink()
    with pytest.raises(ConfigError, match="no identity here"):
        kept.load()
    kept.create(made[1])
    assert kept.load().identity.name == "a"


def test_no_identity_says_how_to_make_one(tmp_path: Path) -> None:
    """The error names directory and commands."""
    with pytest.raises(ConfigError, match=r"nothing: no identity.*shield cluster init"):
        Directory(tmp_path / "nothing").load()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("ca.crt", b"garbage"),
        ("ca.crt", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        ("ca.key", b"garbage"),
        ("node.crt", b"\xff"),
        ("node.key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        ("cluster.json", b"[]"),
        ("cluster.json", b'{"cluster": "shield", "node": "b"}'),
        ("cluster.json", b'{"cluster": "shield", "node": "a", "seeds": [1]}'),
        ("revoked.json", b"[[1]]"),
        ("revoked.json", b'[["b", "00", "00"]]'),
        ("issued.json", b'{"b": "x"}'),
        ("issued.json", b"{"),
    ],
)
def test_a_broken_file_is_named(directory: Directory, name: str, content: bytes) -> None:
    """Damage is told with the name of the file, in one line."""
    (directory.path / name).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        directory.load()
    text = str(caught.value)
    # A wrong authority shows first where something is compared with it.
    assert str(directory.path / name) in text or name == "ca.crt"
    assert "\n" not in text


@pytest.mark.parametrize("name", ["ca.crt", "node.crt", "node.key"])
def test_a_missing_file_is_named(directory: Directory, name: str) -> None:
    """So that the operator knows what to restore."""
    (directory.path / name).unlink()
    for read in (directory.load, directory.server_context):
        with pytest.raises(SystemFailure, match=f"{name}: No such file"):
            read()


@pytest.mark.parametrize("name", ["ca.key", "node.key"])
def test_a_key_that_others_can_read_is_not_used(directory: Directory, name: str) -> None:
    """Somebody may have copied it; the operator is told what to do."""
    (directory.path / name).chmod(0o644)
    with pytest.raises(ConfigError, match=f"{name}: others may read.*chmod 600"):
        directory.load()
    if name == "node.key":
        with pytest.raises(ConfigError, match="chmod 600"):
            directory.client_context()


def test_files_of_two_nodes_do_not_mix(
    made: tuple[Authority, Identity], directory: Directory, tmp_path: Path
) -> None:
    """A key that does not fit its certificate is noticed, by load and by TLS."""
    other = node_directory(made[0], "b", tmp_path)
    (directory.path / "node.key").write_bytes((other.path / "node.key").read_bytes())
    for read in (directory.load, directory.client_context):
        with pytest.raises(ConfigError, match=r"node\.crt: "):
            read()


def test_an_address_of_our_own_stays_when_seeds_change(
    made: tuple[Authority, Identity], tmp_path: Path
) -> None:
    """What the operator said at `init` is not lost when members come and go."""
    kept = Directory(tmp_path / "a")
    kept.create(made[1], made[0], advertise=("pbx.example.net", 7170))
    kept.save_seeds(made[1], SEEDS)
    stored = kept.load()
    assert stored.advertise == ("pbx.example.net", 7170)
    assert stored.seeds == SEEDS


def test_seeds_are_bounded(directory: Directory) -> None:
    """A cluster that grows and grows does not grow the file without end."""
    identity = directory.load().identity
    directory.save_seeds(identity, [("h", port) for port in range(1, 5000)])
    assert len(json.loads((directory.path / "cluster.json").read_text())["seeds"]) == 1024


def test_members_shake_hands_and_see_each_other(
    made: tuple[Authority, Identity], directory: Directory, tmp_path: Path
) -> None:
    """TLS 1.3 both ways; each side has the other's certificate as DER and can name it."""
    authority, identity = made
    other = node_directory(authority, "b", tmp_path)
    for server, client, names in ((directory, other, "ab"), (other, directory, "ba")):
        pair = Handshake(server.server_context(), client.client_context())
        pair.run()
        assert pair.server.version() == pair.client.version() == "TLSv1.3"
        seen = [pair.client.getpeercert(binary_form=True), pair.server.getpeercert(binary_form=True)]
        read = [Certificate.read(der or b"", identity.authority) for der in seen]
        assert [certificate.name for certificate in read] == list(names)


def test_without_certificate_only_while_invites_are_open(directory: Directory) -> None:
    """CERT_REQUIRED refuses a joiner, CERT_OPTIONAL lets it in and shows that it has none."""
    context = directory.server_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate"):
        Handshake(context, joiner_context()).run()
    pair = Handshake(directory.server_context(guests=True), joiner_context())
    pair.run()
    assert pair.server.getpeercert(binary_form=True) is None
    assert pair.client.getpeercert(binary_form=True) == directory.load().identity.certificate


@pytest.mark.parametrize("guests", [False, True])
def test_a_certificate_of_another_authority_is_refused(
    directory: Directory, tmp_path: Path, guests: bool
) -> None:
    """By a server, open invites or not; names of the other cluster are the same."""
    other, stranger = create("shield", "a", NOW)
    foreign = Directory(tmp_path / "foreign")
    foreign.create(stranger, other)
    with pytest.raises(ssl.SSLError):
        Handshake(directory.server_context(guests=guests), foreign.client_context()).run()


def test_a_server_of_another_authority_is_refused(directory: Directory, tmp_path: Path) -> None:
    """A client trusts this cluster's authority and nobody else."""
    other, stranger = create("shield", "a", NOW)
    foreign = Directory(tmp_path / "foreign")
    foreign.create(stranger, other)
    with pytest.raises(ssl.SSLCertVerificationError):
        Handshake(foreign.server_context(), directory.client_context()).run()


def test_an_expired_certificate_is_refused_by_tls_already(
    made: tuple[Authority, Identity], directory: Directory, tmp_path: Path
) -> None:
    """Nothing of an expired peer is read."""
    old = Directory(tmp_path / "old")
    old.create(member(made[0], "old", NOW - CERTIFICATE_LIFE - 10))
    with pytest.raises(ssl.SSLError):
        Handshake(directory.server_context(), old.client_context()).run()


def test_older_tls_is_refused(directory: Directory) -> None:
    """Only TLS 1.3, in which a passive listener does not see who speaks."""
    client = directory.client_context()
    client.minimum_version = client.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        Handshake(directory.server_context(), client).run()


def test_only_the_own_authority_is_trusted(directory: Directory) -> None:
    """Not one of the hundred authorities that the system trusts."""
    for context in (directory.server_context(), directory.client_context()):
        assert context.cert_store_stats()["x509_ca"] == 1
        assert context.cert_store_stats()["x509"] == 1
    assert joiner_context().cert_store_stats()["x509"] == 0


def test_sessions_are_not_resumed(directory: Directory, tmp_path: Path) -> None:
    """A revoked node cannot come back with the ticket of an old session."""
    assert directory.server_context().num_tickets == 0


@pytest.mark.parametrize("rows", [b"[1]", b'[{"id": 5}]', b'[{"id": "", "digest": "", "expires": ""}]'])
def test_a_broken_list_of_invites_is_named(directory: Directory, rows: bytes) -> None:
    """What was damaged is told before anybody tries to join."""
    (directory.path / "invites.json").write_bytes(rows)
    with pytest.raises(ConfigError, match=r"invites\.json: "):
        directory.load_invites()
