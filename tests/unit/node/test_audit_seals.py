"""The sealed audit log: whatever is altered, removed, inserted or put elsewhere is found, and where."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capabilities import retention, seals
from capabilities.auditlog import entries
from capabilities.models import AuditEntry, AuditSeal
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from capabilities.sealing import chain_faults, digest, pack, unpack
from capabilities.services import audit
from tests.unit.node.doorway import House, house

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def here() -> Iterator[House]:
    with house() as made:
        AuditEntry.objects.all().delete()
        yield made


def write(count: int, path: str = "/test/change") -> list[int]:
    before = set(AuditEntry.objects.values_list("pk", flat=True))
    for number in range(count):
        request = {"number": number, "text": "ü" * number, "half": 0.5}
        audit(actor="did:key:z1", path=path, outcome="allowed", source="rest", request=request)
    return sorted(set(AuditEntry.objects.values_list("pk", flat=True)) - before)


def sealed(*counts: int) -> list[list[int]]:
    """Write entries in batches, each with a seal of its own; return their ids."""
    made = []
    for count in counts:
        made.append(write(count))
        assert seals.seal_next() == count
    return made


def test_what_is_written_is_sealed_once_and_verifies(here: House) -> None:
    assert seals.verify().faults == ()
    sealed(3, 1)
    assert seals.seal_next() == 0
    late = write(2)
    verdict = seals.verify()
    assert (verdict.seals, verdict.entries, verdict.unsealed, verdict.gone) == (2, 4, 2, 0)
    assert verdict.head == AuditSeal.objects.get(number=2).digest
    # An entry whose transaction commits late has a smaller id than sealed ones; a later seal takes it.
    AuditEntry.objects.filter(pk=late[1]).update(seal=None)
    assert seals.seal_next() == 2
    assert seals.verify().faults == ()
    assert AuditSeal.objects.get(number=3).previous == verdict.head


def test_a_great_many_are_sealed_in_batches(here: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "NUMBERS", NUMBERS.__class__(audit_seal_entries=4))
    write(10)
    assert seals.seal_next() == 10
    assert list(AuditSeal.objects.order_by("number").values_list("entries", flat=True)) == [4, 4, 2]
    assert seals.verify().faults == ()


CHANGES = ("actor", "path", "outcome", "reason", "source", "remote_addr", "request", "token_chain", "at")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    what=st.sampled_from((*CHANGES, "remove", "insert", "swap", "move", "seal", "unseal", "reseal", "cut")),
    batch=st.integers(0, 2),
    place=st.integers(0, 2),
)
def test_every_single_change_is_found(here: House, what: str, batch: int, place: int) -> None:
    AuditEntry.objects.all().delete()
    AuditSeal.objects.all().delete()
    made = sealed(3, 3, 3)
    number, key = batch + 1, made[batch][place]
    row = AuditEntry.objects.filter(pk=key)
    if what == "request":
        row.update(request={"number": 99})
    elif what == "token_chain":
        row.update(token_chain=["x"])
    elif what == "at":
        row.update(at=row.get().at + timedelta(microseconds=1))
    elif what in CHANGES:
        row.update(**{what: "other"})
    elif what == "remove":
        row.delete()
    elif what == "insert":
        (fresh,) = write(1)
        AuditEntry.objects.filter(pk=fresh).update(seal=number)
        key = fresh
    elif what == "swap":
        other = made[batch][(place + 1) % 3]
        mine, theirs = (AuditEntry.objects.get(pk=one).request for one in (key, other))
        row.update(request=theirs)
        AuditEntry.objects.filter(pk=other).update(request=mine)
    elif what == "move":
        row.update(seal=number % 3 + 1)
    elif what == "seal":
        AuditSeal.objects.filter(number=number).delete()
    elif what == "unseal":
        row.update(seal=None)
    elif what == "cut":
        AuditSeal.objects.filter(number=number).update(leaves=b"x")
    else:
        # Whoever writes the log anew cannot sign for the node.
        seal = AuditSeal.objects.get(number=number)
        row.update(reason="altered")
        leaves = pack((one, b"0" * 16) for one, _ in unpack(bytes(seal.leaves)))
        AuditSeal.objects.filter(number=number).update(
            leaves=leaves, digest=digest(number, seal.previous, leaves)
        )
    verdict = seals.verify()
    assert verdict.faults, what
    if what in (*CHANGES, "remove", "insert", "swap", "unseal"):
        assert {(fault.seal, fault.entry) for fault in verdict.faults} >= {(number, key)}


def test_what_has_gone_with_its_age_is_no_fault(here: House) -> None:
    old = timezone.now() - timedelta(seconds=NUMBERS.audit_kept_s) - DAY
    write(4)
    AuditEntry.objects.update(at=old)
    seals.seal_next()
    sealed(2)
    assert retention.sweep(timezone.now())["capabilities.AuditEntry"] == 4
    verdict = seals.verify()
    assert (verdict.faults, verdict.gone, verdict.entries) == ((), 4, 2)
    # The seal itself goes a month later, and the chain begins with the next one.
    AuditSeal.objects.filter(number=1).update(last_at=old - 40 * DAY)
    retention.sweep(timezone.now())
    assert not AuditSeal.objects.filter(number=1).exists()
    AuditSeal.objects.filter(number=2).update(last_at=old)
    assert seals.verify().faults == ()
    # What is young has not gone with its age.
    AuditSeal.objects.filter(number=2).update(last_at=timezone.now())
    assert "missing" in seals.verify().faults[0].what


def test_the_log_is_read_filtered(here: House) -> None:
    write(2, "/test/a")
    write(1, "/test/a/b")
    write(1, "/test/ab")
    assert [item["path"] for item in entries(path="/test/a")] == ["/test/a", "/test/a", "/test/a/b"]
    assert len(list(entries(limit=2, newest_first=True))) == 2
    assert list(entries(outcome="refused")) == []
    assert len(list(entries(since="2001-01-01", until="2999-01-01T00:00Z", who="did:key:z1"))) == 4
    with pytest.raises(Refusal, match="no time"):
        list(entries(since="soon"))


def test_the_first_missing_seals_are_named() -> None:
    assert [fault.what for fault in chain_faults([], expected=1)] == []
    with pytest.raises(ValueError, match="cut"):
        list(unpack(b"123"))
