"""A chain drawn link by link: each altered field shows at its link, and only an intact chain holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from capabilities.inspection import links
from capabilities.moments import moment_of
from capabilities.tokens import TokenFault, TokenList, revoke, verify
from tests.unit.capabilities.people import DIDS, KEYS, LATER, NOW, SECOND, chain, token


def test_a_good_chain_holds_from_the_token_to_its_root() -> None:
    found = links(chain(), NOW)
    assert [link.position for link in found] == list(range(len(found)))
    assert all(link.document()["holds"] for link in found)
    assert found[-1].token.chain is None
    document = found[0].document()
    assert (document["issuer"], document["subject"]) == (DIDS["bob"], DIDS["actor"])
    assert document["expires_at"].endswith("+00:00")


@pytest.mark.parametrize("field", ["capabilities", "expires_ns", "subject", "depth", "nonce"])
def test_an_altered_field_shows_at_its_link(field: str) -> None:
    leaf = chain()
    parent = leaf.chain
    assert parent is not None
    other: object = {
        "capabilities": ("/",),
        "expires_ns": LATER + 5 * SECOND,
        "subject": DIDS["eve"],
        "depth": 7,
        "nonce": b"123456789012",
    }[field]
    altered = replace(leaf, chain=replace(parent, **{field: other}))  # type: ignore[arg-type]
    found = links(altered, NOW)
    assert any("signature" in fault for fault in found[1].faults)
    with pytest.raises(TokenFault):
        verify(altered, now_ns=NOW)


def test_every_fault_is_told_not_only_the_first() -> None:
    parent = token("node", "org", "/dms/node", depth=1, expires_ns=NOW - SECOND)
    child = token("eve", "bob", "/dms", chain=parent)
    found = links(child, NOW, {parent.key})
    assert len(found[0].faults) == 1
    assert "expires after" in found[0].faults[0]
    assert [fault.split()[1] for fault in found[1].faults] == ["expired", "is"]


def test_a_revocation_stands_by_itself() -> None:
    gone = token("org", "bob", "/dms", expires_ns=NOW - SECOND)
    (found,) = links(revoke(KEYS["org"], gone), NOW, {gone.key})
    assert not found.faults


def test_every_expiry_that_a_token_can_hold_is_a_time() -> None:
    assert (moment_of(0).year, moment_of(2**64 - 1).year) == (1970, 2554)


def test_one_token_and_a_list_of_them_are_both_read() -> None:
    leaf = chain()
    assert TokenList.of_any(leaf.document()).tokens == (leaf,)
    assert TokenList.of_any(TokenList((leaf, leaf)).document()).tokens == (leaf, leaf)
    assert TokenList.of_any({}).tokens == ()
    with pytest.raises(TokenFault):
        TokenList.of_any({"ucan": {}})
    assert TokenList.of_any({"tok": None}).tokens == ()
