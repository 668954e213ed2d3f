"""A SIP user agent for system tests: whole messages, UDP with retransmissions or TCP, real digest.

Standard library only; it must not share code with what it tests, or both could be wrong together.
"""

from __future__ import annotations

import hashlib
import re
import select
import socket
import time

PORT = 5060
T1 = 0.5
"""Seconds to the first retransmission, then twice as long each time (RFC 3261, 17.1.1.2)."""
GIVE_UP = 6.0
"""Seconds for one answer. RFC 3261 waits 32; here the server is one cable away."""

SDP = (
    "v=0\r\no=- 1 1 IN {family} {own}\r\ns=-\r\nc=IN {family} {own}\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 8\r\n"
)


class Message:
    """One received message."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.head, _, self.body = text.partition("\r\n\r\n")
        first = self.head.split("\r\n", 1)[0]
        self.status = int(first[8:11]) if first.startswith("SIP/2.0 ") else 0
        """0 for a request."""
        self.method = "" if self.status else first.split(" ", 1)[0]

    def all(self, name: str) -> list[str]:
        """Values of every header ``name``, in order."""
        return re.findall(rf"^{name}:[ \t]*(.*?)\r?$", self.head, re.MULTILINE | re.IGNORECASE)

    def __getitem__(self, name: str) -> str:
        return (self.all(name) or [""])[0]

    def parameter(self, name: str) -> str:
        """A quoted parameter of the challenge."""
        challenge = self["WWW-Authenticate"] or self["Proxy-Authenticate"]
        found = re.search(rf'\b{name}="([^"]*)"', challenge)
        return found[1] if found else ""


class UserAgent:
    """One account on one socket."""

    def __init__(self, own: str, server: str, user: str, password: str, transport: str = "udp") -> None:
        self.own, self.server, self.user, self.password = own, server, user, password
        self.domain, self.host = _in_uri(server), _in_uri(own)
        self.name = f"sip:{user}@{self.domain}"
        self.transport = transport
        family = socket.AF_INET6 if ":" in own else socket.AF_INET
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self.socket = socket.socket(family, kind)
        self.socket.bind((own, PORT if transport == "udp" else 0))
        if transport == "tcp":
            self.socket.settimeout(GIVE_UP)
            self.socket.connect((server, PORT))
        self.contact = f"<sip:{user}@{self.host}:{self.socket.getsockname()[1]};transport={transport}>"
        self.sdp = SDP.format(own=own, family="IP6" if ":" in own else "IP4")
        self._stream = ""
        self._branches = 0

    def branch(self) -> str:
        """A Via of its own for each transaction."""
        self._branches += 1
        via = f"{self.transport.upper()} {self.host}:{self.socket.getsockname()[1]}"
        return f"Via: SIP/2.0/{via};branch=z9hG4bK{self.user}x{self._branches};rport\r\n"

    def request(self, method: str, uri: str, via: str, *headers: str, body: str = "") -> str:
        """Write one request; ``headers`` without line ends, empty ones are left out."""
        lines = "".join(f"{header}\r\n" for header in headers if header)
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"{method} {uri} SIP/2.0\r\n{via}Max-Forwards: 70\r\n{lines}Contact: {self.contact}\r\n"
            f"User-Agent: Desk phone\r\n{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def credentials(self, method: str, uri: str, challenge: Message, password: str = "") -> str:
        """Answer a challenge by RFC 2617 without qop, which the server does not ask for."""
        realm, nonce = challenge.parameter("realm"), challenge.parameter("nonce")
        secret = _md5(f"{self.user}:{realm}:{password or self.password}")
        answer = _md5(f"{secret}:{nonce}:{_md5(f'{method}:{uri}')}")
        header = "Authorization" if challenge["WWW-Authenticate"] else "Proxy-Authorization"
        return (
            f'{header}: Digest username="{self.user}", realm="{realm}", nonce="{nonce}", '
            f'uri="{uri}", response="{answer}", algorithm=MD5'
        )

    def send(self, text: str) -> None:
        """Send one message to the server."""
        if self.transport == "udp":
            self.socket.sendto(text.encode(), (self.server, PORT))
        else:
            self.socket.sendall(text.encode())

    def receive(self, wait: float) -> Message | None:
        """Next message, or None when none came in ``wait`` seconds."""
        if self.transport == "udp":
            ready = select.select([self.socket], [], [], max(0.0, wait))[0]
            return Message(self.socket.recv(65535).decode(errors="replace")) if ready else None
        self.socket.settimeout(max(0.001, wait))
        while True:
            head, end, rest = self._stream.partition("\r\n\r\n")
            length = int(Message(head)["Content-Length"] or 0) if end else 0
            if end and len(rest) >= length:
                self._stream = rest[length:]
                return Message(head + end + rest[:length])
            try:
                more = self.socket.recv(65535).decode(errors="replace")
            except TimeoutError:
                return None
            if not more:
                return None
            self._stream += more

    def ask(self, text: str) -> Message:
        """Send a request until it is answered; the final answer, with status 0 if none came."""
        step = Message(text)["CSeq"]
        call = Message(text)["Call-ID"]
        end = time.monotonic() + GIVE_UP
        pause, again = T1, 0.0
        while time.monotonic() < end:
            if time.monotonic() >= again:
                self.send(text)
                again, pause = time.monotonic() + pause, pause * 2
            until = end if self.transport == "tcp" else min(end, again)
            answer = self.receive(until - time.monotonic())
            if (
                answer is None
                or not answer.status
                or (answer["CSeq"], answer["Call-ID"]) != (step, call)
            ):
                continue
            if answer.status >= 200:
                return answer
            again = end  # provisional: the server has the request
        return Message("")


def _in_uri(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
