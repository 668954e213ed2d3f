"""A phone that registers again and again: `python phone.py OWN-ADDRESS SERVER USER PASSWORD SECONDS`.

Prints the final status of every registration, 0 where nobody answered, until it is ended. Standard
library only; it must not share code with what it tests.
"""

from __future__ import annotations

import hashlib
import re
import socket
import sys
import time

PORT = 5060
WAIT = 1.0
"""Seconds for one answer: the server is one cable away."""


class Phone:
    """One account on one UDP socket; each registration is the next step in one Call-ID."""

    def __init__(self, own: str, server: str, user: str, password: str) -> None:
        self.own, self.server, self.user, self.password = own, server, user, password
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((own, PORT))
        self.socket.settimeout(WAIT)
        self.steps = 0

    def register(self) -> int:
        """Register once, with the challenge; the final status."""
        status, answer = self._ask("")
        challenge = re.search(r'^WWW-Authenticate:.*realm="([^"]*)".*$', answer, re.MULTILINE)
        nonce = re.search(r'nonce="([^"]*)"', answer)
        if status != 401 or not challenge or not nonce:
            return status
        return self._ask(self._credentials(challenge[1], nonce[1]))[0]

    def _credentials(self, realm: str, nonce: str) -> str:
        """RFC 2617 without qop, which the server does not ask for."""
        uri = f"sip:{self.server}"
        answer = _md5(
            f"{_md5(f'{self.user}:{realm}:{self.password}')}:{nonce}:{_md5(f'REGISTER:{uri}')}"
        )
        return (
            f'Authorization: Digest username="{self.user}", realm="{realm}", nonce="{nonce}", '
            f'uri="{uri}", response="{answer}", algorithm=MD5\r\n'
        )

    def _ask(self, credentials: str) -> tuple[int, str]:
        self.steps += 1
        name = f"sip:{self.user}@{self.server}"
        request = (
            f"REGISTER sip:{self.server} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.own}:{PORT};branch=z9hG4bKphone{self.steps};rport\r\n"
            f"From: <{name}>;tag=phone1\r\nTo: <{name}>\r\nCall-ID: phone@{self.own}\r\n"
            f"CSeq: {self.steps} REGISTER\r\nContact: <sip:{self.user}@{self.own}:{PORT}>\r\n"
            f"Max-Forwards: 70\r\nExpires: 300\r\nUser-Agent: Desk phone\r\n{credentials}"
            "Content-Length: 0\r\n\r\n"
        )
        self.socket.sendto(request.encode(), (self.server, PORT))
        step = re.compile(rf"^CSeq: {self.steps} REGISTER\r?$", re.MULTILINE)
        try:
            while True:
                answer = self.socket.recv(65535).decode(errors="replace")
                if answer.startswith("SIP/2.0 ") and step.search(answer):
                    return int(answer[8:11]), answer
        except TimeoutError:
            return 0, ""


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def main() -> None:
    """See the module's docstring."""
    phone = Phone(*sys.argv[1:5])
    while True:
        print(phone.register(), flush=True)
        time.sleep(float(sys.argv[5]))


if __name__ == "__main__":
    main()
