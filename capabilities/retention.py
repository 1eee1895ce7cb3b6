"""How long rows stay: one rule at least for every table, declared by each app in its module `retention`, swept hourly.

A sweep deletes in short transactions, oldest first, so that no other writer waits long; killed anywhere, the next one
goes on. What SQLite frees it uses again: the file stays at the size of the busiest time and does not grow with age.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.apps import apps
from django.db.models import Count, Model, Q, QuerySet

from capabilities.numbers import NUMBERS

logger = logging.getLogger(__name__)
DELETE_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What bounds a table. `model` is app_label.Model; `why` says it to people."""

    model: str
    why: str

    def rows(self) -> QuerySet[Any]:
        """Return all rows of the table."""
        found: type[Model] = apps.get_model(self.model)
        return found._default_manager.all()

    def sweep(self, now: datetime) -> int:
        """Delete what the rule lets go at `now`; return how many rows."""
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stays(Rule):
    """Does not grow with time, or stays for ever on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Follows(Rule):
    """Goes when its parent goes, by cascade; `parent` is a model with rules of its own."""

    parent: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Aged(Rule):
    """Goes `kept_s` seconds after the moment in `moment`. `only`: others of the table are left alone."""

    moment: str
    kept_s: float
    only: Q = field(default_factory=Q)

    def sweep(self, now: datetime) -> int:
        """Delete what is older."""
        before = {f"{self.moment}__lt": now - timedelta(seconds=self.kept_s)}
        return delete(self.rows().filter(self.only, **before).order_by(self.moment))


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest(Rule):
    """Of each parent (`per`; empty: of the whole table) the newest `most` stay. Newer rows have greater keys."""

    per: str = ""
    most: int
    only: Q = field(default_factory=Q)

    def sweep(self, now: datetime) -> int:
        """Delete the oldest of each parent that has too many."""
        rows = self.rows().filter(self.only)
        if not self.per:
            return self._cut(rows)
        counted = rows.order_by().values(self.per).annotate(rows_of_it=Count("pk"))
        many = counted.filter(rows_of_it__gt=self.most).values_list(self.per, flat=True)
        return sum(self._cut(rows.filter(**{self.per: parent})) for parent in list(many))

    def _cut(self, rows: QuerySet[Any]) -> int:
        first_gone = rows.order_by("-pk").values_list("pk", flat=True)[self.most : self.most + 1]
        return sum(delete(rows.filter(pk__lte=key).order_by("pk")) for key in list(first_gone))


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept(Rule):
    """Has a sweep of its own: a callable that takes the moment and returns how many rows went."""

    by: Callable[[datetime], int]

    def sweep(self, now: datetime) -> int:
        """Call it."""
        return self.by(now)


def delete(rows: QuerySet[Any]) -> int:
    """Delete the ordered rows, some in each transaction; return how many, without what goes by cascade."""
    gone = 0
    while keys := list(rows.values_list("pk", flat=True)[:DELETE_AT_ONCE]):
        rows.model._default_manager.filter(pk__in=keys).delete()
        gone += len(keys)
    return gone


def rules() -> Iterator[Rule]:
    """Yield the rules of every installed app: the members of `RULES` in its module `retention`."""
    for config in apps.get_app_configs():
        name = f"{config.name}.retention"
        if find_spec(name):
            yield from import_module(name).RULES


def sweep(now: datetime) -> dict[str, int]:
    """Apply every rule at `now`; return the rows that went, by model. A rule that fails stops no other."""
    gone: dict[str, int] = {}
    for rule in rules():
        try:
            count = rule.sweep(now)
        except Exception:
            logger.exception("the retention of %s failed; the next sweep tries again", rule.model)
            continue
        if count:
            gone[rule.model] = gone.get(rule.model, 0) + count
    if gone:
        logger.info("retention: %s", ", ".join(f"{count} x {model}" for model, count in sorted(gone.items())))
    return gone


RULES: list[Rule] = [
    Stays(
        model="capabilities.Identity",
        why="one for each person, node and peer that somebody here let in; owned rows hang on it",
    ),
    Stays(model="capabilities.Context", why="people make them by hand, one for each key they use"),
    Aged(
        model="capabilities.Anchor",
        why="what people have anchored stays until they remove it; an entry with an end goes after that",
        moment="expires_at",
        kept_s=NUMBERS.expired_kept_s,
    ),
    Aged(
        model="capabilities.Token",
        why="goes some time after it has expired",
        moment="expires_at",
        kept_s=NUMBERS.expired_kept_s,
    ),
    Aged(
        model="capabilities.AuditEntry",
        why="one for each invocation that changed something or was refused",
        moment="at",
        kept_s=NUMBERS.audit_kept_s,
    ),
    Aged(
        model="capabilities.AuditSeal",
        why="24 bytes an entry; stays a while longer than its entries, so that what has gone is told from removed",
        moment="last_at",
        kept_s=NUMBERS.audit_kept_s + NUMBERS.audit_seals_longer_s,
    ),
    Newest(
        model="capabilities.AuditSeal",
        why="there is at most one a second, and never more than entries",
        most=NUMBERS.audit_entries_max,
    ),
    Newest(
        model="capabilities.AuditEntry",
        why="strangers decide how many refusals there are, so the number has an end too",
        most=NUMBERS.audit_entries_max,
    ),
]
