"""Pages of long lists: first the keys, which an index alone gives in order, then the rows of one page.

`OFFSET` makes a database fetch, join and throw away every row before the page. Documents make rows long here, so
that is dear; keys are cheap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.db.models.sql.where import WhereNode

if TYPE_CHECKING:
    Rows = Paginator[Any]
else:
    Rows = Paginator


def rows_of(rows: QuerySet[Any], start: int, stop: int) -> list[Any]:
    """Return the rows from `start` up to `stop` in the order of `rows`, in two queries."""
    keys = list(rows.values_list("pk", flat=True)[start:stop])
    same = rows.order_by()
    # The keys say it all; with the other conditions databases choose worse ways to the rows.
    same.query.where = WhereNode()
    found = {row.pk: row for row in same.filter(pk__in=keys)}
    return [found[key] for key in keys if key in found]


def under(relation: str, fields: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of fields of a related row."""
    return tuple(f"{relation}__{field}" for field in fields)


class KeyPaginator(Rows):
    """Django's paginator with pages read by `rows_of`."""

    def page(self, number: int | str) -> Page[Any]:
        """Return one page. Raises InvalidPage."""
        number = self.validate_number(number)
        start = (number - 1) * self.per_page
        stop = start + self.per_page
        if stop + self.orphans >= self.count:
            stop = self.count
        return Page(rows_of(self.object_list, start, stop), number, self)  # type: ignore[arg-type]
