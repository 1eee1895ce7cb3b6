"""What accounts need from time to time."""

from __future__ import annotations

from celery import shared_task

from dmsweb.accounts.roles import roles_ensure


@shared_task(name="dmsweb.accounts.tasks.keep_roles")
def keep_roles() -> None:
    """Renew the tokens of roles that are past half of their life, for as long as the site runs."""
    roles_ensure()
