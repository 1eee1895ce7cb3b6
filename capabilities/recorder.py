"""What an invocation changes, row by row: the fields that differ, before and after.

The door opens a recorder around every behavior that changes something; rows of models that are `recorded` tell it
what becomes of them. Nobody has to remember to: it is the model that is declared, once, and whatever a service does
with `save`, `create`, `bulk_create`, `update` or `delete` is noted. Without a recorder nothing is read and nothing is.

What is done later, by a worker that was woken, stands on the timeline of what it is about.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models.signals import class_prepared, post_save, pre_delete, pre_save
from django.dispatch import receiver

from capabilities.numbers import NUMBERS
from capabilities.redaction import SECRET, clean

Model = TypeVar("Model", bound=models.Model)
State = dict[str, Any]

_at_work: ContextVar[Recorder | None] = ContextVar("recorder", default=None)
# By model: the fields that are noted.
_fields: dict[type[models.Model], tuple[str, ...]] = {}


@dataclass(slots=True)
class Change:
    """One row: None before when it was made, None after when it has gone."""

    before: State | None
    after: State | None


@dataclass(slots=True)
class Recorder:
    """What was changed, by model and key, in the order of the first change."""

    changes: dict[tuple[type[models.Model], str], Change] = field(default_factory=dict)

    def note(self, model: type[models.Model], key: object, before: State | None, after: State | None) -> None:
        """Note what became of a row; of several changes the first before and the last after count."""
        known = self.changes.get((model, str(key)))
        if known is None:
            self.changes[model, str(key)] = Change(before, after)
        else:
            known.after = after

    def document(self) -> list[dict[str, Any]]:
        """Return the rows that differ as JSON: of each the fields that do; cut where it is too much, and told so."""
        found, size = list[dict[str, Any]](), 0
        rows = [(model, key, change) for (model, key), change in self.changes.items()]
        for position, (model, key, change) in enumerate(rows):
            said = _difference(change)
            if said is None:
                continue
            entry = {"object": model._meta.model_name, "key": key} | said
            size += len(json.dumps(entry))
            if size > NUMBERS.audit_changes_max_bytes or len(found) >= NUMBERS.audit_changes_max_rows:
                found.append({"left_out": len(rows) - position})
                break
            found.append(entry)
        return found


@contextmanager
def recording(wanted: bool = True) -> Iterator[Recorder]:
    """Note what is changed within. One within another is told apart; `wanted` False notes nothing."""
    recorder = Recorder()
    mark = _at_work.set(recorder if wanted else None)
    try:
        yield recorder
    finally:
        _at_work.reset(mark)


def begin() -> None:
    """Note what this process changes from now on: for a command line, which does one thing."""
    _at_work.set(Recorder())


def taken() -> list[dict[str, Any]]:
    """Return what was noted since `begin` or the last `taken`, and begin anew."""
    recorder = _at_work.get()
    if recorder is None:
        return []
    begin()
    return recorder.document()


def recorded(model: type[Model]) -> type[Model]:
    """Declare that changes of a model's rows are noted, but for bytes, secrets and the fields `not_recorded`.

    A row is called by its primary key, or by the field that the model's `recorded_key` names.

    Of a model whose manager is another's, this notes what is saved and deleted one by one; the rest is `Recorded`.
    """
    left_out = getattr(model, "not_recorded", ())
    _fields[model] = tuple(
        one.attname
        for one in model._meta.concrete_fields
        if one.name not in left_out
        and not one.primary_key
        and not isinstance(one, models.BinaryField)
        and not SECRET.search(one.name)
    )
    uid = f"recorder-{model._meta.label}"
    pre_save.connect(_before_save, sender=model, dispatch_uid=f"{uid}-before")
    post_save.connect(_after_save, sender=model, dispatch_uid=f"{uid}-after")
    pre_delete.connect(_before_delete, sender=model, dispatch_uid=f"{uid}-delete")
    return model


def recorded_models() -> set[type[models.Model]]:
    """Return the models whose changes are noted."""
    return set(_fields)


class RecordedRows(models.QuerySet[Model]):
    """Rows of a recorded model."""

    def update(self, **values: Any) -> int:
        """Update as ever; a recorder is told of each row, up to a bound."""
        recorder = _at_work.get()
        if recorder is None or self.model not in _fields:
            return super().update(**values)
        names = _fields[self.model]
        rows = self.order_by()[: NUMBERS.audit_changes_max_rows].values_list("pk", _named(self.model), *names)
        before = {pk: (key, dict(zip(names, state, strict=True))) for pk, key, *state in rows}
        count = super().update(**values)
        if count:
            rows = self.model._base_manager.filter(pk__in=before).values_list("pk", *names)
            for pk, *state in rows:
                key, known = before[pk]
                recorder.note(self.model, key, known, dict(zip(names, state, strict=True)))
        return count

    def bulk_create(self, objs: Iterable[Model], *arguments: Any, **options: Any) -> list[Model]:
        """Create as ever, and tell a recorder of each row."""
        made: list[Model] = super().bulk_create(objs, *arguments, **options)
        recorder = _at_work.get()
        if recorder is not None and self.model in _fields:
            for row in made:
                recorder.note(self.model, _key(row), None, _state(row))
        return made


class Recorded(models.Model):
    """A model whose changes are noted, however they are made."""

    # Fields that are measured, long, or nobody's decision.
    not_recorded: ClassVar[tuple[str, ...]] = ()

    objects = RecordedRows.as_manager()

    class Meta:
        abstract = True


@receiver(class_prepared)
def _declared(sender: type[models.Model], **_: Any) -> None:
    if issubclass(sender, Recorded) and not sender._meta.abstract:
        recorded(sender)


def _named(model: type[models.Model]) -> str:
    return str(getattr(model, "recorded_key", "pk"))


def _key(row: models.Model) -> object:
    return getattr(row, _named(type(row)))


def _state(row: models.Model) -> State:
    return {name: getattr(row, name) for name in _fields[type(row)]}


def _stored(row: models.Model) -> State | None:
    rows = type(row)._base_manager.filter(pk=row.pk)
    return rows.values(*_fields[type(row)]).first()


def _before_save(sender: type[models.Model], instance: models.Model, raw: bool = False, **_: Any) -> None:
    if _at_work.get() is not None and not raw:
        instance.__dict__["_stored"] = None if instance._state.adding else _stored(instance)


def _after_save(
    sender: type[models.Model], instance: models.Model, created: bool, raw: bool = False, **_: Any
) -> None:
    recorder = _at_work.get()
    before = instance.__dict__.pop("_stored", None)
    if recorder is not None and not raw:
        # What the database holds: a partial save leaves other fields of the instance unwritten.
        recorder.note(sender, _key(instance), None if created else before, _stored(instance))


def _before_delete(sender: type[models.Model], instance: models.Model, **_: Any) -> None:
    recorder = _at_work.get()
    if recorder is not None:
        recorder.note(sender, _key(instance), _stored(instance), None)


def _difference(change: Change) -> dict[str, Any] | None:
    """Return the fields that differ; None when none does, or when a row came and went."""
    before, after = change.before, change.after
    if before is None and after is None:
        return None
    if before is None or after is None:
        whole = {
            name: value for name, value in (after or before or {}).items() if value not in (None, "", [], {})
        }
        return {
            "before": None if before is None else _plain(whole),
            "after": None if after is None else _plain(whole),
        }
    names = [name for name, value in after.items() if value != before.get(name)]
    if not names:
        return None
    return {
        "before": _plain({name: before.get(name) for name in names}),
        "after": _plain({name: after[name] for name in names}),
    }


def _plain(state: State) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(clean(state), cls=DjangoJSONEncoder))
    return document
