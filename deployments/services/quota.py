"""Quotas as rows: whose limits hold, what is used of them, and the refusal of what would break one."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.db.models import Q

from capabilities.models import Identity
from capabilities.refusal import Reason, Refusal
from deployments import states
from deployments.ensemble.model import Ensemble
from deployments.models import Deployment, Quota
from deployments.queueing import Demand
from deployments.quotas import Amounts, Limits, broken
from deployments.services.bidding import demand_of
from node.live import changed

NOTHING = Limits()


def limits_in(row: Quota | None) -> Limits:
    """Return the limits of a row."""
    return Limits(**{name: getattr(row, name) for name in NOTHING.document()}) if row else NOTHING


def limits_of(identity: Identity) -> tuple[Limits, Limits, Limits]:
    """Return what holds for a person, what is said for her alone, and what is said for everybody."""
    rows = {row.identity_id: row for row in Quota.objects.filter(Q(identity=identity) | Q(identity=None))}
    own, everybody = limits_in(rows.get(identity.pk)), limits_in(rows.get(None))
    return own.over(everybody), own, everybody


def used_by(owners: Iterable[Identity], *, without: str = "") -> dict[int, Amounts]:
    """Return what the unfinished deployments of each owner ask for, with one query."""
    found = {owner.pk: Amounts() for owner in owners}
    rows = Deployment.objects.filter(owner__in=list(found), status__in=states.UNFINISHED).exclude(pk=without)
    for row in rows.only("owner_id", "demand").iterator():
        found[row.owner_id] += Amounts.of(demand_in(row))
    return found


def demand_in(deployment: Deployment) -> Demand:
    """Return what a deployment asks for; of one that was submitted before that was noted, from its ensemble."""
    if deployment.demand:
        return Demand.parse(deployment.demand)
    return demand_of(Ensemble.from_document(deployment.ensemble))


def quota_reasons(
    owner: Identity, demand: Demand, *, without: str = "", running_time_s: float | None = None
) -> tuple[Reason, ...]:
    """Return every limit of the owner that `demand` would break. `without`: a deployment that is not counted."""
    limits = limits_of(owner)[0]
    if not limits:
        return ()
    used = used_by([owner], without=without)[owner.pk]
    return broken(limits, used, Amounts.of(demand), running_time_s)


def enforce(
    owner: Identity, demand: Demand, *, without: str = "", running_time_s: float | None = None
) -> None:
    """Refuse what would break a limit. Call it in the transaction that lets it in: the owner's row is the lock."""
    assert transaction.get_connection().in_atomic_block
    if not limits_of(owner)[0]:
        return
    Identity.objects.select_for_update(no_key=True).filter(pk=owner.pk).values_list("pk").first()
    reasons = quota_reasons(owner, demand, without=without, running_time_s=running_time_s)
    if reasons:
        raise Refusal(
            "quota_exceeded",
            "; ".join(reason.message for reason in reasons),
            status=409,
            hint=reasons[0].hint,
            reasons=reasons,
        )


def quota_set(identity: Identity | None, values: dict[str, int | None]) -> Quota:
    """Change some limits of a person, or of everybody when `identity` is None."""
    with transaction.atomic():
        row, _ = Quota.objects.select_for_update().get_or_create(
            identity=identity, defaults={"everybody": identity is None}
        )
        for name, value in values.items():
            setattr(row, name, value)
        row.save()
        if identity is not None:
            changed(f"identity.{identity.pk}")
    return row
