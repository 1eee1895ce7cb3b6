"""GET /metrics in Prometheus' text format, for whoever holds the capability /dms/node/metrics/get."""

from __future__ import annotations

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from rest_framework.request import Request
from rest_framework.views import APIView

from capabilities.asking import address_of, identity_of, source_of
from node.behaviors.metrics import MetricsResponse
from node.door import invoke

PATH = "/dms/node/metrics/get"


class MetricsView(APIView):
    """The same figures as the behavior's, as plain text."""

    capability = ""  # the behavior asks

    @extend_schema(exclude=True)
    def get(self, request: Request) -> HttpResponse:
        """Answer with the figures; a caller without the capability gets a problem document."""
        answer = invoke(
            identity=identity_of(request),
            path=PATH,
            payload={},
            source=source_of(request),
            remote_addr=address_of(request),
        )
        assert isinstance(answer, MetricsResponse)
        return HttpResponse(answer.text, content_type=CONTENT_TYPE_LATEST)
