"""The doors of quotas: how much each person may ask for at once."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from pydantic import Field

from capabilities.models import Identity
from capabilities.refusal import Refusal, not_found
from capabilities.services import authorize
from deployments.models import Quota
from deployments.quotas import Amounts, Limits, read_limits
from deployments.services.quota import limits_in, limits_of, quota_set, used_by
from node.message import Empty, Message
from node.registry import Call, behavior

SET = "/dms/node/quota/set"
Amount = int | float | str


class QuotaRequest(Message):
    """Whose quota."""

    identity: str = Field("", alias="Identity", description="Name or DID; empty: the caller's own.")


class QuotaSetRequest(Message):
    """Limits to change; what is left out stays. `unlimited`: no limit; `default`: everybody's limit holds."""

    identity: str = Field("", alias="Identity", description="Name or DID; empty: the limits of everybody.")
    deployments: Amount | None = Field(None, alias="Deployments", description="Unfinished at once.")
    cpu_centicores: Amount | None = Field(None, alias="Cores", description="Cores, two decimals.")
    ram_bytes: Amount | None = Field(None, alias="Memory", description='GiB, or with a unit: "4GiB".')
    disk_bytes: Amount | None = Field(None, alias="Disk", description='GiB, or with a unit: "10GiB".')
    gpus: Amount | None = Field(None, alias="GPUs", description="GPUs, or shares of them.")
    running_time_s: Amount | None = Field(
        None, alias="RunningTimeSeconds", description="The longest one deployment may run."
    )


class QuotaResponse(Message):
    """Limits and use under the same names: deployments, cpu_centicores, ram_bytes, disk_bytes, gpus, running_time_s."""

    identity: str = Field(alias="Identity", description="DID; empty: everybody.")
    name: str = Field(alias="Name")
    limits: dict[str, Any] = Field(alias="Limits", description="What holds; null: no limit.")
    own: dict[str, Any] = Field(
        alias="Own", description="Set for this one; null: everybody's, -1: unlimited."
    )
    used: dict[str, Any] = Field(alias="Used", description="What her unfinished deployments ask for.")


class QuotaListResponse(Message):
    """The limits of everybody, and every account with hers."""

    everybody: dict[str, Any] = Field(alias="Everybody")
    quotas: list[QuotaResponse] = Field(alias="Quotas")


@behavior("/dms/node/quota/get", request=QuotaRequest, response=QuotaResponse)
def quota_get(call: Call, request: QuotaRequest) -> QuotaResponse:
    """Say how much a person may ask for, and how much of it she does."""
    whom = _identity(request.identity) if request.identity else call.invoker
    if whom != call.invoker and not authorize(call.invoker, SET).allowed:
        raise not_found("identity", request.identity)
    limits, own, _ = limits_of(whom)
    return _answer(whom, limits, own, used_by([whom])[whom.pk])


@behavior("/dms/node/quota/set", request=QuotaSetRequest, response=QuotaResponse, changes=True)
def quota_change(call: Call, request: QuotaSetRequest) -> QuotaResponse:
    """Limit how much a person, or everybody, may ask for at once."""
    values, reasons = read_limits(request.model_dump())
    if reasons:
        raise Refusal("invalid_request", reasons[0].message, hint=reasons[0].hint, reasons=reasons)
    whom = _identity(request.identity) if request.identity else None
    row = quota_set(whom, values)
    if whom is None:
        limits = limits_in(row)
        everybody = Identity(did="", name="everybody")
        return _answer(everybody, limits, limits, Amounts())
    limits, own, _ = limits_of(whom)
    return _answer(whom, limits, own, used_by([whom])[whom.pk])


@behavior("/dms/node/quota/list", request=Empty, response=QuotaListResponse)
def quota_list(call: Call, request: Empty) -> QuotaListResponse:
    """List how much each account may ask for, and does."""
    people = list(Identity.objects.filter(kind=Identity.Kind.USER).order_by("name", "pk"))
    rows = {row.identity_id: limits_in(row) for row in Quota.objects.all()}
    everybody, used = rows.get(None, Limits()), used_by(people)
    return QuotaListResponse(
        everybody=everybody.document(),
        quotas=[
            _answer(person, own.over(everybody), own, used[person.pk])
            for person in people
            for own in [rows.get(person.pk, Limits())]
        ],
    )


def _answer(whom: Identity, limits: Limits, own: Limits, used: Amounts) -> QuotaResponse:
    return QuotaResponse(
        identity=whom.did,
        name=whom.name,
        limits=limits.document(),
        own=own.document(),
        used={name: getattr(used, name) for name in Amounts.__slots__},
    )


def _identity(key: str) -> Identity:
    found = list(Identity.objects.filter(Q(did=key) | Q(name=key, kind=Identity.Kind.USER))[:2])
    if len(found) != 1:
        refusal = not_found("identity", key)
        refusal.hint = "give an account's name or a DID; ./dms user list shows them"
        raise refusal
    return found[0]
