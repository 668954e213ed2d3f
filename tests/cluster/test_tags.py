"""Sharing tags on cores in memory: one node is active, whatever the network does."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from shield.cluster.capability import Incoming
from shield.cluster.messages import Kind
from shield.cluster.tag_claim import Claim
from shield.cluster.tag_plan import TagPlan
from shield.cluster.tag_state import MAX_HISTORY, restore
from shield.cluster.tags import MAX_PER_NODE, SETTLE, Tags
from shield.errors import InputError, RemoteError, SystemFailure
from tests.cluster.fakenet import FakeNet, identity

TAG = "cdr"
BACKUP = TagPlan()
QUICK: dict[str, Any] = {"ping_interval": 0.5, "link_timeout": 1.5, "dead_after": 0.5}
LATEST = 15.0
"""Seconds until all agree after a fault: connections are dialed again after at most 10 s."""


class Site:
    """Nodes with tags; what each keeps survives its restart."""

    def __init__(
        self, *names: str, plan: TagPlan | None = BACKUP, seed: int = 1, **plans: TagPlan
    ) -> None:
        self.net = FakeNet(*names, seed=seed, **QUICK)
        self.plans = {name: {} if plan is None else {TAG: plans.get(name, plan)} for name in names}
        self.kept: dict[str, Any] = {name: {} for name in names}
        self.told: dict[str, list[tuple[bool, str]]] = {name: [] for name in names}
        self.tags: dict[str, Tags] = {}
        for name in names:
            self.attach(name)

    def attach(self, name: str) -> None:
        core = self.net[name].core
        known = restore(self.kept[name], core.membership.certificate_of)
        tags = self.tags[name] = Tags(
            core, self.plans[name], known, lambda rows: self.kept.__setitem__(name, rows)
        )
        tags.follow(TAG, lambda active, why: self.told[name].append((active, why)))

    def __getitem__(self, name: str) -> Tags:
        return self.tags[name]

    def restart(self, name: str) -> None:
        known = list(self.net[name].core.membership.members.values())
        self.net[name].start()
        self.net[name].core.recall([member.news for member in known], self.net.now)
        self.attach(name)

    def claim(self, name: str, reason: str = "by hand") -> None:
        self.tags[name].claim(TAG, reason, self.net.now)

    def active(self) -> list[str]:
        return [n for n, tags in self.tags.items() if not self.net[n].stopped and tags.active(TAG)]

    def row(self, name: str, tag: str = TAG) -> dict[str, Any]:
        return next(row for row in self[name].rows(self.net.now) if row["name"] == tag)

    def agree(self, holder: str, limit: float = LATEST) -> float:
        """Wait until all that run know who is active; seconds."""
        running = [name for name in self.tags if not self.net[name].stopped]
        return self.net.until(lambda: all(self.row(n)["node"] == holder for n in running), limit)


def test_who_claims_is_active_and_the_other_steps_down() -> None:
    """The second claim wins; the first node is told by whom, when and why, and so is who follows."""
    site = Site("a", "b", "c")
    site.net.settle()
    site.claim("a", "first")
    site.agree("a", 1)
    assert site.active() == ["a"]
    site.claim("b", "maintenance of a")
    site.agree("b", 1)
    assert site.active() == ["b"]
    row = site.row("a")
    assert (row["state"], row["node"]) == ("backup", "b")
    assert row["reason"].startswith("claimed by b at 2023-11-14T22:1")
    assert row["reason"].endswith("Z: maintenance of a")
    assert [active for active, _ in site.told["a"]] == [True, False]
    assert site.told["b"] == [(True, "maintenance of a")]
    kinds = [event for event in site.net["c"].core.events.latest() if event.kind == "tag"]
    assert [event.node for event in kinds] == [TAG, TAG]
    assert "b is active" in kinds[-1].text


def test_a_tag_needs_no_configuration() -> None:
    """One that an operator makes on one node is known to all."""
    site = Site("a", "b", plan=None)
    site.net.settle()
    site.claim("a")
    site.net.until(lambda: bool(site["b"].rows(site.net.now)), 1)
    assert site.row("b")["configured"] is False
    site.claim("b")
    site.agree("b", 1)


def test_releasing_leaves_nobody_and_ends_no_newer_claim() -> None:
    """A release ends the own claim only: one that came from elsewhere meanwhile stays."""
    site = Site("a", "b")
    site.net.settle()
    site.claim("a")
    site.agree("a", 1)
    with pytest.raises(InputError, match="not active for cdr, a is"):
        site["b"].release(TAG, "no", site.net.now)
    site["a"].release(TAG, "done", site.net.now)
    site.agree("", 1)
    assert site.active() == []
    assert site.row("b")["reason"].startswith("released by a at ")
    site.claim("a")
    site.agree("a", 1)
    site.net.sever(("a",), ("b",))
    site.net.run(1)
    site.claim("b")
    site.net.run(1)
    site["a"].release(TAG, "later than b claimed", site.net.now)
    site.net.run(5)
    site.net.heal()
    site.agree("b")


def test_nobody_takes_over_unless_configured() -> None:
    """The active node dies: backups stay what they are and say so; it is active when it is back."""
    site = Site("a", "b", "c")
    site.net.settle()
    site.claim("a")
    site.agree("a", 1)
    site.net["a"].stop()
    site.net.run(20)
    assert site.active() == []
    assert site["b"].warnings() == [
        "cluster: tag cdr: a is active and cannot be reached (shield cluster tag set cdr active)"
    ]
    site.restart("a")
    site.net.until(lambda: site.active() == ["a"], LATEST)
    assert site["b"].warnings() == []


def test_takeover_after_the_grace_time_by_priority() -> None:
    """The next by priority takes over, not before its time; the old one is backup when it is back."""
    plan = TagPlan(takeover=3.0)
    site = Site("a", "b", "c", plan=plan, c=plan._replace(priority=10))
    site.net.settle()
    site.claim("a")
    site.agree("a", 1)
    assert site.row("b")["candidates"] == ["c", "a", "b"]
    site.net["a"].stop()
    site.net.run(2)
    assert site.active() == []
    site.net.until(lambda: site.active() == ["c"], 4)
    site.agree("c", 1)
    assert "a out of reach for 3." in site.row("b")["reason"]
    site.restart("a")
    site.net.run(SETTLE + 3)
    site.agree("c")
    assert site.active() == ["c"]
    site.net["c"].core.leave(site.net.now)
    site.net.run(1)
    site.net["c"].stop()
    site.net.until(lambda: site.active() == ["a"], 1.5)
    assert site.row("b")["reason"].endswith("c has left")


def test_configured_as_active() -> None:
    """It becomes so when nobody has ever claimed the tag, and not after somebody has."""
    site = Site("a", "b", b=TagPlan(active=True))
    site.net.settle()
    site.net.run(SETTLE + 1)
    assert site.active() == ["b"]
    assert site.row("a")["reason"].endswith("active by configuration")
    site.claim("a")
    site.agree("a", 1)
    site.restart("b")
    site.net.run(LATEST)
    assert site.active() == ["a"]


def test_the_state_survives_a_restart_with_its_reasons() -> None:
    """A node that was active asks the others first; what was claimed meanwhile by somebody who is
    gone now counts: others hand it on."""
    site = Site("a", "b", "c")
    site.net.settle()
    site.claim("a", "one")
    site.agree("a", 1)
    site.restart("a")
    site.net.run(0.6)
    assert site.row("a")["state"] == "pending"
    assert site.active() == []
    site.net.until(lambda: site.active() == ["a"], LATEST)
    assert [row["reason"] for row in site["a"].history(TAG)] == [
        "one", "started; asks the others first", "one",
    ]  # fmt: skip
    site.net["a"].stop()
    site.claim("b", "two")
    site.net.run(1)
    site.net["b"].stop()
    site.restart("a")
    site.agree("b")
    assert site.active() == []


def test_own_claims_are_known_again_without_files() -> None:
    """A node that lost its files learns from the others that it is the active one."""
    site = Site("a", "b")
    site.net.settle()
    site.claim("a")
    site.agree("a", 1)
    site.kept["a"] = {}
    site.restart("a")
    site.net.until(lambda: site.active() == ["a"], LATEST)


def test_a_partition_ends_with_one() -> None:
    """Both sides may have an active node while they are apart; the newer claim wins when they meet."""
    plan = TagPlan(takeover=2.0)
    site = Site("a", "b", "c", "d", plan=plan)
    site.net.settle()
    site.claim("a")
    site.agree("a", 1)
    site.net.sever(("a", "b"), ("c", "d"))
    site.net.run(10)
    assert site.active() == ["a", "c"]
    site.net.heal()
    took = site.net.until(lambda: site.active() == ["c"], LATEST)
    site.agree("c", 1)
    assert took < LATEST
    assert site.told["a"][-1][0] is False


def test_disabled_is_not_active() -> None:
    """Others cannot reach it and take over; enabled again it asks before it acts."""
    plan = TagPlan(takeover=1.0)
    site = Site("a", "b", plan=plan)
    site.net.settle()
    site.claim("a")
    site.agree("a", 1)
    core = site.net["a"].core
    core.enable(enabled=False, now=site.net.now)
    assert site.active() == []
    with pytest.raises(InputError, match="disabled"):
        site.claim("a")
    site.net.until(lambda: site.active() == ["b"], 4)
    core.enable(enabled=True, now=site.net.now)
    for _ in range(100):
        site.net.run(0.05)
        assert site.active() == ["b"]
    site.agree("b", 1)


def test_a_member_that_is_reached_over_others_hears_too() -> None:
    """It gets no pings of ours, but our digest."""
    site = Site("a", "b", "c")
    site.net.settle()
    site.net.cut_link("a", "c")
    site.net.run(5)
    assert site.net["a"].core.membership.routes["c"].hops == 2
    lost = site.net["c"].core.post.capabilities.pop("tags")
    site.claim("a")
    site.net.run(0.5)
    site.net["c"].core.post.capabilities["tags"] = lost
    site.net["b"].core.post.capabilities.pop("tags")  # nobody else tells it
    site.net.until(lambda: site.row("c")["node"] == "a", 12)


def forge(site: Site, body: Any) -> None:
    site["a"].receive(Incoming("b", Kind.MESSAGE, 0, body), site.net.now)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("claims", "garbled_tags"),
        (("claims", 1, (), b""), "garbled_tags"),
        (("claims", ((b"", b""),), (), b""), "garbage"),
        (("claims", ((b"\x90", b""),), (), b""), "shape"),
        (("claims", (5,), (), b""), "shape"),
        (("claims", (), ((TAG, "low"),), b""), "shape"),
        (("claims", (), (("no tag!", 1),), b""), "shape"),
    ],
)
def test_what_makes_no_sense_is_refused(body: Any, reason: str) -> None:
    """With its reason, and the tag is as it was."""
    site = Site("a", "b")
    site.net.settle()
    site.claim("a")
    with pytest.raises(RemoteError) as caught:
        forge(site, body)
    assert caught.value.reason == reason
    assert site.row("a")["state"] == "active"


def test_a_claim_in_another_name_is_refused() -> None:
    """Also a changed one; one of the far future; and of a stranger nothing is believed."""
    site = Site("a", "b", "c")
    site.net.settle()
    stamp = site["b"].claim(TAG, "mine", site.net.now).stamp
    site.agree("b", 1)
    body, signature = Claim(TAG, stamp + 5, "c", active=True, reason="").sign(identity("b"))
    with pytest.raises(RemoteError, match="forged_claim"):
        forge(site, ("claims", ((body, signature),), (), b""))
    future = Claim(TAG, stamp + (25 * 3600 * 1000 << 16), "b", active=True, reason="").sign(
        identity("b")
    )
    with pytest.raises(RemoteError, match="future_stamp"):
        forge(site, ("claims", (future,), (), b""))
    stranger = Claim(TAG, stamp + 9, "x", active=True, reason="").sign(identity("x"))
    good = Claim(TAG, stamp + 7, "c", active=True, reason="").sign(identity("c"))
    forge(site, ("claims", (stranger, good), (), b""))
    assert site.row("a")["node"] == "c"


def test_a_mad_node_leaves_room() -> None:
    """It may make so many tags; those of others go on being taken."""
    site = Site("a", "b", "c")
    site.net.settle()
    wall = site.net["b"].core.wall(site.net.now)
    stamp = int(wall * 1000) << 16
    flood = tuple(
        Claim(f"t{n}", stamp, "b", active=True, reason="").sign(identity("b")) for n in range(40)
    )
    with pytest.raises(RemoteError, match="too_many_tags"):
        forge(site, ("claims", flood, (), b""))
    assert len(site["a"].rows(site.net.now)) == 1 + MAX_PER_NODE
    site["c"].claim("mine", "", site.net.now)
    site.net.run(1)
    assert site.row("a", "mine")["node"] == "c"


def test_what_a_revoked_node_claimed_counts_no_more() -> None:
    """The others have no active node then, or take over."""
    plan = TagPlan(takeover=1.0)
    site = Site("a", "b", plan=plan)
    site.net.settle()
    site.claim("b")
    site.agree("b", 1)
    site.net["b"].stop()
    site["a"].forget("b", site.net.now)
    assert site.row("a")["reason"] == "b was put out of the cluster"
    site.net.until(lambda: site.active() == ["a"], 4)


def test_history_is_bounded_and_a_full_disk_is_told() -> None:
    """The latest changes stay; what cannot be kept is a warning until it can."""
    site = Site("a")
    site.net.run(1)
    for number in range(MAX_HISTORY):
        site.claim("a", f"claim {number}")
        site["a"].release(TAG, "again", site.net.now)
    assert len(site["a"].history(TAG)) == MAX_HISTORY
    full = [True]

    def keep(rows: dict[str, Any]) -> None:
        if full:
            raise SystemFailure("tags.json: No space left on device")

    site["a"]._keep = keep
    site.claim("a")
    assert site["a"].warnings() == ["cluster: tags cannot be kept: tags.json: No space left on device"]
    full.clear()
    site.net.run(1)
    assert site["a"].warnings() == []


def test_a_follower_that_fails_harms_nobody() -> None:
    """The others are told, and the tag is active."""
    site = Site("a")
    site["a"]._followers[TAG].insert(0, lambda active, why: 1 / 0)  # type: ignore[arg-type,return-value]
    site.net.run(1)
    site.claim("a")
    assert site.told["a"] == [(True, "by hand")]


@pytest.mark.parametrize("seed", range(40))
def test_never_two_active_after_healing(seed: int) -> None:
    """Random claims, partitions, kills, freezes and clocks that are off, with takeover or not."""
    random = Random(seed)
    names = ["a", "b", "c", "d", "e"][: random.choice([2, 3, 5])]
    plan = TagPlan(takeover=random.choice([0.0, 1.0, 4.0]))
    site = Site(*names, plan=plan, seed=seed)
    for name in names:
        site.net[name].clock = random.choice([0.0, -3600.0, 3600.0, 7.0])
        site.restart(name)
    site.net.settle()
    for _ in range(25):
        name = random.choice(names)
        node = site.net[name]
        action = random.choice(["claim", "claim", "release", "cut", "heal", "kill", "freeze", "disable"])
        if action == "claim" and not node.stopped and node.core.membership.enabled:
            site.claim(name)
        elif action == "release" and name in site.active():
            site[name].release(TAG, "enough", site.net.now)
        elif action == "cut":
            left = tuple(n for n in names if random.random() < 0.5)
            site.net.sever(left, tuple(n for n in names if n not in left))
        elif action == "heal":
            site.net.heal()
        elif action == "kill":
            node.stop() if not node.stopped else site.restart(name)
        elif action == "freeze":
            node.frozen = not node.frozen
        elif not node.stopped:
            node.core.enable(enabled=not node.core.membership.enabled, now=site.net.now)
        site.net.run(random.choice([0.1, 1.0, 5.0]))
    site.net.heal()
    for name in names:
        node = site.net[name]
        node.frozen = False
        if node.stopped:
            site.restart(name)
        node.core.enable(enabled=True, now=site.net.now)
    site.net.run(45)  # connections that flapped are held back for up to 20 s
    site.net.settle()
    holders = {site.row(name)["node"] for name in names}
    assert len(holders) == 1, {name: site.row(name) for name in names}
    assert site.active() == [name for name in holders if name]
    for name in names:
        assert site.row(name)["reason"] or not site[name].history(TAG), name
