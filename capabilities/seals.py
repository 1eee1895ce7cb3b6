"""Sealing the audit log once a second, and verifying it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from capabilities import custody
from capabilities.auditlog import SAID
from capabilities.did import key_of
from capabilities.models import AuditEntry, AuditSeal
from capabilities.numbers import NUMBERS
from capabilities.sealing import Fault, Seal, chain_faults, digest, entry_faults, leaf, pack, signed_bytes
from capabilities.selectors import site_identity

FAULTS_MAX = 100


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying found. `entries` were read, `unsealed` wait for their seal, `gone` have gone with their age."""

    seals: int = 0
    entries: int = 0
    unsealed: int = 0
    gone: int = 0
    head: str = ""
    sealed_until: str = ""
    faults: tuple[Fault, ...] = field(default=())


def seal_next() -> int:
    """Seal what no seal holds yet, in batches; return how many entries. Safe to run twice at once.

    An entry whose transaction commits after one with a greater id is taken by a later seal: what counts is whether it
    has one, not its number.
    """
    sealed = 0
    while count := _seal_batch():
        sealed += count
        if count < NUMBERS.audit_seal_entries:
            break
    return sealed


def _seal_batch() -> int:
    if not AuditEntry.objects.filter(seal=None).exists():
        return 0
    key = custody.node_key()
    try:
        with transaction.atomic():
            rows = AuditEntry.objects.select_for_update().filter(seal=None).order_by("pk")
            entries = list(rows.values(*SAID)[: NUMBERS.audit_seal_entries])
            last = AuditSeal.objects.order_by("-number").first()
            number, previous = (last.number + 1, last.digest) if last else (1, "")
            packed = pack((entry["id"], leaf(_said(entry))) for entry in entries)
            value = digest(number, previous, packed)
            AuditSeal.objects.create(
                number=number,
                previous=previous,
                leaves=packed,
                digest=value,
                signature=key.sign(signed_bytes(value)).hex(),
                entries=len(entries),
                last_at=max(entry["at"] for entry in entries),
            )
            AuditEntry.objects.filter(pk__in=[entry["id"] for entry in entries]).update(seal=number)
    except IntegrityError:
        return 0  # another process has just made the seal of this number
    return len(entries)


def verify(newest: int = 0) -> Verdict:
    """Look at every seal and every entry; say what was altered, removed or inserted, and where.

    `newest`: at so many seals only, the latest; what came before these is taken as it is.
    """
    key = key_of(site_identity().did)
    first = AuditEntry.objects.exclude(seal=None).order_by("pk").values_list("pk", flat=True).first() or 0
    faults: list[Fault] = []
    seals = entries = gone = 0
    previous, expected, until = "", 1, ""
    oldest = AuditSeal.objects.order_by("number").first()
    # Entries go by their age, or because there are too many.
    many = AuditEntry.objects.count() >= NUMBERS.audit_entries_max
    if oldest is not None and (_is_old(oldest) or many):
        previous, expected = oldest.previous, oldest.number
    rows = AuditSeal.objects.order_by("number")
    if newest and (begin := AuditSeal.objects.order_by("-number")[newest - 1 : newest].first()) is not None:
        previous, expected = begin.previous, begin.number
        rows = rows.filter(number__gte=begin.number)
    for row in rows.iterator(chunk_size=200):
        try:
            signed = key.verify(signed_bytes(row.digest), bytes.fromhex(row.signature))
        except ValueError:
            signed = False
        seal = Seal(row.number, row.previous, bytes(row.leaves), row.digest, signed)
        faults += chain_faults([seal], previous, expected)
        found = {entry["id"]: leaf(_said(entry)) for entry in _entries_of(row.number)}
        # The oldest go first, by age or by number; what is missing between others was taken out.
        gone_until = first - 1 if _is_old(row) or many else 0
        faults += entry_faults(seal, found, gone_until)
        seals, entries, gone = seals + 1, entries + len(found), gone + max(0, row.entries - len(found))
        previous, expected, until = row.digest, row.number + 1, row.last_at.isoformat()
        if len(faults) >= FAULTS_MAX:
            break
    lost = AuditEntry.objects.exclude(seal=None).exclude(
        seal__in=AuditSeal.objects.values_list("number", flat=True)
    )
    faults += [
        Fault("its seal is missing", seal, pk)
        for pk, seal in lost.values_list("pk", "seal")[:FAULTS_MAX]
        if seal
    ]
    unsealed = AuditEntry.objects.filter(seal=None).count()
    return Verdict(seals, entries, unsealed, gone, previous, until, tuple(faults[:FAULTS_MAX]))


def _is_old(seal: AuditSeal) -> bool:
    return seal.last_at < timezone.now() - timedelta(seconds=NUMBERS.audit_kept_s)


def _entries_of(number: int) -> Iterator[dict[str, Any]]:
    yield from AuditEntry.objects.filter(seal=number).order_by("pk").values(*SAID)


def _said(entry: dict[str, Any]) -> dict[str, Any]:
    # Entries of releases that noted no changes were sealed without them.
    said = entry if entry["changes"] else {name: entry[name] for name in entry if name != "changes"}
    return said | {"at": entry["at"].isoformat()}
