"""SIP traffic made in memory, always the same: what ``scripts/bench`` feeds.

Phones that register, monitors that ask, calls, and a third of the messages from scanners, enumerators
and guessers; some over IPv6, in VLANs or with unusual spelling.
"""

from __future__ import annotations

import random
from ipaddress import ip_address
from struct import pack

from shield.capture.source import Frame

__all__ = ["PHONE", "SERVERS", "START", "Talk", "Traffic"]

SERVERS = {4: ip_address("192.0.2.10").packed, 16: ip_address("2001:db8::10").packed}
ATTACKERS = 0.009
"""Share of the sources; each sends for a minute. More at once would be a forged flood to the policy."""
IPV6, VLAN, UNUSUAL = 0.08, 0.02, 0.045
START = 1.0e9
PHONE, SCANNER = "Grandstream GXP2170 1.0.11.64", "friendly-scanner"
SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 10000 RTP/AVP 9 8 0 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
    "a=fmtp:101 0-16\r\na=sendrecv\r\n"
)
COMPACT = (("Via:", "v:"), ("From:", "f:"), ("To:", "t:"), ("Call-ID:", "i:"), ("Contact:", "m:"))
LOOSE = (("Via:", "VIA :"), ("CSeq:", "cseq:"), ("From: ", "From:\t "), ("Call-ID:", "call-id  :"))


class Traffic:
    """Makes frames; the same ones for the same number of sources."""

    def __init__(self, sources: int) -> None:
        self.random = random.Random(20)
        self.frames: list[Frame] = []
        self.attackers: set[bytes] = set()
        self.sources = sources
        attackers = max(3, int(sources * ATTACKERS))
        self.seconds = sources * 0.03
        for number in range(sources):
            address = self.address(number)
            at = START + self.random.random() * self.seconds
            if number < attackers:
                self.attackers.add(address)
                self._attack(address, number % 3, at)
            else:
                self._good(address, at)
        self.frames.sort(key=lambda frame: frame.time)

    def address(self, number: int) -> bytes:
        if self.random.random() < IPV6:
            return pack("!IIQ", 0x20010DB8, 1, number + 1)
        return pack("!I", (198 << 24 | 18 << 16) + number + 1)

    def hex(self, bits: int) -> str:
        return f"{self.random.getrandbits(bits):x}"

    def send(
        self, at: float, source: bytes, target: bytes, text: str, ports: tuple[int, int] = (5060, 5060)
    ) -> None:
        if self.random.random() < UNUSUAL:
            for usual, other in self.random.choice((COMPACT, LOOSE)):
                text = text.replace(f"\r\n{usual}", f"\r\n{other}")
        data = text.encode()
        udp = pack("!HHHH", *ports, 8 + len(data), 0) + data
        if len(source) == 4:
            kind = b"\x08\x00"
            ip = pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + source + target
        else:
            kind, ip = b"\x86\xdd", pack("!IHBB", 6 << 28, len(udp), 17, 64) + source + target
        tag = b"\x81\x00\x00\x05" if self.random.random() < VLAN else b""
        self.frames.append(Frame(at, b"\x02" * 12 + tag + kind + ip + udp, 1))

    def _good(self, address: bytes, at: float) -> None:
        user, kind = f"u{self.random.randrange(10_000)}", self.random.random()
        talk = Talk(self, address, user, PHONE)
        if kind < 0.5:
            talk.login(at, accepted=True)
        elif kind < 0.85:
            talk.ask(at, "OPTIONS", "200 OK")
        else:
            talk.call(at)

    def _attack(self, address: bytes, kind: int, at: float) -> None:
        for number in range(120 if kind == 2 else 240):
            at += 0.25
            if kind == 0:
                Talk(self, address, str(100 + number), SCANNER).ask(at, "OPTIONS", "200 OK")
            elif kind == 1:
                Talk(self, address, str(100 + number), PHONE).ask(at, "REGISTER", "404 Not Found")
            else:
                Talk(self, address, "100", PHONE).login(at, accepted=False)


class Talk:
    """One Call-ID between a client and the server."""

    def __init__(self, traffic: Traffic, client: bytes, user: str, agent: str) -> None:
        self.traffic, self.client, self.user, self.agent = traffic, client, user, agent
        self.server = SERVERS[len(client)]
        address = ip_address(client)
        self.host = str(address) if address.version == 4 else f"[{address}]"
        self.tag, self.id = traffic.hex(32), f"{traffic.hex(64)}@{self.host}"
        self.branch = ""
        self.number = 0
        self.port = 5060

    def spell(self, text: str) -> str:
        """How this client writes a message, and the server what it repeats of it."""
        return text

    def _common(self, method: str, to_tag: str) -> str:
        return (
            f"Via: SIP/2.0/UDP {self.host}:5060;branch=z9hG4bK{self.branch};rport\r\n"
            f"From: <sip:{self.user}@example.com>;tag={self.tag}\r\n"
            f"To: <sip:{self.user}@example.com>{to_tag}\r\n"
            f"Call-ID: {self.id}\r\nCSeq: {self.number} {method}\r\n"
        )

    def request(self, at: float, method: str, extra: str = "", body: str = "", to_tag: str = "") -> None:
        uri = "sip:example.com" if method == "REGISTER" else f"sip:{self.user}@example.com"
        if method != "ACK":
            self.number += 1
        self.branch = self.traffic.hex(64)
        text = (
            f"{method} {uri} SIP/2.0\r\n{self._common(method, to_tag)}Max-Forwards: 70\r\n"
            f"Contact: <sip:{self.user}@{self.host}:5060>\r\n{extra}User-Agent: {self.agent}\r\n"
            "Allow: INVITE, ACK, OPTIONS, CANCEL, BYE, SUBSCRIBE, NOTIFY\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self.traffic.send(at, self.client, self.server, self.spell(text), (self.port, 5060))

    def answer(
        self, at: float, method: str, status: str, extra: str = "", to_tag: str = ";tag=s1"
    ) -> None:
        body = SDP if method == "INVITE" and status == "200 OK" else ""
        text = (
            f"SIP/2.0 {status}\r\n{self._common(method, to_tag)}{extra}"
            f"Server: kamailio (5.6.3 (x86_64/linux))\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        self.traffic.send(at, self.server, self.client, self.spell(text), (5060, self.port))

    def ask(self, at: float, method: str, status: str) -> None:
        self.request(at, method)
        self.answer(at + 0.01, method, status)

    def challenge(self, at: float, method: str, status: str, body: str = "") -> None:
        """A request, its challenge, and the request again with credentials."""
        nonce = self.traffic.hex(96)
        ask, give = ("WWW-Authenticate", "Authorization")
        if status.startswith("407"):
            ask, give = ("Proxy-Authenticate", "Proxy-Authorization")
        self.request(at, method, body=body)
        self.answer(at + 0.01, method, status, f'{ask}: Digest realm="example.com", nonce="{nonce}"\r\n')
        credentials = (
            f'{give}: Digest username="{self.user}", realm="example.com", nonce="{nonce}", '
            f'uri="sip:example.com", response="{self.traffic.random.getrandbits(128):032x}"\r\n'
        )
        if method == "INVITE":
            self.request(at + 0.02, "ACK")
        self.request(at + 0.03, method, credentials, body)

    def login(self, at: float, *, accepted: bool) -> None:
        self.challenge(at, "REGISTER", "401 Unauthorized")
        self.answer(at + 0.04, "REGISTER", "200 OK" if accepted else "403 Forbidden")

    def call(self, at: float) -> None:
        tag = f";tag={self.traffic.hex(32)}"
        self.challenge(at, "INVITE", "407 Proxy Authentication Required", SDP)
        self.answer(at + 0.04, "INVITE", "100 Trying", to_tag="")
        self.answer(at + 0.1, "INVITE", "180 Ringing", to_tag=tag)
        self.answer(at + 2.0, "INVITE", "200 OK", to_tag=tag)
        self.request(at + 2.1, "ACK", to_tag=tag)
        self.request(at + 9.0, "BYE", to_tag=tag)
        self.answer(at + 9.1, "BYE", "200 OK", to_tag=tag)
