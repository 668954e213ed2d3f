"""Writes SIP conversations into capture files, for ``scripts/make-rule-samples``."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import PcapWriter

__all__ = ["ATTACKER", "PHONE", "SAMPLES", "SERVER", "Talk"]

SAMPLES = Path(__file__).resolve().parent / "rules"
SERVER, ATTACKER, PHONE = "192.0.2.10", "203.0.113.66", "198.51.100.30"
MAX_PLAIN = 30_000
"""Bytes above which a sample is stored as .pcap.gz."""
START = 1_790_000_000.0
REASONS = {
    100: "Trying", 180: "Ringing", 200: "OK", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 407: "Proxy Authentication Required", 484: "Address Incomplete",
    486: "Busy Here", 400: "Bad Request", 501: "Not Implemented",
}  # fmt: skip


class Talk:
    """A conversation in a capture file; ``ask`` is one request and what the server answers."""

    def __init__(self, rule: str, kind: str) -> None:
        self.path = SAMPLES / rule / f"{kind}.pcap"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = PcapWriter(str(self.path), linktype=1, sync=False)
        self.seed = f"{rule}/{kind}"
        self.count = 0
        self.now = START

    def close(self) -> None:
        """Finish the file; a large one is packed (mtime 0: the same bytes each time)."""
        self.file.close()
        content = self.path.read_bytes()
        if len(content) > MAX_PLAIN:
            self.path.with_name(self.path.name + ".gz").write_bytes(gzip.compress(content, 9, mtime=0))
            self.path.unlink()

    def token(self, length: int = 16) -> str:
        """A fresh random-looking word. The letter in front keeps it from being a number."""
        self.count += 1
        return "x" + hashlib.sha256(f"{self.seed}{self.count}".encode()).hexdigest()[: length - 1]

    def send(self, source: str, target: str, text: str, port: int = 5060, to_port: int = 5060) -> None:
        macs = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
        packet = Ether(**macs) / IP(src=source, dst=target) / UDP(sport=port, dport=to_port)
        packet /= Raw(text.encode())
        packet.time = self.now
        self.file.write(packet)

    def ask(
        self,
        method: str = "REGISTER",
        user: str = "100",
        *,
        answers: tuple[int, ...] = (200,),
        client: str = PHONE,
        server: str = SERVER,
        port: int = 5060,
        to_port: int = 5060,
        from_user: str = "",
        domain: str = "example.com",
        from_domain: str = "",
        name: str = "",
        agent: str = "Acme Desk 3.2",
        extra: tuple[str, ...] = (),
        dialog: str = "",
        cseq: int = 1,
        wait: float = 1.0,
        nonce: str = "",
        login: str = "",
        branch: str = "",
        call_id: str = "",
        tag: str = "",
        spoil: Callable[[str], str] | None = None,
    ) -> str:
        """Send one request and its answers; gives the nonce of the challenge among them."""
        self.now += wait
        who = from_user or user
        mark = dialog or self.token()
        call_id = call_id or f"{mark}@{client}"
        uri = f"sip:{domain}" if method == "REGISTER" else f"sip:{user}@{domain}"
        sender = f"{name and chr(34) + name + chr(34) + ' '}<sip:{who}@{from_domain or domain}>"
        fresh = self.token(20)
        lines = [
            f"Via: SIP/2.0/UDP {client}:{port};branch={branch or 'z9hG4bK' + self.token()};rport",
            f"From: {sender};tag={tag or 't' + mark[:8]}",
            f"To: <sip:{user}@{domain}>",
            f"Call-ID: {call_id}",
            f"CSeq: {cseq} {method}",
        ]
        about = [f"Contact: <sip:{who}@{client}:{port}>", "Max-Forwards: 70", f"User-Agent: {agent}"]
        if nonce:
            about.append(self.proof(method, uri, login or who, nonce))
        text = "\r\n".join(
            [f"{method} {uri} SIP/2.0", *lines, *about, *extra, "Content-Length: 0", "", ""]
        )
        self.send(client, server, spoil(text) if spoil else text, port, to_port)
        for status in answers:
            self.now += 0.02
            more = []
            if status in (401, 407):
                header = "WWW-Authenticate" if status == 401 else "Proxy-Authenticate"
                more = [f'{header}: Digest realm="example.com", nonce="{fresh}", algorithm=MD5']
            kept = [lines[0] + f"={port};received={client}", *lines[1:]]
            if status > 100:
                kept[2] += f";tag=s{mark[:8]}"
            start = f"SIP/2.0 {status} {REASONS[status]}"
            text = "\r\n".join([start, *kept, *more, "Content-Length: 0", "", ""])
            self.send(server, client, text, to_port, port)
        if method == "INVITE" and answers and answers[-1] >= 200:
            to = f"To: <sip:{user}@{domain}>;tag=s{mark[:8]}"
            ack = [lines[0], lines[1], to, lines[3], f"CSeq: {cseq} ACK", "Max-Forwards: 70"]
            self.send(
                client, server,
                "\r\n".join([f"ACK {uri} SIP/2.0", *ack, "Content-Length: 0", "", ""]), port, to_port,
            )  # fmt: skip
        return fresh

    def proof(self, method: str, uri: str, login: str, nonce: str) -> str:
        digest = hashlib.md5(f"{login}:{nonce}:{method}:{self.count}".encode()).hexdigest()
        header = "Authorization" if method == "REGISTER" else "Proxy-Authorization"
        return (
            f'{header}: Digest username="{login}", realm="example.com", nonce="{nonce}",'
            f' uri="{uri}", response="{digest}", algorithm=MD5'
        )

    def login(self, user: str = "100", *, ok: bool = True, dialog: str = "", cseq: int = 1,
              login: str = "", wait: float = 1.0, **more: object) -> None:  # fmt: skip
        """REGISTER, challenge, REGISTER with credentials, 200 or 403."""
        mark = dialog or self.token()
        nonce = self.ask("REGISTER", user, answers=(401,), dialog=mark, cseq=cseq, wait=wait, **more)
        self.ask("REGISTER", user, answers=(200 if ok else 403,), dialog=mark, cseq=cseq + 1, wait=0.1,
                 nonce=nonce, login=login, **more)  # fmt: skip

    def call(self, number: str, *, answers: tuple[int, ...] = (100, 180, 200), wait: float = 1.0,
             **more: object) -> None:  # fmt: skip
        """INVITE, challenge, INVITE with credentials."""
        mark = self.token()
        nonce = self.ask("INVITE", number, answers=(407,), dialog=mark, wait=wait, **more)
        self.ask("INVITE", number, answers=answers, dialog=mark, cseq=2, nonce=nonce, wait=0.1, **more)
