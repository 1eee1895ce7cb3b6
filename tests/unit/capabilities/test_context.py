"""The capability context: whose tokens count, for what, and that no bad token is an error."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from capabilities.anchors import parse_context
from capabilities.context import CapabilityContext, permits
from capabilities.tokens import Token, TokenFault, TokenList, revoke
from tests.unit.capabilities.people import DIDS, KEYS, LATER, NOW, SECOND, chain, signed_by, token

ASKED = "/dms/node/peers"


def blob(*tokens: Token) -> bytes:
    return TokenList(tokens).encode()


def context(**more: object) -> CapabilityContext:
    return CapabilityContext(DIDS["node"], **more)  # type: ignore[arg-type]


def requiring() -> CapabilityContext:
    """Return a context that accepts what the organisation delegates."""
    return context(require=[token("node", "org", "/dms", "/public")])


def admitted(state: CapabilityContext, *tokens: Token, asked: str = ASKED, now_ns: int = NOW) -> bool:
    decision = state.admit(DIDS["bob"], DIDS["actor"], DIDS["nodeid"], (asked,), blob(*tokens), now_ns)
    assert decision.why
    assert bool(decision.token_keys) is decision.allowed
    return decision.allowed


def test_strangers_interoperate_through_an_organisation() -> None:
    state, leaf = requiring(), chain()
    assert state.consume(DIDS["bob"], blob(leaf), NOW) == (leaf,)
    keys = state.require(DIDS["actor"], DIDS["nodeid"], ["/other", ASKED], NOW)
    assert keys == tuple(link.key for link in leaf.links())
    for subject, audience, asked in (
        ("eve", "nodeid", ASKED),
        ("actor", "eve", ASKED),
        ("actor", "nodeid", "/dms/node"),
    ):
        with pytest.raises(TokenFault) as caught:
            state.require(DIDS[subject], DIDS[audience], [asked], NOW)
        assert caught.value.code == "not_authorized"
        assert caught.value.hint
    with pytest.raises(TokenFault):
        state.require(DIDS["actor"], DIDS["nodeid"], [], NOW)
    with pytest.raises(TokenFault):
        state.require(DIDS["actor"], DIDS["nodeid"], [ASKED], LATER + 1)
    state.discard(blob(leaf))
    with pytest.raises(TokenFault):
        state.require(DIDS["actor"], DIDS["nodeid"], [ASKED], NOW)


@pytest.mark.parametrize("trust", ["root", "own", "require"])
def test_each_way_to_trust(trust: str) -> None:
    leaf = chain()
    state = {
        "root": context(roots=[DIDS["org"]]),
        "own": CapabilityContext(DIDS["org"]),
        "require": requiring(),
    }[trust]
    assert admitted(state, leaf)
    assert admitted(state, leaf)


def test_anchored_at_the_sender_is_kept_but_authorises_nothing() -> None:
    state = context()
    own = token("bob", "actor", "/dms", action="invoke")
    assert state.consume(DIDS["bob"], blob(own), NOW) == (own,)
    with pytest.raises(TokenFault, match="anchored at nobody"):
        state.require(DIDS["actor"], DIDS["nodeid"], [ASKED], NOW)
    assert not admitted(state, own)
    assert state.consume(DIDS["eve"], blob(own), NOW) == ()


def test_hostile_tokens_are_skipped_and_the_good_one_counts() -> None:
    state, leaf = requiring(), chain()
    parent = leaf.chain
    assert parent is not None
    hostile = [
        replace(leaf, signature=bytes(64)),
        replace(leaf, audience=DIDS["eve"]),
        signed_by("bob", replace(leaf, capabilities=("/dms",))),
        signed_by("bob", replace(leaf, topics=("/x",))),
        signed_by("bob", replace(leaf, expires_ns=LATER + 1)),
        signed_by("bob", replace(leaf, chain=replace(parent, expires_ns=LATER + 9))),
        token("eve", "actor", "/", action="invoke"),
        token("org", "actor", "/dms", action="invoke", expires_ns=NOW - 1),
    ]
    for bad in hostile:
        assert not admitted(state, bad)
        assert state.consume(DIDS["bob"], blob(bad), NOW) == ()
    assert state.consume(DIDS["bob"], blob(*hostile, leaf), NOW + 1) == (leaf,)


def test_blobs_that_are_no_lists() -> None:
    state = requiring()
    for data, code in ((b"x", "bad_token"), (b" " * 16_385, "blob_too_big"), (b"[" * 16_000, "bad_token")):
        with pytest.raises(TokenFault) as caught:
            state.consume(DIDS["bob"], data, NOW)
        assert caught.value.code == code
        assert not state.admit(DIDS["bob"], DIDS["actor"], DIDS["nodeid"], (ASKED,), data, NOW).allowed
        state.discard(data)
    assert state.consume(DIDS["bob"], b"", NOW) == state.consume(DIDS["bob"], b"{}", NOW) == ()


def test_a_refusal_says_what_was_wrong_with_each_token() -> None:
    state = requiring()
    expired = token("org", "actor", "/dms", action="invoke", expires_ns=NOW - 1)
    other = token("org", "actor", "/public", action="invoke")
    decision = state.admit(DIDS["bob"], DIDS["actor"], DIDS["nodeid"], (ASKED,), blob(expired, other), NOW)
    assert "capability expired" in decision.why
    assert "does not cover" in decision.why


def test_a_revocation_takes_effect_at_once() -> None:
    state, leaf = requiring(), chain()
    assert admitted(state, leaf)
    state.consume(DIDS["bob"], blob(leaf), NOW)
    parent = leaf.chain
    assert parent is not None
    state.add_roots(revoke=[revoke(KEYS["unit"], parent)], now_ns=NOW)
    assert not admitted(state, leaf)
    with pytest.raises(TokenFault):
        state.require(DIDS["actor"], DIDS["nodeid"], [ASKED], NOW)
    assert state.sweep(NOW) == 1
    state.remove_roots(revoke=[parent.key])
    assert admitted(state, leaf)


def test_a_revoked_anchor_is_dropped() -> None:
    anchor = token("node", "org", "/dms")
    state = context(require=[anchor])
    assert admitted(state, chain())
    state.add_roots(revoke=[revoke(KEYS["node"], anchor)], now_ns=NOW)
    assert state.list_roots(NOW).require == ()
    assert not admitted(state, chain())


def test_anchors_come_all_or_none() -> None:
    state, good = context(), token("node", "org", "/dms")
    bad = {
        "require": [good, replace(good, signature=bytes(64))],
        "provide": [token("org", "node", "/dms", expires_ns=NOW - 1)],
        "revoke": [good],
    }
    for kind, tokens in bad.items():
        with pytest.raises(TokenFault, match="verify token"):
            state.add_roots(roots=[DIDS["org"]], **{kind: tokens}, now_ns=NOW)
    forged = signed_by("eve", revoke(KEYS["node"], good))
    with pytest.raises(TokenFault, match="verify token"):
        state.add_roots(revoke=[forged], now_ns=NOW)
    with pytest.raises(TokenFault, match="verify token"):
        state.add_roots(require=[token("node", "org", "/dms", action="invoke")], now_ns=NOW)
    assert state.list_roots(NOW).document(DIDS["node"]) == {
        "did": {"uri": DIDS["node"]},
        "roots": [],
        "require": {},
        "provide": {},
        "revoke": {},
    }


def test_anchors_are_merged_listed_and_removed() -> None:
    state = context()
    small, large = token("node", "org", "/dms/node"), token("node", "org", "/dms", expires_ns=LATER + SECOND)
    topics = token("node", "org", "/dms", topics=["/t"], expires_ns=LATER)
    state.add_roots(roots=[DIDS["org"]], require=[small, topics], now_ns=NOW)
    state.add_roots(require=[large, large], provide=[token("org", "node", "/dms")], now_ns=NOW)
    listed = state.list_roots(NOW)
    assert listed.roots == frozenset({DIDS["org"]})
    assert listed.require == (topics, large)
    assert len(listed.provide) == 1
    assert state.list_roots(LATER + 1).require == (large,)
    state.remove_roots(roots=[DIDS["org"]], require=[large], provide=listed.provide)
    left = state.list_roots(NOW)
    assert (left.roots, left.require, left.provide) == (frozenset(), (topics,), ())


def test_sweep_forgets_what_expired() -> None:
    state = requiring()
    for second in range(3):
        leaf = token("org", "actor", "/dms", action="invoke", expires_ns=NOW + second * SECOND)
        state.consume(DIDS["org"], blob(leaf), NOW)
    assert state.sweep(NOW + SECOND) == 1
    assert state.sweep(LATER) == 2


def test_broadcasts() -> None:
    state = requiring()
    state.add_roots(require=[token("node", "org", "/broadcast", topics=["/nunet"])], now_ns=NOW)
    leaf = token("org", "actor", "/broadcast", action="broadcast", topics=["/nunet"])

    def heard(topic: str, asked: str = "/broadcast/hello") -> bool:
        decision = state.admit_broadcast(DIDS["org"], DIDS["actor"], topic, (asked,), blob(leaf), NOW)
        return decision.allowed

    assert heard("/nunet/hello")
    assert not heard("/other")
    assert not heard("/nunet/hello", "/dms")
    assert not admitted(state, leaf, asked="/broadcast/hello")
    state.consume(DIDS["org"], blob(leaf), NOW)
    assert state.require_broadcast(DIDS["actor"], "/nunet/hello", ["/broadcast"], NOW) == (leaf.key,)


def test_the_store_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capabilities.context.SUBJECTS_MAX", 2)
    monkeypatch.setattr("capabilities.context.TOKENS_PER_SUBJECT_MAX", 3)
    state = context()
    for subject in ("actor", "eve", "bob"):
        for _ in range(5):
            state.consume(DIDS["unit"], blob(token("unit", subject, "/x", action="invoke")), NOW)
    assert state.sweep(LATER + 1) == 6


def test_a_saved_context() -> None:
    gone = token("node", "bob", "/dms")
    state = context(roots=[DIDS["org"]], require=[token("node", "org", "/dms")], revoked=["bare key"])
    state.add_roots(revoke=[revoke(KEYS["node"], gone)], provide=[token("org", "node", "/dms")], now_ns=NOW)
    saved = state.anchors.document(DIDS["node"])
    did, anchors = parse_context(saved, NOW)
    assert did == DIDS["node"]
    assert (anchors.roots, anchors.require, anchors.provide) == (
        state.roots,
        state.anchors.require,
        state.anchors.provide,
    )
    assert set(anchors.revoked) == {gone.key}
    old = {"DID": saved["did"], "Roots": saved["roots"], "Require": saved["require"], "Provide": None}
    did, anchors = parse_context(old, NOW)
    assert (anchors.roots, anchors.require) == (state.roots, state.anchors.require)
    assert (anchors.provide, dict(anchors.revoked)) == ((), {})
    assert parse_context(saved, LATER + 1)[1].require == ()
    malformed: list[Any] = [None, [], {"roots": 5}, {"did": 5}, {"require": []}, {"require": {"tok": [5]}}]
    for broken in malformed:
        with pytest.raises(TokenFault):
            parse_context(broken, NOW)


class TestPermits:
    """Invocations inside the site."""

    def test_ourselves_and_roots(self) -> None:
        state = context(roots=[DIDS["org"]])
        assert permits(state, DIDS["node"], "/dms", (), NOW).allowed
        assert permits(state, DIDS["org"], "/dms", (), NOW).allowed
        assert not permits(state, DIDS["eve"], "/dms", (), NOW).allowed

    @pytest.mark.parametrize("action", ["delegate", "invoke"])
    def test_a_token_of_ours(self, action: str) -> None:
        held = token("node", "bob", "/dms/node", action=action)
        decision = permits(context(), DIDS["bob"], ASKED, [held], NOW)
        assert decision.allowed
        assert decision.token_keys == (held.key,)
        assert decision.token == held
        assert not permits(context(), DIDS["bob"], "/dms/deployment", [held], NOW).allowed
        assert not permits(context(), DIDS["eve"], ASKED, [held], NOW).allowed
        assert not permits(context(), DIDS["bob"], ASKED, [held], LATER + 1).allowed
        assert not permits(context(revoked=[held.key]), DIDS["bob"], ASKED, [held], NOW).allowed

    def test_tokens_of_others(self) -> None:
        held = token("org", "bob", "/dms")
        assert permits(requiring(), DIDS["bob"], ASKED, [held], NOW).allowed
        assert permits(context(roots=[DIDS["org"]]), DIDS["bob"], ASKED, [held], NOW).allowed
        refused = permits(context(), DIDS["bob"], ASKED, [held], NOW)
        assert "anchored at nobody" in refused.why

    @pytest.mark.parametrize(
        ("held", "why"),
        [
            (token("node", "bob", "/dms", action="broadcast"), "holds no token"),
            (token("node", "bob", "/dms", audience="eve"), "for use at"),
            (signed_by("eve", token("node", "bob", "/dms")), "signature"),
            (token("node", "bob", "/public"), "covers only /public"),
            (token("node", "bob"), "covers only nothing"),
        ],
    )
    def test_what_does_not_do(self, held: Token, why: str) -> None:
        decision = permits(context(), DIDS["bob"], ASKED, [held], NOW)
        assert not decision.allowed
        assert why in decision.why
