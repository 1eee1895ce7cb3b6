"""What a context signs, and that another context accepts exactly that."""

from __future__ import annotations

import pytest

from capabilities.context import CapabilityContext
from capabilities.tokens import TokenFault, TokenList, verify
from tests.unit.capabilities.people import DIDS, KEYS, LATER, NOW, SECOND, token

SOON = NOW + 30 * SECOND


def bob(**more: object) -> CapabilityContext:
    return CapabilityContext(DIDS["bob"], **more)  # type: ignore[arg-type]


def test_grant() -> None:
    granted = bob().grant(KEYS["bob"], subject=DIDS["eve"], capabilities=["/x"], expires_ns=LATER, depth=1)
    assert (granted.issuer, granted.action, granted.chain) == (DIDS["bob"], "delegate", None)
    verify(granted, now_ns=NOW)
    with pytest.raises(TokenFault) as caught:
        bob().grant(KEYS["eve"], subject=DIDS["eve"], capabilities=["/x"], expires_ns=LATER)
    assert caught.value.code == "bad_context"


def test_delegate_rests_on_every_anchor_that_covers_all() -> None:
    wide, narrow = token("org", "bob", "/dms", topics=["/t"]), token("unit", "bob", "/dms/node")
    state = bob(provide=[wide, narrow, token("org", "bob", "/other")])
    minted = state.delegate(KEYS["bob"], subject=DIDS["eve"], capabilities=["/dms/node/x"])
    assert [item.chain for item in minted] == [wide, narrow]
    assert all(item.expires_ns == LATER for item in minted)
    minted = state.delegate(KEYS["bob"], subject=DIDS["eve"], capabilities=["/dms/node"], topics=["/t/a"])
    assert [item.chain for item in minted] == [wide]
    for item in minted:
        verify(item, now_ns=NOW)


def test_delegate_refuses_what_no_single_anchor_covers() -> None:
    state = bob(
        provide=[token("org", "bob", "/a"), token("org", "bob", "/b"), token("org", "bob", "/c", depth=1)]
    )
    for paths, expires in ((["/a", "/b"], 0), (["/c"], 0), (["/a"], LATER + 1), (["/"], 0)):
        with pytest.raises(TokenFault) as caught:
            state.delegate(KEYS["bob"], subject=DIDS["eve"], capabilities=paths, expires_ns=expires)
        assert caught.value.code == "not_authorized"
        assert caught.value.hint
    assert state.delegate(KEYS["bob"], subject=DIDS["eve"], capabilities=[]) == ()


def test_self_signing() -> None:
    anchor = token("org", "bob", "/a")
    state = bob(provide=[anchor])

    def chains(how: str) -> list[object]:
        minted = state.delegate(
            KEYS["bob"],
            subject=DIDS["eve"],
            capabilities=["/a"],
            expires_ns=LATER,
            self_sign=how,  # type: ignore[arg-type]
        )
        return [item.chain for item in minted]

    assert (chains("no"), chains("also"), chains("only")) == ([anchor], [anchor, None], [None])
    with pytest.raises(TokenFault, match="expiry of its own"):
        state.delegate(KEYS["bob"], subject=DIDS["eve"], capabilities=["/a"], self_sign="only")


def test_a_message_and_its_reply_between_strangers() -> None:
    """B calls A on the organisation's word; A answers on the delegation that came with the request."""
    caller = bob(provide=[token("org", "bob", "/dms")])
    callee = CapabilityContext(DIDS["node"], require=[token("node", "org", "/dms")])
    behavior, reply_to = "/dms/node/peers/ping", "/dms/actor/replyto/7"
    blob = caller.provide(
        KEYS["bob"],
        target_did=DIDS["node"],
        own_id=DIDS["actor"],
        target_id=DIDS["nodeid"],
        expires_ns=SOON,
        invoke=[behavior],
        delegate=[reply_to],
    )
    assert [item.action for item in TokenList.parse(blob).tokens] == ["invoke", "invoke", "delegate"]
    callee.consume(DIDS["bob"], blob, NOW)
    callee.require(DIDS["actor"], DIDS["nodeid"], [behavior], NOW)
    with pytest.raises(TokenFault):
        callee.require(DIDS["actor"], DIDS["nodeid"], ["/public"], NOW)
    answer = callee.provide(
        KEYS["node"],
        target_did=DIDS["bob"],
        own_id=DIDS["nodeid"],
        target_id=DIDS["actor"],
        expires_ns=SOON,
        invoke=[reply_to],
    )
    callee.discard(blob)
    caller.consume(DIDS["node"], answer, NOW)
    caller.require(DIDS["nodeid"], DIDS["actor"], [reply_to], NOW)
    with pytest.raises(TokenFault):
        caller.require(DIDS["nodeid"], DIDS["actor"], ["/dms/actor/replyto/8"], NOW)
    with pytest.raises(TokenFault):
        caller.require(DIDS["nodeid"], DIDS["actor"], [reply_to], SOON + 1)


def test_a_broadcast() -> None:
    sender = bob(provide=[token("org", "bob", "/broadcast", topics=["/nunet"])])
    hearer = CapabilityContext(DIDS["node"], require=[token("node", "org", "/broadcast", topics=["/nunet"])])
    blob = sender.provide_broadcast(
        KEYS["bob"],
        own_id=DIDS["actor"],
        topic="/nunet/hello",
        expires_ns=SOON,
        capabilities=["/broadcast/hello"],
    )
    hearer.consume(DIDS["bob"], blob, NOW)
    hearer.require_broadcast(DIDS["actor"], "/nunet/hello", ["/broadcast/hello"], NOW)
    with pytest.raises(TokenFault):
        hearer.require_broadcast(DIDS["actor"], "/nunet/other", ["/broadcast/hello"], NOW)


def test_nothing_to_provide() -> None:
    asked = {"target_did": DIDS["node"], "own_id": DIDS["actor"], "target_id": DIDS["nodeid"]}
    with pytest.raises(TokenFault, match="no capabilities"):
        bob().provide(KEYS["bob"], **asked, expires_ns=SOON, invoke=[])
    with pytest.raises(TokenFault, match="no invocation capabilities"):
        bob().provide(KEYS["bob"], **asked, expires_ns=SOON, invoke=[], delegate=["/r"])
    with pytest.raises(TokenFault, match="no capabilities"):
        bob().provide_broadcast(
            KEYS["bob"], own_id=DIDS["actor"], topic="/t", expires_ns=SOON, capabilities=[]
        )


def test_the_key_must_be_the_contexts() -> None:
    with pytest.raises(TokenFault, match="bad context"):
        bob().revoke(KEYS["eve"], token("bob", "eve", "/x"))
    assert bob().revoke(KEYS["bob"], token("bob", "eve", "/x")).action == "revoke"
