"""The node's preferences against a request: whose it is, what they hold here already, what they offer to pay."""

from __future__ import annotations

from django.utils import timezone

from capabilities.models import Identity
from capabilities.refusal import Reason
from deployments.ensemble.model import Ensemble
from node.models import Node, Reservation
from node.preferences import Facts, Money, Unclear, compare
from node.resources import Resources, sum_of
from node.selectors import amount_of, onboarded


def unwanted(
    node: Node,
    owner: Identity,
    ensemble: Ensemble,
    needed: Resources,
    executors: frozenset[str],
    *,
    empty: bool,
) -> tuple[Reason, ...]:
    """Return every reason why the node's owner does not want this; `empty`: as if nothing ran and at any time."""
    if not node.preferences:
        return ()
    held = [] if empty else [amount_of(row) for row in Reservation.objects.filter(node=node, owner=owner)]
    facts = Facts(
        owner=owner.did,
        executors=executors,
        needed=needed,
        held=sum_of(held),
        onboarded=onboarded(node) or Resources(),
        offered=offered(ensemble),
        now=timezone.now(),
    )
    return tuple(compare(node.preferences, facts, passing=not empty))


def offered(ensemble: Ensemble) -> Money | None:
    """Return what the ensemble offers for an hour (`metadata.price`, such as `0.50 EUR`), None when nothing clear."""
    try:
        return Money.parse(str(ensemble.metadata.get("price", "")))
    except Unclear:
        return None
