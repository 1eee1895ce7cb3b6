"""Twenty thousand delegations in random trees, judged a second time by rules written down independently here.

Whoever hands on may cheat: wider paths, a later end, another audience, what is not hers. Whatever the tree, nothing
is allowed that some link does not cover, what is below a revoked link is dead, and no end is later than one above it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from capabilities.chains import ChainCache, covered, verify
from capabilities.tokens import Token, TokenFault
from tests.unit.capabilities.people import DIDS, NOW, SECOND, token

SEED, TREES, TOKENS = 20_261_126, 100, 200
PEOPLE = ("org", "unit", "bob", "eve")
PATHS = ("/", "/dms", "/dms/node", "/dms/node/peers", "/dms/nodes", "/dms/deployment", "/public")
TOPICS = ("/nunet", "/nunet/hello", "/other")


def within(path: str, above: str) -> bool:
    """Say whether `path` is `above` or lies below it, by segments."""
    wanted, given = path.strip("/").split("/"), above.strip("/").split("/")
    return above == "/" or wanted[: len(given)] == given


def all_within(paths: tuple[str, ...], above: tuple[str, ...]) -> bool:
    return all(any(within(path, one) for one in above) for path in paths)


@dataclass
class Grown:
    """A token of the tree; `sound`: each link of its chain keeps the rules that hold at any time."""

    token: Token
    holder: str
    audience: str
    sound: bool
    above: list[Grown] = field(default_factory=list)

    @property
    def chain(self) -> list[Grown]:
        return [self, *self.above]

    def counts(self, now_ns: int, revoked: set[str]) -> bool:
        return (
            self.sound
            and all(one.token.expires_ns >= now_ns and one.token.key not in revoked for one in self.chain)
            and all(not one.token.depth or at <= one.token.depth for at, one in enumerate(self.chain))
        )


def grow(draw: random.Random, trunk: list[Grown]) -> Grown:
    """Return a new token, at the root of a chain or below one of the latest."""
    parent = draw.choice(trunk[-20:]) if trunk and draw.random() < 0.85 else None
    honest = draw.random() < 0.8
    giver = parent.holder if parent and (honest or draw.random() < 0.5) else draw.choice(PEOPLE)
    taker = draw.choice(PEOPLE)
    paths, topics = _some(draw, PATHS), _some(draw, TOPICS) if draw.random() < 0.3 else ()
    expires_ns = NOW + draw.randint(1, 100) * SECOND
    audience = draw.choice(("", "", "node", "nodeid"))
    if parent and honest:
        paths = tuple(path for path in paths if all_within((path,), parent.token.capabilities))
        topics = tuple(topic for topic in topics if all_within((topic,), parent.token.topics))
        expires_ns = min(expires_ns, parent.token.expires_ns)
        audience = parent.audience or audience
    made = token(
        giver,
        taker,
        *(paths or ("/public/hello",)),
        topics=topics,
        expires_ns=expires_ns,
        audience=audience,
        depth=draw.choice((0, 0, 0, 1, 2, 3)),
        chain=parent.token if parent else None,
    )
    if parent is None:
        return Grown(made, taker, audience, True)
    keeps = (
        giver == parent.holder
        and all_within(made.capabilities, parent.token.capabilities)
        and all_within(made.topics, parent.token.topics)
        and made.expires_ns <= parent.token.expires_ns
        and (not parent.audience or audience == parent.audience)
    )
    return Grown(made, taker, audience, parent.sound and keeps, parent.chain)


def _some(draw: random.Random, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(draw.sample(values, draw.randint(1, 2)))


def accepted(one: Token, now_ns: int, revoked: set[str], cache: ChainCache) -> bool:
    try:
        verify(one, now_ns=now_ns, revoked=revoked, cache=cache)
    except TokenFault:
        return False
    return True


def test_no_tree_of_delegations_gives_more_than_each_link_covers() -> None:
    draw, cache = random.Random(SEED), ChainCache()
    verdicts = {True: 0, False: 0}
    deepest = 0
    for _ in range(TREES):
        trunk: list[Grown] = []
        for _ in range(TOKENS):
            one = grow(draw, trunk)
            if len(one.chain) <= 30:
                trunk.append(one)
            verdict = accepted(one.token, NOW, set(), cache)
            assert verdict is one.counts(NOW, set()), one.token.text()
            verdicts[verdict] += 1
            if not verdict:
                continue
            deepest = max(deepest, len(one.chain))
            links = [link.token for link in one.chain]
            for path in PATHS:
                if covered(one.token.capabilities, (path,)):
                    assert all(all_within((path,), link.capabilities) for link in links)
            assert one.token.expires_ns == min(link.expires_ns for link in links)
            # Remembered as good, and refused nevertheless.
            assert not accepted(one.token, NOW, {draw.choice(links).key}, cache)
            assert not accepted(one.token, one.token.expires_ns + 1, set(), cache)
        revoked = {one.token.key for one in draw.sample(trunk, 5)}
        later = NOW + draw.randint(0, 100) * SECOND
        for one in trunk:
            assert accepted(one.token, later, revoked, cache) is one.counts(later, revoked)
    assert sum(verdicts.values()) == TREES * TOKENS == 20_000
    assert min(verdicts.values()) > 2_000
    assert deepest >= 6
    assert set(DIDS) >= set(PEOPLE)
