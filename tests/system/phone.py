"""Two desk phones, each a program of its own.

    python -m tests.system.phone answer OWN SERVER USER PASSWORD
    python -m tests.system.phone call OWN SERVER USER PASSWORD CALLEE SECONDS [TALK]

The first registers once and answers every call. The second registers, calls the other through the
server, hangs up, waits, and does it all again. Each result is one line, ``register 200``, ``call 200``,
``bye 200``, with 0 where nobody answered; the callee prints ``answered 200`` and ``hungup 200``.
"""

from __future__ import annotations

import itertools
import sys
import time

from tests.system.useragent import Message, UserAgent

TALK = 0.1
"""Seconds from the ACK to the BYE, unless it is told."""


class Phone(UserAgent):
    """Registers, calls and answers; one Call-ID for all registrations, as phones do."""

    def __init__(self, own: str, server: str, user: str, password: str) -> None:
        super().__init__(own, server, user, password)
        self._steps = itertools.count(1)
        self._calls = itertools.count(1)

    def register(self) -> int:
        """Register once, with the challenge; the final status."""
        uri, proof = f"sip:{self.domain}", ""
        while True:
            answer = self.ask(
                self.request(
                    "REGISTER", uri, self.branch(),
                    f"From: <{self.name}>;tag=phone{self.user}", f"To: <{self.name}>",
                    f"Call-ID: phone{self.user}@{self.own}", f"CSeq: {next(self._steps)} REGISTER",
                    "Expires: 300", proof,
                )
            )  # fmt: skip
            if answer.status != 401 or proof:
                return answer.status
            proof = self.credentials("REGISTER", uri, answer)

    def call(self, callee: str, talk: float = TALK) -> tuple[int, int]:
        """Call with credentials, talk, hang up; final status of INVITE and of BYE (-1: no BYE)."""
        uri, proof = f"sip:{callee}@{self.domain}", ""
        number = next(self._calls)
        dialog = [f"From: <{self.name}>;tag=call{number}", f"Call-ID: call{number}@{self.own}"]
        for step in (1, 2):
            via = self.branch()
            answer = self.ask(
                self.request(
                    "INVITE", uri, via, *dialog, f"To: <{uri}>", f"CSeq: {step} INVITE", proof,
                    body=self.sdp,
                )
            )  # fmt: skip
            if 0 < answer.status < 300:
                break
            if answer.status:  # the ACK of a refusal belongs to the INVITE's transaction
                ack = (*dialog, f"To: {answer['To']}", f"CSeq: {step} ACK")
                self.send(self.request("ACK", uri, via, *ack))
            if answer.status != 407 or proof:
                return answer.status, -1
            proof = self.credentials("INVITE", uri, answer)
        target = answer["Contact"].strip("<>")
        routes = [f"Route: {route}" for route in reversed(answer.all("Record-Route"))]
        to = f"To: {answer['To']}"
        ack = (*dialog, to, *routes, f"CSeq: {step} ACK")
        self.send(self.request("ACK", target, self.branch(), *ack))
        time.sleep(talk)
        bye = (*dialog, to, *routes, f"CSeq: {step + 1} BYE")
        return answer.status, self.ask(self.request("BYE", target, self.branch(), *bye)).status

    def serve(self) -> None:
        """Answer whatever comes, until the program is ended."""
        while True:
            asked = self.receive(60)
            if asked is None or asked.method not in {"INVITE", "BYE", "OPTIONS"}:
                continue
            if asked.method == "INVITE":
                self.send(self.answer(asked, "180 Ringing"))
                self.send(self.answer(asked, "200 OK", body=self.sdp))
                print("answered 200", flush=True)
            else:
                self.send(self.answer(asked, "200 OK"))
                if asked.method == "BYE":
                    print("hungup 200", flush=True)

    def answer(self, asked: Message, status: str, body: str = "") -> str:
        """Write an answer; the To tag is drawn from the Call-ID, so a repetition gets the same."""
        to = asked["To"]
        if ";tag=" not in to:
            to += f";tag={abs(hash(asked['Call-ID'])):x}"
        copied = [
            f"{name}: {value}"
            for name in ("Via", "Record-Route", "From", "Call-ID", "CSeq")
            for value in asked.all(name)
        ]
        kind = ["Content-Type: application/sdp"] if body else []
        lines = [f"SIP/2.0 {status}", *copied, f"To: {to}", f"Contact: {self.contact}", *kind]
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body])


def main() -> None:
    """See the module's docstring."""
    role = sys.argv[1]
    phone = Phone(*sys.argv[2:6])
    if role == "answer":
        print(f"register {phone.register()}", flush=True)
        phone.serve()
    while True:
        print(f"register {phone.register()}", flush=True)
        invited, ended = phone.call(sys.argv[6], *map(float, sys.argv[8:9]))
        print(f"call {invited}", flush=True)
        if ended >= 0:
            print(f"bye {ended}", flush=True)
        time.sleep(float(sys.argv[7]))


if __name__ == "__main__":
    main()
