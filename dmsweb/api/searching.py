"""`?search=` of the lists."""

from __future__ import annotations

from typing import Any

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
