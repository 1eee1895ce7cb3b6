"""Accept an ensemble as a deployment: everything that can be checked is checked before it is acknowledged."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from capabilities.models import Identity, Team
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from deployments.confinement import ensemble_violations
from deployments.ensemble import parse, parse_document
from deployments.ensemble.model import Ensemble
from deployments.models import Deployment
from deployments.notices import notices
from deployments.services.bidding import demand_of
from deployments.services.queue import refuse_full
from deployments.services.quota import enforce, limits_of
from deployments.services.stop import ADVANCE as ADVANCE
from deployments.services.timeline import announce, record
from node.models import Node
from node.wake import wake

NAME_MAX = 60


def parse_or_refuse(ensemble: str | Mapping[str, Any]) -> tuple[Ensemble, str]:
    """Return the parsed ensemble and its text; Refusal `invalid_ensemble` carries every error with its line."""
    if isinstance(ensemble, str):
        return parse(ensemble).required(), ensemble
    text = json.dumps(ensemble, ensure_ascii=False, indent=2)
    # V1 is what a parser has made; anything else is an author's tree, with marks and placeholders to look for.
    parsed = parse_document(ensemble) if set(ensemble) == {"V1"} else parse(text)
    return parsed.required(), text


def refuse_forbidden(ensemble: Ensemble, node: Node) -> None:
    """Refuse options that the node's owner has not enabled, whatever the caller holds."""
    reasons = ensemble_violations(ensemble.document(), node.allowances)
    if reasons:
        raise Refusal(
            "confinement",
            f"{reasons[0].path}: {reasons[0].message}",
            status=403,
            hint="the node's owner can enable this on the node's admin page, under allowances",
            reasons=tuple(reasons),
        )


def deployment_submit(
    *,
    owner: Identity,
    node: Node,
    ensemble: str | Mapping[str, Any],
    now: datetime,
    deadline_s: float | None = None,
    name: str = "",
    queue: bool = False,
    queue_s: float | None = None,
    max_runtime_s: float | None = None,
    team: Team | None = None,
) -> Deployment:
    """Write the deployment's row and wake its orchestrator. Refuses what can never run, with every reason."""
    config, text = parse_or_refuse(ensemble)
    refuse_forbidden(config, node)
    seconds = NUMBERS.deployment_deadline_s if deadline_s is None else deadline_s
    if not NUMBERS.deployment_min_time_s <= seconds <= NUMBERS.deployment_deadline_max_s or seconds <= 0:
        raise Refusal(
            "deadline_out_of_range",
            f"a deadline of {seconds:g} s is not possible",
            hint=f"give more than {NUMBERS.deployment_min_time_s:g} and at most "
            f"{NUMBERS.deployment_deadline_max_s:g} seconds",
        )
    wait_s = _queue_seconds(queue_s) if queue else None
    if queue:
        refuse_full(node)
    if max_runtime_s is not None:
        asked_ns = max(1, int(max_runtime_s * 10**9))
        config = replace(config, max_runtime_ns=min(config.max_runtime_ns or asked_ns, asked_ns))
    config, bounded = bound_runtime(owner, config)
    demand = demand_of(config)
    with transaction.atomic():
        enforce(owner, demand, running_time_s=config.max_runtime_s or None)
        deployment = Deployment.objects.create(
            id=hashlib.sha256(f"{node.peer_id}{uuid.uuid1()}".encode()).hexdigest(),
            owner=owner,
            team=team,
            orchestrator=node,
            name=(name or config.metadata.get("name") or ", ".join(config.allocations))[:NAME_MAX],
            source=text,
            ensemble=config.document(),
            metadata=dict(config.metadata),
            only_tasks=all(spec.type == "task" for spec in config.allocations.values()),
            demand=demand.document(),
            queue_wanted=queue,
            queue_until=None if wait_s is None else now + timedelta(seconds=wait_s),
            deadline_at=now + timedelta(seconds=seconds),
            created_at=now,
            updated_at=now,
        )
        record(deployment, "status", f"submitted by {owner}", actor=owner.did, to=deployment.status)
        for text in [*bounded, *notices(config)]:
            record(deployment, "notice", text)
        announce(deployment)
        wake(ADVANCE, deployment.pk, queue="orchestrator")
    return deployment


def bound_runtime(owner: Identity, config: Ensemble) -> tuple[Ensemble, list[str]]:
    """Return the ensemble with the owner's quota of running time where it names none itself, and what to say of it."""
    limit = limits_of(owner)[0].running_time_s
    if limit is None or config.max_runtime_ns:
        return config, []
    text = f"max_runtime: {limit} s, the quota of running time"
    return replace(config, max_runtime_ns=limit * 10**9), [text]


def _queue_seconds(wanted: float | None) -> float:
    seconds = NUMBERS.queue_wait_s if wanted is None else wanted
    if not 0 < seconds <= NUMBERS.queue_wait_max_s:
        raise Refusal(
            "queue_time_out_of_range",
            f"waiting {seconds:g} s in the queue is not possible",
            hint=f"give more than 0 and at most {NUMBERS.queue_wait_max_s:g} seconds",
        )
    return seconds
