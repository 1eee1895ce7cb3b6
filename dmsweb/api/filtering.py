"""Filters and `?ordering=` of the lists: what cannot be is refused with what could, never passed over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import QuerySet
from django_filters import FilterSet
from django_filters.rest_framework import DjangoFilterBackend
from rest_framework.filters import OrderingFilter
from rest_framework.request import Request

from capabilities.refusal import Reason, Refusal


def _refusal(reasons: tuple[Reason, ...]) -> Refusal:
    return Refusal(
        "invalid_request",
        "; ".join(reason.message for reason in reasons),
        hint="; ".join(reason.hint for reason in reasons if reason.hint),
        reasons=reasons,
    )


class SpeakingFilters(DjangoFilterBackend):  # type: ignore[misc]
    """Filters by the declared fields; a value that no row can have is refused with those that it can."""

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        """Return the rows that fit. Raises Refusal."""
        filters = self.get_filterset(request, queryset, view)
        if filters is None:
            return queryset
        if not filters.is_valid():
            raise _refusal(tuple(_reasons(filters)))
        rows: QuerySet[Any] = filters.qs
        return rows


def _reasons(filters: FilterSet) -> Iterator[Reason]:
    for name, messages in filters.form.errors.items():
        given = str(filters.data.get(name, ""))[:80]
        choices = [str(value) for value, _ in getattr(filters.form.fields[name], "choices", ()) if value]
        if choices:
            yield Reason("filter", f"{name} is never {given!r}", name, hint=f"one of: {', '.join(choices)}")
        else:
            yield Reason("filter", f"{name} {given!r}: {' '.join(map(str, messages))}", name)


class SpeakingOrder(OrderingFilter):
    """Sorts by `?ordering=`; a field that is none of the list's is refused with those that are."""

    def remove_invalid_fields(self, queryset: Any, fields: Any, view: Any, request: Request) -> list[str]:
        """Return the fields to sort by. Raises Refusal."""
        valid: list[str] = super().remove_invalid_fields(queryset, fields, view, request)
        wrong = [str(field)[:80] for field in fields if field not in valid]
        if wrong:
            known = [name for name, _ in self.get_valid_fields(queryset, view, {"request": request})]
            message = f"this list cannot be sorted by {', '.join(wrong)}"
            raise _refusal((Reason("ordering", message, "ordering", hint=f"one of: {', '.join(known)}"),))
        return valid
