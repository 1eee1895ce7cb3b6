"""The behaviors' part of the OpenAPI document, and the page that shows the whole."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from drf_spectacular.views import SpectacularSwaggerSplitView
from pydantic.json_schema import models_json_schema

from node.registry import REGISTRY, Behavior

# Swagger's viewer sets styles on its elements and draws its icons from data URLs; scripts stay our own.
VIEWER_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
)
PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem document.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "hint": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
    },
}


def add_behaviors(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """Add one operation for each registered behavior, from its own types."""
    entries = list(REGISTRY)
    wanted = {(entry.request, "validation") for entry in entries}
    wanted |= {(entry.response, "serialization") for entry in entries}
    ordered = sorted(wanted, key=lambda item: (item[0].__module__, item[0].__qualname__, item[1]))
    references, definitions = models_json_schema(
        ordered,  # type: ignore[arg-type]
        by_alias=True,
        ref_template="#/components/schemas/{model}",
    )
    schemas = result.setdefault("components", {}).setdefault("schemas", {})
    schemas.update(definitions.get("$defs", {}))
    schemas["Problem"] = PROBLEM
    paths = result.setdefault("paths", {})
    for entry in entries:
        request = references[entry.request, "validation"]
        response = references[entry.response, "serialization"]
        paths[f"/api/v1{entry.path}"] = {"post": _operation(entry, request, response)}
    return result


def _operation(entry: Behavior, request: Any, response: Any) -> dict[str, Any]:
    return {
        "operationId": entry.path.strip("/").replace("/", "_"),
        "summary": entry.doc,
        "description": f"Needs the capability `{entry.path}`.",
        "tags": list(entry.tags),
        "requestBody": {"content": {"application/json": {"schema": request}}},
        "security": [{"bearerToken": []}, {"cookieAuth": []}],
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": response}}},
            "default": {
                "description": "Refused or failed; the document says why and what would pass.",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }


class DocsView(SpectacularSwaggerSplitView):
    """Swagger's viewer, from the wheel's own files."""

    schema = None

    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Return the page under the one policy that is looser than the others'."""
        response: HttpResponse = super().get(request, *args, **kwargs)  # type: ignore[no-untyped-call]
        response.headers["Content-Security-Policy"] = VIEWER_POLICY
        return response
