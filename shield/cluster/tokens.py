"""Join tokens, which an operator carries to a new host, and the invites behind them (no I/O).

A token is a secret for one join within minutes. It also says where to go, and pins the key of the
authority, so the new host knows whom it talks to before it says anything.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from hmac import compare_digest
from typing import Any, Self

from shield.cluster.messages import MAX_ADDRESSES, are_addresses
from shield.cluster.names import check_name, is_name
from shield.cluster.settings import Address
from shield.errors import InputError, RemoteError
from shield.wire import pack_value, unpack_value

__all__ = ["DEFAULT_VALID", "MAX_OPEN", "MAX_VALID", "Invite", "Invites", "JoinToken"]

PREFIX = "shield1."
"""Tells people and programs what the text is; the digit is raised when old readers must not guess."""

MAX_TOKEN = 8192
"""Characters: sixteen of the longest host names fit."""

DEFAULT_VALID = 900.0
"""Seconds: time to log in to another host, not to forget the token in a chat."""

MAX_VALID = 7 * 86_400.0
"""Seconds: a host that is installed by somebody else next week."""

MAX_OPEN = 100
"""Invites that wait at once: more hosts than anybody installs in an hour."""

MAX_WRONG = 5
"""Wrong secrets before an invite is burnt: a good copy is right the first time."""

ID_SIZE, SECRET_SIZE, KEY_SIZE, CHECK_SIZE = 8, 16, 32, 4


@dataclass(frozen=True, slots=True)
class JoinToken:
    """What the text holds. ``addresses`` are those of the node with the authority."""

    cluster: str
    public: bytes
    """Ed25519 key of the authority, 32 octets."""
    addresses: tuple[Address, ...]
    id: bytes
    secret: bytes = field(repr=False)
    expires: float
    """Seconds since the epoch."""
    node: str = ""
    """Name that the new node must have, or empty."""

    def encode(self) -> str:
        """Give the text; about 200 characters that no shell changes."""
        body = self._body()
        packed = pack_value([*body, _check(body)])
        return PREFIX + base64.urlsafe_b64encode(packed).rstrip(b"=").decode()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a token; raises InputError that says what is wrong with the copy."""
        # A terminal or mail program may have broken the line.
        plain = "".join(text.split())
        if not plain.startswith(PREFIX):
            raise InputError(f"not a join token: one begins with {PREFIX!r} (`shield cluster invite`)")
        if len(plain) > MAX_TOKEN:
            raise InputError(f"not a join token: longer than {MAX_TOKEN} characters")
        encoded = plain.removeprefix(PREFIX)
        try:
            data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
            values = unpack_value(data)
        except (ValueError, RemoteError):
            raise InputError("the join token is damaged or cut off; copy all of it") from None
        if type(values) is not tuple or len(values) < 8:
            raise InputError("the join token is damaged or cut off; copy all of it")
        token = cls(*values[:7])
        if not token._sound() or values[7] != _check(token._body()):
            raise InputError("the join token is damaged; copy it once more")
        return token

    def check(self, wall: float) -> None:
        """Raise InputError when the token has expired by the clock of this host."""
        if wall > self.expires:
            raise InputError(
                "the join token has expired (or the clock of this host is wrong); "
                "make a new one with `shield cluster invite`"
            )

    def _body(self) -> list[Any]:
        return [
            self.cluster,
            self.public,
            self.addresses,
            self.id,
            self.secret,
            self.expires,
            self.node,
        ]

    def _sound(self) -> bool:
        sizes = ((self.public, KEY_SIZE), (self.id, ID_SIZE), (self.secret, SECRET_SIZE))
        return (
            type(self.cluster) is str
            and is_name(self.cluster)
            and all(type(value) is bytes and len(value) == size for value, size in sizes)
            and are_addresses(self.addresses)
            and len(self.addresses) > 0
            and type(self.expires) in (int, float)
            and type(self.node) is str
            and (not self.node or is_name(self.node))
        )


@dataclass(slots=True)
class Invite:
    """One join that is allowed. Of the secret only a hash is kept."""

    id: str
    """Hexadecimal, as is ``digest``."""
    digest: str
    expires: float
    node: str = ""
    """Name that the new node must have, or empty."""
    wrong: int = 0
    """How often a wrong secret came with it."""
    used_by: str = ""
    """Name of the node that joined with it."""
    used_key: str = ""
    """Public key of that node, hexadecimal."""

    @property
    def open(self) -> bool:
        """Whether it can still be used, but for its time."""
        return not self.used_by and self.wrong < MAX_WRONG

    def allow(self, node: str, key: bytes) -> None:
        """Raise RemoteError("used_token" or "wrong_name") unless ``node`` may join with ``key``.

        The node that used it may do so again with the same key (32 octets): its answer may have
        been lost on the way, and nobody gains by it.
        """
        if self.used_by and (self.used_by, self.used_key) != (node, key.hex()):
            raise RemoteError("used_token", f"{self.used_by} has joined with it; make a new one")
        if self.node and node != self.node:
            raise RemoteError("wrong_name", f"this token is for a node named {self.node}")

    def use(self, node: str, key: bytes) -> None:
        """Mark it as used by a node and its key (32 octets)."""
        self.used_by, self.used_key = node, key.hex()


class Invites:
    """All invites of this node's authority; kept over a restart with ``rows``."""

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        """Take what ``rows`` gave; raises ValueError or TypeError for anything else."""
        self._invites: dict[str, Invite] = {}
        for row in rows:
            invite = Invite(**row)
            for name, kind in Invite.__annotations__.items():
                if not isinstance(
                    getattr(invite, name), {"str": str, "int": int}.get(kind, (int, float))
                ):
                    raise TypeError(f"invite: bad {name}")
            self._invites[invite.id] = invite

    def rows(self) -> list[dict[str, Any]]:
        """Give everything as JSON values."""
        return [asdict(invite) for invite in self._invites.values()]

    def create(
        self,
        cluster: str,
        public: bytes,
        addresses: Iterable[Address],
        wall: float,
        *,
        valid: float = DEFAULT_VALID,
        node: str = "",
    ) -> JoinToken:
        """Allow one join within ``valid`` seconds; only the token knows the secret.

        Raises InputError for a bad name or time, without an address, and when too many are open.
        """
        if node:
            check_name(node)
        if not 0 < valid <= MAX_VALID:
            raise InputError(f"an invite is valid for at most {MAX_VALID / 86_400:g} days")
        where = tuple(addresses)[:MAX_ADDRESSES]
        if not where or not are_addresses(where):
            raise InputError("an invite needs the address under which new nodes reach this one")
        self._tidy(wall)
        if self.open(wall) >= MAX_OPEN:
            raise InputError(f"{MAX_OPEN} invites are open; wait until some are used or expire")
        token = JoinToken(
            cluster,
            public,
            where,
            secrets.token_bytes(ID_SIZE),
            secrets.token_bytes(SECRET_SIZE),
            wall + valid,
            node,
        )
        key = token.id.hex()
        self._invites[key] = Invite(key, _digest(token.secret), token.expires, node)
        return token

    def open(self, wall: float) -> int:
        """How many can still be used."""
        return sum(invite.open and wall <= invite.expires for invite in self._invites.values())

    def expected(self, wall: float) -> bool:
        """Whether hosts without certificate need to be heard.

        Until an invite expires, also when it is used or burnt: who shows its token again shall hear
        why it is refused, and whose answer was lost shall get it.
        """
        return any(wall <= invite.expires for invite in self._invites.values())

    def find(self, token_id: bytes, secret: bytes, wall: float) -> Invite:
        """Give the invite of a token, which may be used already (``Invite.allow``).

        Raises RemoteError: "unknown_token", "expired_token", "burnt_token", or "wrong_secret", which
        is counted.
        """
        invite = self._invites.get(token_id.hex())
        if invite is None:
            raise RemoteError("unknown_token", "no such invite here, or used long ago")
        if wall > invite.expires:
            raise RemoteError("expired_token", "make a new one with `shield cluster invite`")
        if invite.wrong >= MAX_WRONG:
            raise RemoteError("burnt_token", "wrong secrets came with it; make a new one")
        if not compare_digest(invite.digest, _digest(secret)):
            invite.wrong += 1
            raise RemoteError("wrong_secret", "the token is damaged")
        return invite

    def _tidy(self, wall: float) -> None:
        """Forget what has expired, and of those used or burnt the oldest beyond MAX_OPEN."""
        kept = [invite for invite in self._invites.values() if wall <= invite.expires]
        closed = [invite for invite in kept if not invite.open]
        forgotten = {invite.id for invite in closed[: max(0, len(closed) - MAX_OPEN)]}
        self._invites = {invite.id: invite for invite in kept if invite.id not in forgotten}


def _digest(secret: bytes) -> str:
    # 128 random bits need no salt and no slow hash.
    return blake2b(secret, digest_size=32, person=b"shield invite").hexdigest()


def _check(body: list[Any]) -> bytes:
    """Notices a slip of the hand, nothing more: the secret guards against intent."""
    return blake2b(pack_value(body), digest_size=CHECK_SIZE, person=b"shield token").digest()
