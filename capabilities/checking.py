"""May WHO do CAN, and if not, what is missing? Pure.

Two questions. *Here*: would this node let a DID invoke a path? *There*: can a DID bring along what another node may
ask for? The second is only half of an answer: whether the other node accepts what is brought is its own to decide.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from capabilities.chains import covered, verify
from capabilities.context import CapabilityContext, permits
from capabilities.tokenform import Token, TokenFault


@dataclass(frozen=True, slots=True)
class Answer:
    """`chain`: the token it rests on, from itself to its root. `missing`: what would have to be there; `commands`:
    what adds it, each with where it is to be typed.
    """

    allowed: bool
    why: str
    chain: tuple[Token, ...] = ()
    missing: str = ""
    commands: tuple[str, ...] = ()


def here(
    context: CapabilityContext, who: str, can: str, held: Iterable[Token], now_ns: int, option: str = ""
) -> Answer:
    """Say whether the node of `context` lets `who` invoke `can`; `held` are the tokens it has itself given her.

    `option` is what the suggested command needs to mean this context.
    """
    decision = permits(context, who, can, held, now_ns)
    if decision.allowed:
        return Answer(True, decision.why, tuple(decision.token.links()) if decision.token else ())
    accepted = [token for token in context.anchors.require if _covers(context, token, can, now_ns)]
    for anchor in accepted:
        if anchor.subject == who:
            why = f"what {who} signs itself is accepted for it (a require anchor)"
            return Answer(True, why, tuple(anchor.links()))
    grant = f"here: ./dms cap grant {option}{who} {can}"
    others = dict.fromkeys(anchor.subject for anchor in accepted)
    missing = f"a token for {can} that names {who}, of this node or of one of its roots"
    if others:
        missing += f", or a delegation by {' or '.join(others)}, which is accepted here for it"
    return Answer(
        False,
        decision.why,
        missing=missing,
        commands=(grant, *(f"at the site of {did}: ./dms cap grant {who} {can}" for did in others)),
    )


def there(context: CapabilityContext, who: str, can: str, on: str, now_ns: int) -> Answer:
    """Say whether `who`, whose context this is, can bring along something that lets it invoke `can` at `on`."""
    flaws: list[str] = []
    for anchor in context.anchors.provide:
        if anchor.subject != who or (anchor.audience and anchor.audience != on):
            continue
        if not covered(anchor.capabilities, (can,)):
            flaws.append(f"what {anchor.issuer} gave covers only {', '.join(anchor.capabilities)}")
        elif (flaw := _flaw(context, anchor, now_ns)) is not None:
            flaws.append(flaw)
        else:
            why = f"a delegation of {anchor.issuer} goes with the message; {on} must trust its chain"
            return Answer(True, why, tuple(anchor.links()))
    why = f"{who} has been given nothing that covers {can} at {on}"
    return Answer(
        False,
        f"{why}: {'; '.join(dict.fromkeys(flaws))}" if flaws else why,
        missing=f"a delegation of {can} to {who} by {on}, or by somebody it trusts, as a provide anchor here",
        commands=(
            f"at {on}: ./dms invite --can {can}, and here: ./dms join LINK",
            f"or at {on}: ./dms cap grant {who} {can}, and here: ./dms cap anchor --provide TOKENS",
        ),
    )


def _covers(context: CapabilityContext, anchor: Token, can: str, now_ns: int) -> bool:
    return covered(anchor.capabilities, (can,)) and _flaw(context, anchor, now_ns) is None


def _flaw(context: CapabilityContext, token: Token, now_ns: int) -> str | None:
    try:
        verify(token, now_ns=now_ns, revoked=context.anchors.revoked, cache=context.cache)
    except TokenFault as fault:
        return fault.detail
    return None
