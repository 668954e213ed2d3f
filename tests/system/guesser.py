"""A password guesser over TCP, for which sipvicious has no tool.

    python -m tests.system.guesser OWN SERVER USER COUNT

Guesses 1, 2, 3 ... COUNT in REGISTER with real digest: each guess is a new Call-ID, asks for a fresh
challenge and answers it, all on one connection. It looks like a desk phone, so only what it does can
give it away. Prints each final status; ends when nobody answers any more.
"""

from __future__ import annotations

import sys

from tests.system.useragent import UserAgent


def guess(agent: UserAgent, password: int) -> int:
    """Try one password; the final status, 0 without an answer."""
    uri, proof, status = f"sip:{agent.domain}", "", 0
    for step in (1, 2):
        answer = agent.ask(
            agent.request(
                "REGISTER", uri, agent.branch(), f"From: <{agent.name}>;tag=try{password}",
                f"To: <{agent.name}>", f"Call-ID: try{password}@{agent.own}",
                f"CSeq: {step} REGISTER", "Expires: 300", proof,
            )
        )  # fmt: skip
        status = answer.status
        if status != 401:
            break
        proof = agent.credentials("REGISTER", uri, answer, str(password))
    return status


def main() -> None:
    """See the module's docstring."""
    own, server, user, count = sys.argv[1:5]
    agent = UserAgent(own, server, user, "", "tcp")
    for password in range(1, int(count) + 1):
        status = guess(agent, password)
        print(f"guess {status}", flush=True)
        if not status:
            break


if __name__ == "__main__":
    main()
