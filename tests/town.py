"""A town of good users: what they do, over networks that lose, repeat and hide packets.

Each *life* is one household, office, carrier or program; ``LIVES`` names them. Nobody in it attacks
anything, so whatever is banned in a town is banned wrongly.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from struct import pack

from shield.capture.source import Frame
from tests.traffic import PHONE, SERVERS, Talk, Traffic

__all__ = ["BUSY", "CHALLENGED", "LIVES", "REFUSED", "START", "UNKNOWN", "Line", "Town"]

START = 1.7e9
MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
REFUSED, CHALLENGED, BUSY, UNKNOWN = (
    "403 Forbidden",
    "401 Unauthorized",
    "486 Busy Here",
    "404 Not Found",
)


class Town(Traffic):
    """Traffic of good users; ``miss``: share of packets that the sensor does not see.

    ``dense``: all of them are customers of one small provider, with addresses in one /24.
    """

    def __init__(self, *, miss: float, repeat: float, dense: bool = False, seed: int = 0) -> None:
        # Not what Traffic begins with: it makes attackers.
        self.frames: list[Frame] = []
        self.random = random.Random(seed)
        self.miss, self.repeat, self.dense = miss, repeat, dense
        self.houses = 0

    def send(
        self, at: float, source: bytes, target: bytes, text: str, ports: tuple[int, int] = (5060, 5060)
    ) -> None:
        """A packet; when its answer is lost on the way to the client, both come again (timer E)."""
        super().send(at, source, target, text, ports)
        frame = self.frames.pop()
        for wait in (0.0, 0.5, 1.0, 2.0):
            at += wait
            if self.random.random() >= self.miss:
                self.frames.append(frame._replace(time=at))
            if self.random.random() >= self.repeat:
                return

    def move_in(self, life: str | Callable[[Town, float], None], seed: int) -> None:
        """Let somebody live here."""
        self.random.seed(seed)
        self.houses += 1
        live = LIVES[life] if isinstance(life, str) else life
        live(self, START + self.random.random() * HOUR)

    def house(self) -> bytes:
        """An address in a network of its own; one in six speaks IPv6."""
        if self.dense:
            return pack("!I", 198 << 24 | 51 << 16 | 100 << 8 | self.random.randrange(1, 250))
        if self.random.random() < 0.16:
            return pack("!IIQ", 0x20010DB8, self.houses << 8 | 1, self.random.randrange(1, 1 << 40))
        return pack("!I", 198 << 24 | 51 << 16 | self.houses % 200 << 8 | self.random.randrange(1, 250))

    def gap(self, low: float, high: float) -> float:
        return self.random.uniform(low, high)

    def user(self) -> str:
        return f"{self.random.choice('abcdefgh')}{self.random.randrange(1_000, 10_000_000)}"


class Line(Talk):
    """A dialog of an account with somebody."""

    def __init__(self, town: Town, client: bytes, account: str, callee: str = "") -> None:
        super().__init__(town, client, callee or account, PHONE)
        self.account, self.town = account, town

    def move(self, address: bytes) -> None:
        """Go on from another address, to the server's address of the same family."""
        self.client, self.server = address, SERVERS[len(address)]

    def log_in(
        self,
        at: float,
        answer: str,
        method: str = "REGISTER",
        *,
        challenge: str = CHALLENGED,
        tries: int = 1,
    ) -> float:
        """Request, challenge, request with credentials, answer; gives the time of the end.

        ``tries``: a softphone takes each 401 as a new challenge, and gives up after so many.
        """
        nonce = self.town.hex(96)
        ask, give = "WWW-Authenticate", "Authorization"
        if challenge.startswith("407"):
            ask, give = "Proxy-Authenticate", "Proxy-Authorization"
        self.request(at, method)
        self.answer(
            at + 0.02, method, challenge, f'{ask}: Digest realm="example.com", nonce="{nonce}"\r\n'
        )
        if method == "INVITE":
            self.request(at + 0.03, "ACK", to_tag=";tag=s1")
        if self.town.random.random() < 0.005:
            return at  # somebody pulled the plug
        at += self.town.gap(0.04, 0.4)
        for _ in range(tries):
            proof = f"{self.town.random.getrandbits(128):032x}"
            self.request(
                at, method,
                f'{give}: Digest username="{self.account}", realm="example.com", nonce="{nonce}", '
                f'uri="sip:example.com", response="{proof}"\r\n',
            )  # fmt: skip
            nonce, at = self.town.hex(96), at + 0.05
            if answer:
                more = f'{ask}: Digest realm="example.com", nonce="{nonce}"\r\n'
                self.answer(at, method, answer, more if answer[:3] in ("401", "407") else "")
        return at

    def call_out(self, at: float, answer: str) -> None:
        """A call with credentials that ends in this answer."""
        at = self.log_in(at, "", "INVITE", challenge="407 Proxy Authentication Required")
        self.ring(at, answer)

    def ring(self, at: float, answer: str) -> None:
        """What the callee makes of it."""
        if answer != "200 OK":
            self.answer(at + 0.1, "INVITE", answer)
            self.request(at + 0.12, "ACK", to_tag=";tag=s1")
            return
        tag = f";tag={self.town.hex(64)}"
        self.answer(at + 0.2, "INVITE", "180 Ringing", to_tag=tag)
        self.answer(at + 3.0, "INVITE", "200 OK", to_tag=tag)
        self.request(at + 3.1, "ACK", to_tag=tag)
        self.request(at + 60.0, "BYE", to_tag=tag)
        self.answer(at + 60.1, "BYE", "200 OK", to_tag=tag)


def home(town: Town, at: float) -> None:
    """Phones that register and call; now and then a number is wrong or somebody is busy."""
    address, users = town.house(), [town.user() for _ in range(town.random.randrange(1, 4))]
    lines = [Line(town, address, user) for user in users]
    for _ in range(town.random.randrange(2, 8)):
        for line in lines:
            line.log_in(at, "200 OK")
            if town.random.random() < 0.4:
                answer = town.random.choice(
                    ["200 OK", "200 OK", BUSY, UNKNOWN, "480 Temporarily Unavailable"]
                )
                Line(town, address, line.account, town.user()).call_out(at + 5, answer)
        at += town.gap(MINUTE, HOUR)


def forgetful(town: Town, at: float) -> None:
    """Somebody mistypes the password up to four times."""
    address, user = town.house(), town.user()
    tries = town.random.randrange(1, 5)
    for number in range(tries + 1):
        Line(town, address, user).log_in(at, "200 OK" if number == tries else REFUSED)
        at += town.gap(5, 60)


def stale(town: Town, at: float, address: bytes = b"", user: str = "") -> None:
    """A phone with an old password, some in bursts, some for days; started anew up to three times."""
    address, user = address or town.house(), user or town.user()
    answer, burst = town.random.choice([(REFUSED, 1), (CHALLENGED, 1), (CHALLENGED, 15)])
    low, high = town.random.choice([(30.0, 105.0), (60.0, 60.0), (600.0, 1_800.0), (HOUR, HOUR)])
    for _ in range(town.random.randrange(1, 4)):
        line = Line(town, address, user)
        for _ in range(town.random.randrange(1, 12)):
            line.log_in(at, answer, tries=burst)
            at += town.gap(low, high)


def office(town: Town, at: float) -> None:
    """Many phones behind one address after a power cut, some with an old password, and their calls."""
    address = town.house()
    for number in range(town.random.randrange(5, 40)):
        user = town.user()
        Line(town, address, user).log_in(at + town.gap(0, 20), "200 OK")
        if number % 10 == 9:
            stale(town, at + 30, address, user)
        elif town.random.random() < 0.2:
            Line(town, address, user, town.user()).call_out(at + town.gap(20, 600), "200 OK")


def changed_password(town: Town, at: float) -> None:
    """An account on four devices in four places."""
    user = town.user()
    for _ in range(town.random.randrange(2, 5)):
        stale(town, at + town.gap(0, HOUR), b"", user)
        town.houses += 1


def on_the_road(town: Town, at: float) -> None:
    """A phone that moves through addresses, of one network or of many; its password may be old."""
    line, answer = Line(town, town.house(), town.user()), town.random.choice(["200 OK", REFUSED])
    near = town.random.random() < 0.5
    for _ in range(town.random.randrange(3, 40)):
        if not near:
            town.houses += 1
        line.move(town.house())
        line.log_in(at, answer)
        at += town.gap(20, 900)


def dual_stack(town: Town, at: float) -> None:
    """One phone with an address of each family, and a password that may be old."""
    user, answer = town.user(), town.random.choice(["200 OK", REFUSED])
    lines = [Line(town, pack("!I", 198 << 24 | 52 << 16 | town.houses % 200 << 8 | 9), user),
             Line(town, pack("!IIQ", 0x20010DB8, town.houses << 8 | 2, 9), user)]  # fmt: skip
    for number in range(town.random.randrange(4, 30)):
        lines[number % 2].log_in(at, answer)
        at += town.gap(30, 600)


def monitor(town: Town, at: float) -> None:
    """OPTIONS to one user for ever; what it asks for is there, or is not."""
    address, user = town.house(), town.user()
    answer, gap = town.random.choice(["200 OK", UNKNOWN, "405 Method Not Allowed"]), town.gap(5, 600)
    for number in range(town.random.randrange(10, 150)):
        Talk(town, address, user, "monitor").ask(at + number * gap, "OPTIONS", answer)


def pbx(town: Town, at: float) -> None:
    """A PBX with some lines, one of which its provider has forgotten; it qualifies, and it calls."""
    address = town.house()
    lines = [Line(town, address, town.user()) for _ in range(town.random.randrange(1, 6))]
    for _ in range(town.random.randrange(2, 15)):
        for line in lines:
            line.log_in(at, "200 OK")
        Line(town, address, "gone").ask(at + 1, "REGISTER", UNKNOWN)
        Talk(town, address, "provider", "Asterisk PBX").ask(at + 2, "OPTIONS", "200 OK")
        at += town.gap(MINUTE, HOUR)


def trunk(town: Town, at: float) -> None:
    """A carrier without passwords; one in twelve numbers is wrong."""
    address = town.house()
    for number in range(town.random.randrange(5, 60)):
        line = Line(town, address, f"4420{town.random.randrange(10**7, 10**8)}")
        line.request(at, "INVITE")
        line.ring(at, town.random.choice([UNKNOWN, BUSY, BUSY]) if number % 12 == 7 else "200 OK")
        at += town.gap(0.1, 300)


def dialler(town: Town, at: float) -> None:
    """A call centre: most numbers are busy, do not answer, or do not exist."""
    address, account = town.house(), town.user()
    for _ in range(town.random.randrange(10, 60)):
        answer = town.random.choice([UNKNOWN, BUSY, "487 Request Terminated", "480 Offline", "200 OK"])
        Line(town, address, account, f"49{town.random.randrange(10**8, 10**9)}").call_out(at, answer)
        at += town.gap(0.3, 10)


def panel(town: Town, at: float) -> None:
    """A busy-lamp panel: forty subscriptions in two seconds."""
    address, account = town.house(), town.user()
    for _ in range(town.random.randrange(5, 41)):
        line = Line(town, address, account, town.user())
        line.log_in(at, "200 OK", "SUBSCRIBE", challenge="407 Proxy Authentication Required")
        at += 0.05


LIVES: dict[str, Callable[[Town, float], None]] = {
    life.__name__: life
    for life in (home, forgetful, stale, office, changed_password, on_the_road, dual_stack, monitor, pbx,
                 trunk, dialler, panel)
}  # fmt: skip
"""Name of a life to what it sends."""
