"""``shield cluster join``: goes to the addresses of a token and comes back with an identity (sockets).

Blocking and without asyncio: it runs once, from the command line.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from typing import NamedTuple

from shield.cluster.admission import ANSWER_SECONDS, Admitted, Joiner
from shield.cluster.identity import PrivateKey, new_key
from shield.cluster.identity_files import Directory, joiner_context
from shield.cluster.settings import Address
from shield.cluster.tokens import JoinToken
from shield.errors import RemoteError, SystemFailure

__all__ = ["Joined", "join"]

CONNECT_SECONDS = 5.0
"""For TCP, and again for the TLS handshake, of one address: a token has several."""

READ_BYTES = 16_384

NOT_OPEN = (
    "no invite is open there: the token was used or has expired, or another node made it; "
    "make a new one with `shield cluster invite`"
)
# A node hears hosts without certificate only while an invite is open, and then hangs up.


class Joined(NamedTuple):
    """How it went."""

    admitted: Admitted
    address: Address
    """The one that answered."""


class _MissedError(Exception):
    """This address leads nowhere; the next may."""


class _PinError(Exception):
    """Somebody else answers at this address."""


def join(
    token: JoinToken,
    directory: Directory,
    node: str,
    *,
    clock: Callable[[], float] = time.time,
    tell: Callable[[str], None] = lambda _line: None,
) -> Joined:
    """Join the cluster of ``token`` as ``node`` and write the directory.

    Nothing is sent before the server has proved to be the node with the authority. Raises InputError:
    token expired, name not fit, identity there already, refused (RefusedError); SystemFailure:
    nobody can be reached, somebody else answers, files cannot be written. ``tell`` hears a line
    before each attempt.
    """
    token.check(clock())
    key = new_key()
    Joiner(token, node, key)  # a wrong name is told before anything is made or anybody called
    # Before the token is spent: a directory that cannot be written would waste it.
    directory.prepare()
    missed: list[str] = []
    intruder = ""
    for address in token.addresses:
        where = _show(address)
        tell(f"asking {where}")
        try:
            admitted = _ask(address, token, node, key, clock)
        except _PinError as error:
            intruder = intruder or f"{where}: {error}"
        except _MissedError as error:
            missed.append(f"{where}: {error}")
        else:
            directory.create(admitted.identity, None, _seeds(admitted, address))
            return Joined(admitted, address)
    if intruder:
        raise SystemFailure(
            f"{intruder}. Somebody may be in the middle, or the token is of another cluster; "
            "the token was not shown"
        )
    raise SystemFailure(f"cannot join {token.cluster}: {'; '.join(missed)}")


def _ask(
    address: Address, token: JoinToken, node: str, key: PrivateKey, clock: Callable[[], float]
) -> Admitted:
    """Do one exchange; raises _MissedError, _PinError, or what the authority says."""
    joiner = Joiner(token, node, key)
    with _connect(address) as connection:
        deadline = time.monotonic() + ANSWER_SECONDS
        try:
            claim = joiner.claim(connection.getpeercert(binary_form=True), clock())
        except RemoteError as error:
            if error.reason in {"expired", "not_yet_valid"}:
                raise _MissedError(f"{error} (clock of this host or of the other?)") from None
            raise _PinError(f"the server is not the one of the token ({error})") from None
        try:
            connection.sendall(claim)
            while (left := deadline - time.monotonic()) > 0:
                connection.settimeout(left)
                data = connection.recv(READ_BYTES)
                if not data:
                    raise _MissedError(NOT_OPEN)
                if admitted := joiner.receive_data(data):
                    return admitted
        except RemoteError as error:
            raise _MissedError(f"a wrong answer ({error})") from None
        except TimeoutError:
            pass
        except (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError):
            # Closed with our claim unread, and the alert that told why is lost.
            raise _MissedError(NOT_OPEN) from None
        except OSError as error:
            raise _MissedError(_reason(error)) from None
    raise _MissedError(f"no answer within {ANSWER_SECONDS:g} s")


def _connect(address: Address) -> ssl.SSLSocket:
    """Open TCP and TLS; raises _MissedError."""
    try:
        plain = socket.create_connection(address, CONNECT_SECONDS)
    except (OSError, UnicodeError) as error:
        raise _MissedError(_reason(error)) from None
    try:
        return joiner_context().wrap_socket(plain)
    except OSError as error:
        plain.close()
        raise _MissedError(f"no TLS: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    """Say in few words why an address leads nowhere."""
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_SECONDS:g} s"
    if isinstance(error, ssl.SSLError):
        return NOT_OPEN if "CERTIFICATE_REQUIRED" in (error.reason or "") else error.reason or str(error)
    return getattr(error, "strerror", None) or str(error)


def _seeds(admitted: Admitted, address: Address) -> tuple[Address, ...]:
    """The address that answered is good for sure, so it comes first."""
    return tuple(dict.fromkeys((address, *admitted.seeds)))


def _show(address: Address) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
