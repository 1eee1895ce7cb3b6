"""`?search=` of the lists."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Q, QuerySet
from rest_framework.exceptions import ValidationError
from rest_framework.filters import SearchFilter
from rest_framework.request import Request

SEARCH_MAX = 255


class BoundedSearch(SearchFilter):
    """Looks for words; a text longer than any field is refused, for databases give up on such patterns."""

    def get_search_terms(self, request: Request) -> Any:
        """Return the words that are looked for."""
        if len(request.query_params.get(self.search_param, "")) > SEARCH_MAX:
            raise ValidationError({self.search_param: f"at most {SEARCH_MAX} characters"})
        return super().get_search_terms(request)

    def filter_queryset(self, request: Request, queryset: QuerySet[Any], view: Any) -> QuerySet[Any]:
        """Return the rows that hold each word in one of the fields, or fit the view's own `search_also(word)`."""
        also = getattr(view, "search_also", None)
        if also is None:
            rows: QuerySet[Any] = super().filter_queryset(request, queryset, view)
            return rows
        fields = self.get_search_fields(view, request) or ()
        lookups = [self.construct_search(str(field), queryset) for field in fields]
        for word in self.get_search_terms(request):
            queryset = queryset.filter(reduce(or_, (Q(**{lookup: word}) for lookup in lookups), also(word)))
        return queryset
