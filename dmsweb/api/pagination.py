"""Pages of lists: {items, total, next}, as in the command line."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request
from rest_framework.response import Response

from capabilities.paging import rows_of


class Page(LimitOffsetPagination):
    """`?limit=` (at most 1000) and `?offset=`."""

    default_limit = 50
    max_limit = 1000

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any] | None:
        """Return the rows of the page that was asked for."""
        limit = self.get_limit(request)
        if limit is None or not isinstance(queryset, QuerySet):
            return super().paginate_queryset(queryset, request, view)
        self.request, self.limit = request, limit
        self.count, self.offset = self.get_count(queryset), self.get_offset(request)
        if self.offset >= self.count:
            return []
        return rows_of(queryset, self.offset, self.offset + limit)

    def get_paginated_response(self, data: Any) -> Response:
        """Return one page under the product's names."""
        return Response({"items": data, "total": self.count, "next": self.get_next_link()})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the OpenAPI schema of a page."""
        return {
            "type": "object",
            "required": ["items", "total", "next"],
            "properties": {
                "items": schema,
                "total": {"type": "integer"},
                "next": {"type": ["string", "null"], "format": "uri"},
            },
        }
