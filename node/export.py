"""Timelines as files: JSON Lines or CSV, with the filters of their list."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request

from capabilities.refusal import Refusal

ROWS_MAX = 50_000
TYPES = {"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
# A spreadsheet takes a cell that begins like this for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def json_lines(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return one JSON object a line."""
    return "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)


def comma_separated(rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a table with a head; documents as JSON, and nothing that a spreadsheet would execute."""
    out = io.StringIO()
    writer = csv.writer(out)
    head: list[str] = []
    for row in rows:
        if not head:
            head = list(row)
            writer.writerow(head)
        writer.writerow(_cell(row[name]) for name in head)
    return out.getvalue()


def _cell(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value or "")
    return f"'{text}" if text.startswith(FORMULA) else text


class Exported:
    """Gives a list `export/?as=jsonl|csv`: what its filters leave, in its order, at most 50,000 rows."""

    @extend_schema(
        parameters=[OpenApiParameter("as", enum=list(TYPES), description="jsonl (default) or csv.")],
        responses={(200, kind): OpenApiTypes.STR for kind in TYPES.values()},
    )
    @action(detail=False, pagination_class=None)
    def export(self, request: Request) -> HttpResponse:
        """Hand over the timeline as a file."""
        kind = request.query_params.get("as", "jsonl")
        if kind not in TYPES:
            raise Refusal("invalid_request", f"as: {kind[:20]!r} is no format", hint="jsonl or csv")
        view: Any = self
        rows = view.filter_queryset(view.get_queryset())[:ROWS_MAX]
        data = view.get_serializer(rows, many=True).data
        answer = HttpResponse(
            json_lines(data) if kind == "jsonl" else comma_separated(data), content_type=TYPES[kind]
        )
        answer.headers["Content-Disposition"] = f'attachment; filename="events.{kind}"'
        return answer
