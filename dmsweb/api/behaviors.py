"""Every registered behavior as `POST /api/v1<path>`, and the catalogue of all of them."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from pydantic import BaseModel
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from capabilities.asking import address_of, identity_of, source_of
from capabilities.refusal import Refusal
from node.door import invoke, may
from node.registry import REGISTRY, Behavior


class BehaviorView(APIView):
    """Invokes the behavior that the path names, as the caller; all of the work is done by the door."""

    capability: ClassVar = ""
    # Behaviors have their own entries in the OpenAPI document, made from their own types.
    schema = None

    def post(self, request: Request, path: str) -> Response:
        """Answer with the behavior's response under the reference's names."""
        message = invoke(
            identity=identity_of(request),
            path=f"/{path.rstrip('/')}",
            payload=body_of(request),
            source=source_of(request),
            remote_addr=address_of(request),
        )
        return Response(message.wire())

    def http_method_not_allowed(self, request: Any, *args: Any, **kwargs: Any) -> Response:
        """Tell a wrong verb from a wrong path."""
        path = f"/{kwargs['path'].rstrip('/')}"
        if REGISTRY.get(path) is not None:
            raise MethodNotAllowed(request.method)
        raise Refusal(
            "not_found",
            f"there is nothing at /api/v1{path[:200]}",
            status=404,
            hint="GET /api/v1/behaviors/ lists the behaviors, /api/docs/ everything",
        )


class CatalogueView(APIView):
    """All behaviors with the JSON Schemas of their requests and responses."""

    capability: ClassVar = ""

    @extend_schema(operation_id="behaviors_list", tags=["api"], responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """List every behavior; `allowed` says whether the caller holds its capability."""
        identity = identity_of(request)
        return Response(
            {"behaviors": [entry_of(entry) | {"allowed": may(identity, entry.path)} for entry in REGISTRY]}
        )


def entry_of(entry: Behavior) -> dict[str, Any]:
    """Return one line of the catalogue."""
    return {
        "path": entry.path,
        "request": schema_of(entry.request),
        "response": schema_of(entry.response, mode="serialization"),
        "doc": entry.doc,
    }


def schema_of(message: type[BaseModel], mode: Any = "validation") -> dict[str, Any]:
    """Return the JSON Schema of a message, under the names of the wire."""
    return message.model_json_schema(by_alias=True, mode=mode)


def body_of(request: Request) -> dict[str, Any]:
    """Return the request's JSON object; an absent body is an empty one."""
    data = request.data
    if not data and not isinstance(data, list):
        return {}
    if not isinstance(data, dict):
        raise Refusal("invalid_request", "the body must be a JSON object", hint="send {...}")
    return dict(data)
