"""Tokens as they are written and read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.did import did_of
from capabilities.tokens import Token, TokenFault, TokenList, issue, revoke, verify
from tests.unit.capabilities.people import DIDS, KEYS, LATER, NOW, chain, token

JSON_VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just([]) | st.just({})
)


def test_the_order_and_the_omissions() -> None:
    bare = token("org", "unit", "/dms", nonce=bytes(12))
    assert (
        bare.signed_bytes()
        == (
            f'dms:token:{{"act":"delegate","iss":{{"uri":"{DIDS["org"]}"}},"sub":{{"uri":"{DIDS["unit"]}"}},'
            f'"aud":{{}},"cap":["/dms"],"nonce":"AAAAAAAAAAAAAAAA","exp":{LATER}}}'
        ).encode()
    )
    full = token("unit", "bob", "/dms", audience="node", topics=["/t"], depth=2, chain=bare)
    assert list(full.document()["dms"]) == [
        *("act", "iss", "sub", "aud", "topic", "cap", "nonce", "exp", "depth", "chain", "sig")
    ]
    assert full.text() == json.dumps(full.document(), separators=(",", ":"))
    assert bare.key == f"{DIDS['org']}#{DIDS['unit']}#AAAAAAAAAAAAAAAA"


def test_null_and_empty_capabilities_differ() -> None:
    document = token("org", "unit").document()
    empty = Token.parse(document)
    document["dms"]["cap"] = None
    null = Token.parse(document)
    assert b'"cap":[]' in empty.signed_bytes()
    assert b'"cap":null' in null.signed_bytes()
    assert empty != null
    assert empty.capabilities == null.capabilities == ()
    verify(empty, now_ns=NOW)
    with pytest.raises(TokenFault, match="signature"):
        verify(null, now_ns=NOW)


def test_round_trip_of_a_chain() -> None:
    leaf = chain()
    again = Token.parse(json.loads(leaf.text()))
    assert again == leaf
    assert again.digest == leaf.digest
    assert len(list(again.links())) == 3
    verify(again, now_ns=NOW)


def test_token_lists() -> None:
    both = TokenList((chain(), token("org", "bob", "/x")))
    assert TokenList.parse(both.encode()) == both
    assert json.loads(both.encode()) == both.document()
    assert TokenList().encode() == b"{}"
    assert (
        TokenList.parse(b"{}")
        == TokenList.parse(b'{"tok":null}')
        == TokenList.parse(b'{"TOK":[]}')
        == TokenList()
    )


@pytest.mark.parametrize(
    "blob", [b"", b"[]", b"x", b'{"tok":{}}', b'{"tok":1}', b'{"tok":[1]}', b'{"tok":[{}]}']
)
def test_lists_that_are_none(blob: bytes) -> None:
    with pytest.raises(TokenFault) as caught:
        TokenList.parse(blob)
    assert caught.value.code == "bad_token"


def test_the_list_is_bounded() -> None:
    with pytest.raises(TokenFault) as caught:
        TokenList.parse(b'{"tok":[]}' + b" " * 16_384)
    assert caught.value.code == "blob_too_big"
    TokenList.parse(b'{"tok":[]}' + b" " * (16_384 - 10))


def test_salvage_keeps_the_good() -> None:
    good = token("org", "unit", "/dms")
    blob = f'{{"tok":[{good.text()},{{"ucan":{{}}}},7]}}'.encode()
    kept, faults = TokenList.salvage(blob)
    assert kept == TokenList((good,))
    assert [fault.code for fault in faults] == ["bad_token", "bad_token"]


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("act", "Invoke"),
        ("act", None),
        ("act", ["invoke"]),
        ("iss", {}),
        ("iss", "did:key:z6Mk"),
        ("iss", {"uri": "nonsense"}),
        ("sub", None),
        ("aud", {"uri": "a:b"}),
        ("aud", {"uri": 1}),
        ("cap", [""]),
        ("cap", ["/dms/"]),
        ("cap", ["dms"]),
        ("cap", ["*"]),
        ("cap", ["/x" * 300]),
        ("cap", ["/x"] * 129),
        ("cap", "/dms"),
        ("topic", [""]),
        ("topic", ["/nunet/"]),
        ("nonce", None),
        ("nonce", ""),
        ("nonce", "AAAA" * 40),
        ("nonce", "A"),
        ("exp", -1),
        ("exp", 2**64),
        ("exp", 1.0),
        ("depth", "1"),
        ("chain", {}),
        ("chain", 5),
        ("sig", 5),
    ],
)
def test_what_is_refused_at_parse(member: str, value: object) -> None:
    document = token("org", "unit", "/dms").document()
    document["dms"][member] = value
    with pytest.raises(TokenFault) as caught:
        Token.parse(document)
    assert caught.value.code == "bad_token"
    assert caught.value.detail


def test_chains_are_bounded() -> None:
    leaf = token("org", "unit", "/dms")
    for _ in range(31):
        leaf = token("org", "unit", "/dms", chain=leaf)
    assert Token.parse(leaf.document()) == leaf
    with pytest.raises(TokenFault, match="too long"):
        Token.parse(token("org", "unit", "/dms", chain=leaf).document())
    for links in (100, 1000):
        bomb = b'{"tok":[' + b'{"dms":{"chain":' * links + b"{}" + b"}}" * links + b"]}"
        with pytest.raises(TokenFault):
            TokenList.parse(bomb, max_bytes=1 << 20)


@given(
    st.recursive(
        JSON_VALUES,
        lambda inner: st.dictionaries(
            st.sampled_from(
                ["dms", "act", "iss", "sub", "aud", "cap", "nonce", "exp", "chain", "sig", "uri", "x"]
            ),
            inner,
        ),
        max_leaves=12,
    )
)
def test_random_documents_never_crash(document: Any) -> None:
    try:
        Token.parse({"dms": document})
    except TokenFault as fault:
        assert fault.code == "bad_token"


def test_issue_refuses_what_parse_would() -> None:
    bad: list[dict[str, Any]] = [
        {"action": "grant"},
        {"action": "broadcast", "audience": DIDS["node"]},
        {"expires_ns": -1},
        {"expires_ns": 2**64},
        {"depth": -1},
        {"subject": ""},
        {"capabilities": [""]},
        {"capabilities": ["/a/"]},
        {"capabilities": ["/a"] * 200},
        {"topics": [""]},
    ]
    good: dict[str, Any] = {
        "action": "delegate",
        "subject": DIDS["unit"],
        "capabilities": ["/"],
        "expires_ns": LATER,
    }
    assert issue(KEYS["org"], **good).issuer == did_of(KEYS["org"].public)
    for change in bad:
        with pytest.raises(TokenFault) as caught:
            issue(KEYS["org"], **(good | change))
        assert caught.value.code == "bad_token"


def test_only_the_issuer_revokes() -> None:
    given_away = token("org", "unit", "/dms", audience="node", depth=3)
    revocation = revoke(KEYS["org"], given_away)
    assert (revocation.action, revocation.key) == ("revoke", given_away.key)
    assert revocation.expires_ns == given_away.expires_ns
    assert revocation.capabilities == given_away.capabilities
    verify(revocation, now_ns=NOW)
    with pytest.raises(TokenFault) as caught:
        revoke(KEYS["eve"], given_away)
    assert caught.value.code == "not_authorized"
