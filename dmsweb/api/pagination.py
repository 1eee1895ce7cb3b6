"""Pages of lists: {items, total, next}, as in the command line."""

from __future__ import annotations

from typing import Any

from rest_framework.pagination import LimitOffsetPagination
from rest_framework.response import Response


class Page(LimitOffsetPagination):
    """`?limit=` (at most 1000) and `?offset=`."""

    default_limit = 50
    max_limit = 1000

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
