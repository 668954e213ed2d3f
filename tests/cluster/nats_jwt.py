"""JWTs of a NATS operator, an account and a user, as ``nsc`` writes them into a ``.creds`` file."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import nkeys

UNLIMITED = {"subs": -1, "data": -1, "payload": -1}
ACCOUNT = {**UNLIMITED, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}


def write_credentials(folder: Path) -> tuple[Path, str]:
    """Write a user's file; gives it, and what the server's configuration needs to know."""
    operator, account, user = (
        _pair(number, prefix)
        for number, prefix in (
            (1, nkeys.PREFIX_BYTE_OPERATOR), (2, nkeys.PREFIX_BYTE_ACCOUNT), (3, nkeys.PREFIX_BYTE_USER)
        )
    )  # fmt: skip
    operator_token = _jwt(operator, operator, {"type": "operator"})
    account_token = _jwt(account, operator, {"type": "account", "limits": ACCOUNT})
    user_token = _jwt(user, account, {"type": "user", "pub": {}, "sub": {}, **UNLIMITED})
    (folder / "operator.jwt").write_text(operator_token)
    file = folder / "node.creds"
    file.write_text(
        f"-----BEGIN NATS USER JWT-----\n{user_token}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed.decode()}\n------END USER NKEY SEED------\n"
    )
    return file, (
        f'operator: "{folder}/operator.jwt"\nresolver: MEMORY\n'
        f"resolver_preload: {{ {account.public_key.decode()}: {account_token} }}"
    )


def _pair(number: int, prefix: int) -> nkeys.KeyPair:
    return nkeys.from_seed(bytearray(nkeys.encode_seed(bytes([number]) * 32, prefix)))


def _jwt(subject: nkeys.KeyPair, issuer: nkeys.KeyPair, claims: dict[str, Any]) -> str:
    payload = {
        "jti": "x", "iat": int(time.time()), "name": "test",
        "iss": issuer.public_key.decode(), "sub": subject.public_key.decode(),
        "nats": {"version": 2, **claims},
    }  # fmt: skip
    parts = [
        _text(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, payload)
    ]
    signature = issuer.sign(".".join(parts).encode())
    return ".".join([*parts, _text(signature)])


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
