"""Verification: capabilities and topics only narrow, expiry only shortens, and every fault has its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.did import did_of
from capabilities.numbers import NUMBERS
from capabilities.tokens import (
    ChainCache,
    Token,
    TokenFault,
    allow_action,
    allow_broadcast,
    allow_delegation,
    allow_invocation,
    anchored,
    implies,
    issue,
    revoke,
    self_signed,
    subsumes,
    verify,
)
from tests.unit.capabilities.people import DIDS, KEYS, LATER, NOW, SECOND, Wallet, chain, signed_by, token

SEGMENTS = st.lists(st.sampled_from(["dms", "node", "peers", "x"]), min_size=1, max_size=4)
PATHS = SEGMENTS.map(lambda parts: "/" + "/".join(parts)) | st.just("/")


def fault_of(leaf: Token, *, now_ns: int = NOW, revoked: frozenset[str] = frozenset()) -> TokenFault:
    with pytest.raises(TokenFault) as caught:
        verify(leaf, now_ns=now_ns, revoked=revoked)
    return caught.value


@pytest.mark.parametrize(
    ("held", "wanted", "answer"),
    [
        ("/dms/node", "/dms/node", True),
        ("/dms/node", "/dms/node/peers/ping", True),
        ("/dms/node", "/dms/nodes", False),
        ("/dms/node", "/dms", False),
        ("/dms/node/", "/dms/node/peers", False),
        ("/", "/anything", True),
        ("/", "", True),
        ("", "/dms", False),
        ("", "", False),
    ],
)
def test_implication(held: str, wanted: str, answer: bool) -> None:
    assert implies(held, wanted) is answer


@given(PATHS, PATHS, PATHS)
def test_implication_is_an_order(a: str, b: str, c: str) -> None:
    assert implies(a, a)
    assert not (implies(a, b) and implies(b, c)) or implies(a, c)
    assert not (implies(a, b) and implies(b, a)) or a == b


@given(st.lists(PATHS, max_size=3), st.lists(PATHS, max_size=3), st.integers(-2, 2), st.integers(0, 3))
def test_a_link_only_ever_narrows(held: list[str], wanted: list[str], later: int, depth: int) -> None:
    parent = token("org", "unit", *held, topics=held, depth=depth)
    child = token("unit", "bob", *wanted, topics=wanted, chain=parent, expires_ns=LATER + later)
    narrower = all(any(implies(have, want) for have in held) for want in wanted)
    if narrower and later <= 0:
        verify(child, now_ns=NOW)
    else:
        assert fault_of(child).check in ("chain_expiry", "chain_topic", "chain_capability")


@given(st.integers(0, 4), st.integers(1, 5))
def test_depth_counts_links_to_the_root(depth: int, links: int) -> None:
    leaf = token("org", "org", "/", depth=depth)
    for _ in range(links):
        leaf = token("org", "org", "/", chain=leaf)
    if depth and links > depth:
        assert "max token depth exceeded" in fault_of(leaf).detail
    else:
        verify(leaf, now_ns=NOW)


def test_the_very_nanosecond() -> None:
    leaf = chain()
    verify(leaf, now_ns=LATER)
    fault = fault_of(leaf, now_ns=LATER + 1)
    assert (fault.code, fault.status) == ("capability_expired", 403)
    assert str(LATER) in fault.detail and str(LATER + 1) in fault.detail


def test_an_expired_ancestor() -> None:
    first = token("org", "unit", "/dms", expires_ns=NOW - 1)
    forged = token("unit", "bob", "/dms", chain=first)
    assert fault_of(forged).code == "capability_expired"


TAMPERS: dict[str, Callable[[Token], Token]] = {
    "signature": lambda t: replace(t, signature=bytes(64)),
    "no signature": lambda t: replace(t, signature=b""),
    "subject": lambda t: replace(t, subject=DIDS["eve"]),
    "audience": lambda t: replace(t, audience=DIDS["eve"]),
    "capability": lambda t: replace(t, capabilities=("/dms/node/peers", "/dms/node/x")),
    "null": lambda t: replace(t, capabilities=(), capabilities_null=True),
    "topic": lambda t: replace(t, topics=("/x",)),
    "expiry": lambda t: replace(t, expires_ns=t.expires_ns - 1),
    "depth": lambda t: replace(t, depth=9),
    "nonce": lambda t: replace(t, nonce=bytes(12)),
    "action": lambda t: replace(t, action="delegate"),
    "no chain": lambda t: replace(t, chain=None),
}


CHANGES = [
    (what, position)
    for what in TAMPERS
    for position in range(3)
    if not (what == "no chain" and position == 2) and not (what == "action" and position > 0)
]


@pytest.mark.parametrize(("what", "position"), CHANGES)
def test_no_link_can_be_altered(what: str, position: int) -> None:
    leaf = chain()
    links = list(leaf.links())
    altered = TAMPERS[what](links[position])
    for child in reversed(links[:position]):
        altered = replace(child, chain=altered)
    cache = ChainCache()
    verify(leaf, now_ns=NOW, cache=cache)
    for known in (None, cache):
        with pytest.raises(TokenFault) as caught:
            verify(altered, now_ns=NOW, cache=known)
        assert caught.value.code == "not_authorized"


@pytest.mark.parametrize(
    ("check", "forge"),
    [
        ("chain_capability", lambda parent: token("unit", "bob", "/dms", "/other", chain=parent)),
        ("chain_capability", lambda parent: token("unit", "bob", "/", chain=parent)),
        ("chain_topic", lambda parent: token("unit", "bob", "/dms", topics=["/u"], chain=parent)),
        ("chain_expiry", lambda parent: token("unit", "bob", "/dms", expires_ns=LATER + 1, chain=parent)),
        ("chain_issuer", lambda parent: token("eve", "bob", "/dms", chain=parent)),
        ("chain_audience", lambda parent: token("unit", "bob", "/dms", chain=parent, audience="")),
        ("chain_audience", lambda parent: token("unit", "bob", "/dms", chain=parent, audience="eve")),
        ("chain_audience", lambda parent: token("unit", "bob", chain=parent, audience="eve")),
    ],
)
def test_a_signed_link_that_takes_more(check: str, forge: Callable[[Token], Token]) -> None:
    parent = token("org", "unit", "/dms", topics=["/t"], audience="node")
    forged = forge(parent)
    if check != "chain_audience":
        forged = signed_by(
            "unit" if check != "chain_issuer" else "eve", replace(forged, audience=DIDS["node"])
        )
    assert fault_of(forged).check == check


@pytest.mark.parametrize("action", ["invoke", "broadcast", "revoke"])
def test_only_delegations_carry_others(action: str) -> None:
    parent = token("org", "unit", "/dms", action=action)
    assert fault_of(token("unit", "bob", "/dms", chain=parent)).check == "chain_action"


def test_a_foreign_signature() -> None:
    assert fault_of(signed_by("eve", token("org", "unit", "/dms"))).check == "signature"


def test_an_issuer_without_a_key() -> None:
    forged = replace(token("org", "unit", "/dms"), issuer="did:web:example.org")
    assert fault_of(forged).check == "issuer"


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_revocation_counts_at_once_also_for_known_chains(position: int) -> None:
    leaf, cache = chain(), ChainCache()
    verify(leaf, now_ns=NOW, cache=cache)
    revoked = {list(leaf.links())[position].key}
    with pytest.raises(TokenFault) as caught:
        verify(leaf, now_ns=NOW, revoked=revoked, cache=cache)
    assert caught.value.check == "revoked"
    verify(leaf, now_ns=NOW, revoked={"other"}, cache=cache)


def test_expiry_counts_also_for_known_chains() -> None:
    leaf, cache = chain(), ChainCache()
    verify(leaf, now_ns=NOW, cache=cache)
    with pytest.raises(TokenFault):
        verify(leaf, now_ns=LATER + 1, cache=cache)


def test_a_revocation_needs_only_its_signature() -> None:
    parent = token("org", "unit", "/dms")
    revocation = revoke(KEYS["org"], parent)
    verify(revocation, now_ns=NOW, revoked={revocation.key})
    assert fault_of(signed_by("eve", revocation)).check == "signature"
    assert fault_of(revocation, now_ns=LATER + 1).code == "capability_expired"


def test_the_cache_is_bounded_and_keeps_no_bad_token() -> None:
    cache = ChainCache(size=4)
    for _ in range(10):
        verify(chain(), now_ns=NOW, cache=cache)
    assert len(cache) == 4
    cache.clear()
    bad = signed_by("eve", token("org", "unit", "/dms"))
    with pytest.raises(TokenFault):
        verify(bad, now_ns=NOW, cache=cache)
    assert len(cache) == 0


def test_allow_invocation() -> None:
    leaf = chain("/dms/node/peers")
    assert allow_invocation(leaf, DIDS["actor"], DIDS["nodeid"], "/dms/node/peers/ping")
    assert not allow_invocation(leaf, DIDS["eve"], DIDS["nodeid"], "/dms/node/peers")
    assert not allow_invocation(leaf, DIDS["actor"], DIDS["eve"], "/dms/node/peers")
    assert not allow_invocation(leaf, DIDS["actor"], DIDS["nodeid"], "/dms/node")
    assert not allow_invocation(
        replace(leaf, action="delegate"), DIDS["actor"], DIDS["nodeid"], "/dms/node/peers"
    )
    assert allow_invocation(replace(leaf, audience=""), DIDS["actor"], DIDS["eve"], "/dms/node/peers")


def test_allow_broadcast() -> None:
    leaf = token("bob", "actor", "/broadcast", action="broadcast", topics=["/nunet"])
    assert allow_broadcast(leaf, DIDS["actor"], "/nunet/hello", "/broadcast/hello")
    assert not allow_broadcast(leaf, DIDS["actor"], "/other", "/broadcast/hello")
    assert not allow_broadcast(leaf, DIDS["actor"], "/nunet/hello", "/dms")
    assert not allow_broadcast(leaf, DIDS["eve"], "/nunet/hello", "/broadcast/hello")
    assert not allow_broadcast(replace(leaf, audience=DIDS["node"]), DIDS["actor"], "/nunet", "/broadcast")


@pytest.mark.parametrize(
    ("depth", "action", "answer"),
    [
        (0, "delegate", True),
        (1, "delegate", False),
        (1, "invoke", True),
        (2, "delegate", True),
        (2, "broadcast", True),
    ],
)
def test_allow_delegation_leaves_room(depth: int, action: str, answer: bool) -> None:
    parent = token("org", "unit", "/dms", depth=depth)
    wanted = {
        "audience": "",
        "topics": (),
        "expires_ns": LATER,
        "capabilities": ("/dms/x",),
        "action": action,
    }
    assert allow_delegation(parent, issuer=DIDS["unit"], **wanted) is answer  # type: ignore[arg-type]
    assert not allow_delegation(parent, issuer=DIDS["eve"], **wanted)  # type: ignore[arg-type]
    assert not allow_delegation(parent, issuer=DIDS["unit"], **(wanted | {"expires_ns": LATER + 1}))  # type: ignore[arg-type]
    assert not allow_delegation(parent, issuer=DIDS["unit"], **(wanted | {"topics": ("/t",)}))  # type: ignore[arg-type]


def test_allow_action() -> None:
    leaf = chain("/dms/node/peers")
    require = token("node", "org", "/dms", expires_ns=LATER)
    assert allow_action(require, leaf)
    assert not allow_action(token("node", "eve", "/dms"), leaf)
    assert not allow_action(token("node", "org", "/public"), leaf)
    assert not allow_action(token("node", "org", "/dms", expires_ns=LATER - 1), leaf)
    assert not allow_action(token("node", "org", "/dms", audience="eve"), leaf)
    assert allow_action(token("node", "org", "/dms", audience="nodeid"), leaf)
    assert allow_action(token("node", "org", "/dms", depth=2), leaf)
    assert not allow_action(token("node", "org", "/dms", depth=1), leaf)
    assert not allow_action(token("node", "org", "/dms", action="invoke"), leaf)
    assert not allow_action(require, token("org", "actor", "/dms", topics=["/t"], action="invoke"))


def test_anchors_of_a_chain() -> None:
    leaf = chain()
    assert all(anchored(leaf, DIDS[name]) for name in ("org", "unit", "bob"))
    assert not anchored(leaf, DIDS["actor"])
    assert self_signed(leaf, DIDS["org"])
    assert not self_signed(leaf, DIDS["bob"])


def test_subsumption_looks_at_topics_too() -> None:
    wide = token("org", "unit", "/dms", topics=["/a", "/b"], expires_ns=LATER + SECOND)
    assert subsumes(wide, token("org", "unit", "/dms/node", topics=["/a"]))
    assert not subsumes(wide, token("org", "unit", "/dms/node", topics=["/c"]))
    assert not subsumes(wide, token("org", "unit", "/x"))
    assert not subsumes(wide, token("org", "bob", "/dms"))
    assert not subsumes(token("org", "unit", "/dms"), wide)
    assert not subsumes(token("org", "unit", "/dms", depth=1), token("org", "unit", "/dms"))


def test_ethereum_keys_sign_a_bounded_part_of_a_chain() -> None:
    """Their hash takes long, and a stranger says over how much it goes."""
    wallet = Wallet()
    did = did_of(wallet.public)

    def link(parent: Token | None, paths: int) -> Token:
        return issue(
            wallet,
            action="delegate",
            subject=did,
            capabilities=[f"/dms/{number:040}" for number in range(paths)],
            expires_ns=LATER,
            chain=parent,
        )

    leaf = link(link(None, 20), 20)
    sizes = [len(one.signed_bytes()) for one in leaf.links()]
    assert sum(sizes) < NUMBERS.token_wallet_max_bytes
    verify(leaf, now_ns=NOW)
    longer = link(leaf, 20)
    assert len(longer.signed_bytes()) < NUMBERS.token_wallet_max_bytes
    assert fault_of(longer).check == "size"
    # What has been seen before makes no difference.
    cache = ChainCache()
    verify(leaf, now_ns=NOW, cache=cache)
    with pytest.raises(TokenFault, match="are allowed"):
        verify(longer, now_ns=NOW, cache=cache)
    assert fault_of(link(None, 90)).check == "size"
