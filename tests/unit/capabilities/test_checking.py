"""Why, and why not: the answer agrees with what the door decides, and what it proposes opens the door."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from capabilities import checking
from capabilities.context import CapabilityContext, permits
from capabilities.tokens import Token, TokenList
from tests.unit.capabilities.people import DIDS, LATER, NOW, SECOND, token

PATHS = ("/", "/dms", "/dms/node", "/dms/node/peers", "/dms/nodes", "/public")
NAMES = ("node", "org", "bob", "eve")


def context(**more: object) -> CapabilityContext:
    return CapabilityContext(DIDS["node"], **more)  # type: ignore[arg-type]


def test_a_grant_of_the_node_is_the_chain() -> None:
    held = token("node", "bob", "/dms/node")
    answer = checking.here(context(), DIDS["bob"], "/dms/node/peers", [held], NOW)
    assert answer.allowed
    assert answer.chain == (held,)
    assert checking.here(context(), DIDS["node"], "/dms", [], NOW).allowed
    assert checking.here(context(roots=[DIDS["org"]]), DIDS["org"], "/dms", [], NOW).allowed


def test_no_says_what_is_missing_and_which_command_adds_it() -> None:
    state = context(require=[token("node", "org", "/dms")])
    answer = checking.here(state, DIDS["bob"], "/dms/node", [token("node", "bob", "/public")], NOW)
    assert not answer.allowed
    assert "covers only /public" in answer.why
    assert DIDS["org"] in answer.missing
    assert answer.commands == (
        f"here: ./dms cap grant {DIDS['bob']} /dms/node",
        f"at the site of {DIDS['org']}: ./dms cap grant {DIDS['bob']} /dms/node",
    )
    # Whom a require anchor names needs no more than her own signature.
    assert checking.here(state, DIDS["org"], "/dms/node", [], NOW).allowed
    assert not checking.here(state, DIDS["org"], "/public", [], NOW).allowed


def test_what_can_be_brought_to_another_node() -> None:
    given_to_bob = token("org", "bob", "/dms", audience="node")
    state = CapabilityContext(DIDS["bob"], provide=[given_to_bob])
    answer = checking.there(state, DIDS["bob"], "/dms/node", DIDS["node"], NOW)
    assert answer.allowed
    assert answer.chain == (given_to_bob,)
    for can, on in (("/public", "node"), ("/dms", "org")):
        refused = checking.there(state, DIDS["bob"], can, DIDS[on], NOW)
        assert not refused.allowed
        assert DIDS[on] in refused.commands[0]
        assert can in refused.commands[0]
    assert not checking.there(state, DIDS["eve"], "/dms", DIDS["node"], NOW).allowed
    late = checking.there(state, DIDS["bob"], "/dms", DIDS["node"], LATER + SECOND)
    assert "expired" in late.why


TOKENS = st.builds(
    lambda giver, taker, path: token(giver, taker, path),
    st.sampled_from(NAMES),
    st.sampled_from(NAMES),
    st.sampled_from(PATHS),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(TOKENS, max_size=3),
    st.lists(TOKENS, max_size=2),
    st.sets(st.sampled_from(NAMES), max_size=1),
    st.sampled_from(NAMES),
    st.sampled_from(PATHS),
)
def test_it_agrees_with_the_door(
    held: list[Token], require: list[Token], roots: set[str], who: str, can: str
) -> None:
    state = context(require=require, roots=[DIDS[name] for name in roots])
    answer = checking.here(state, DIDS[who], can, held, NOW)
    inside = permits(state, DIDS[who], can, held, NOW).allowed
    # From outside she brings what she signs herself.
    own = TokenList((token(who, "actor", can, action="invoke"),)).encode()
    outside = state.admit(DIDS[who], DIDS["actor"], DIDS["nodeid"], (can,), own, NOW).allowed
    assert answer.allowed == (inside or (outside and any(anchor.subject == DIDS[who] for anchor in require)))
    assert answer.why
    if not answer.allowed:
        assert answer.missing
        # The first command is a grant by the node, and that is enough.
        granted = token("node", who, can)
        assert checking.here(state, DIDS[who], can, [*held, granted], NOW).allowed
