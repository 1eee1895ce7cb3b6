"""Sessions of commands inside allocations: asked for with a ticket, begun once, seen while open, ended with an audit
entry."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from capabilities.models import AuditEntry, Identity
from capabilities.numbers import NUMBERS
from capabilities.refusal import Reason, Refusal
from capabilities.services import audit
from deployments.exec_words import AUDIT_CHARS, ending, printable
from deployments.models import Allocation, ExecSession
from deployments.outside import Command
from deployments.services.timeline import announce, record

EXEC = "/dms/node/allocation/exec"


def exec_ask(
    *, allocation: Allocation, owner: Identity, command: Command, source: str, remote_addr: str, now: datetime
) -> tuple[ExecSession, str]:
    """Make a session and return it with its ticket; Refusal when too many are open."""
    ticket = secrets.token_urlsafe(32)
    with transaction.atomic():
        _room(owner, now)
        session = ExecSession.objects.create(
            allocation=allocation,
            owner=owner,
            execution_id=allocation.execution_id,
            digest=_digest(ticket),
            command=list(command.argv),
            tty=command.tty,
            rows=command.rows,
            columns=command.columns,
            term=command.term,
            user=command.user,
            source=source,
            remote_addr=remote_addr,
            created_at=now,
            expires_at=now + timedelta(seconds=NUMBERS.exec_ticket_lifetime_s),
        )
        record(
            allocation.deployment,
            "exec",
            f"exec by {owner} in {allocation}: {printable(command.argv)}",
            allocation=allocation,
            actor=owner.did,
            session=session.pk,
            user=command.user,
        )
        announce(allocation.deployment)
    return session, ticket


def _room(owner: Identity, now: datetime) -> None:
    """Refuse when the site, or the person, has as many sessions as there may be; tickets not yet used count."""
    waiting = Q(opened_at=None, expires_at__gt=now)
    seen = Q(opened_at__isnull=False, seen_at__gt=now - timedelta(seconds=NUMBERS.exec_lost_s))
    rows = ExecSession.objects.filter(ended_at=None).filter(waiting | seen)
    for who, count, limit in (
        (f"{owner} has", rows.filter(owner=owner).count(), NUMBERS.exec_sessions_per_user_max),
        ("this site has", rows.count(), NUMBERS.exec_sessions_max),
    ):
        if count >= limit:
            text = f"{who} {count} terminals open, {limit} may be"
            raise Refusal(
                "too_many_sessions",
                text,
                status=429,
                hint="close one, or try again later",
                reasons=(Reason("sessions", text, needed="1", available=str(max(0, limit - count))),),
            )


def exec_begin(ticket: str, identity: Identity) -> ExecSession:
    """Use up a ticket: it lets in once, only whom it was given to, and only for a short time."""
    now = timezone.now()
    held = ExecSession.objects.filter(digest=_digest(ticket), owner=identity, opened_at=None, ended_at=None)
    if held.filter(expires_at__gt=now).update(opened_at=now, seen_at=now) != 1:
        raise Refusal(
            "ticket_spent",
            "this ticket has been used, has expired or is not yours",
            status=403,
            hint=f"ask {EXEC} for a new one; it lasts {NUMBERS.exec_ticket_lifetime_s:g} s",
        )
    return ExecSession.objects.select_related("owner", "allocation__deployment").get(digest=_digest(ticket))


def command_of(session: ExecSession) -> Command:
    """Return what the session runs."""
    return Command(
        argv=tuple(session.command),
        tty=session.tty,
        rows=session.rows,
        columns=session.columns,
        term=session.term,
        user=session.user,
    )


def exec_seen(session: ExecSession, *, bytes_in: int, bytes_out: int, handle: str) -> None:
    """Note that the session is alive."""
    ExecSession.objects.filter(pk=session.pk, ended_at=None).update(
        seen_at=timezone.now(), bytes_in=bytes_in, bytes_out=bytes_out, handle=handle
    )


def exec_end(
    session: ExecSession, *, exit_code: int | None, reason: str = "", bytes_in: int = 0, bytes_out: int = 0
) -> bool:
    """Note the end in the row and in the audit log; False when that has been done."""
    now = timezone.now()
    with transaction.atomic():
        changed = ExecSession.objects.filter(pk=session.pk, ended_at=None).update(
            ended_at=now, exit_code=exit_code, reason=reason[:40], bytes_in=bytes_in, bytes_out=bytes_out
        )
        if not changed:
            return False
        duration_s = (now - (session.opened_at or session.created_at)).total_seconds()
        audit(
            actor=session.owner.did,
            path=EXEC,
            outcome=AuditEntry.Outcome.ALLOWED if exit_code is not None else AuditEntry.Outcome.FAILED,
            reason=f"ended: {ending(exit_code, reason, duration_s)}",
            source=session.source,
            remote_addr=session.remote_addr,
            request={
                "Session": session.pk,
                "Allocation": session.allocation_id,
                "Command": printable(session.command, AUDIT_CHARS),
                "User": session.user,
                "ExitCode": exit_code,
                "Seconds": round(duration_s, 3),
                "BytesIn": bytes_in,
                "BytesOut": bytes_out,
            },
        )
        announce(session.allocation.deployment)
    return True


def execs_lost(now: datetime) -> list[ExecSession]:
    """Return the open sessions that nobody carries any more: their process has died."""
    rows = ExecSession.objects.filter(
        opened_at__isnull=False, ended_at=None, seen_at__lt=now - timedelta(seconds=NUMBERS.exec_lost_s)
    )
    return list(rows.select_related("owner", "allocation__deployment"))


def execs_forget(now: datetime) -> int:
    """Delete tickets that were never used and sessions that ended long ago."""
    old = Q(ended_at__lt=now - timedelta(seconds=NUMBERS.event_retention_s))
    unused = Q(opened_at=None, expires_at__lt=now - timedelta(seconds=NUMBERS.exec_lost_s))
    return ExecSession.objects.filter(old | unused).delete()[0]


def _digest(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()
