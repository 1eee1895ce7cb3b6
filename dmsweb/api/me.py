"""The caller: who she is, her API tokens, what she was granted and what she did."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django_filters import CharFilter, FilterSet, IsoDateTimeFilter
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from capabilities.asking import address_of, identity_of, source_of
from capabilities.auditlog import SAID, below, touching
from capabilities.models import AuditEntry, Token
from capabilities.selectors import audit_visible_to, tokens_of, tokens_visible_to
from capabilities.services import is_root
from dmsweb.accounts.models import ApiToken
from dmsweb.accounts.roles import role_of
from dmsweb.accounts.token_behaviors import TokenNewRequest, TokenNewResponse
from dmsweb.accounts.tokens import tokens_live
from dmsweb.api.behaviors import body_of
from node.door import invoke


class MeView(APIView):
    """Who the caller is."""

    capability: ClassVar = ""

    @extend_schema(operation_id="me", tags=["me"], responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """Return name, DID and capabilities of the caller."""
        identity = identity_of(request)
        root = is_root(identity)
        held = {path for token in tokens_of(identity.did) for path in token.capabilities}
        return Response(
            {
                "name": request.user.get_username(),
                "did": identity.did,
                "role": role_of(identity),
                "root": root,
                "capabilities": ["/"] if root else sorted(held),
            }
        )


class ApiTokenSerializer(serializers.ModelSerializer[ApiToken]):
    """An API token: never its text, which is shown once when it is made."""

    class Meta:
        model = ApiToken
        fields = ("token_key", "name", "created", "expiry", "capabilities", "deployment")
        read_only_fields = ("token_key", "created", "expiry")


class ApiTokenViewSet(
    mixins.ListModelMixin,
    mixins.CreateModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet[ApiToken],
):
    """The caller's own API tokens; a stranger's does not exist for her."""

    capability: ClassVar = {
        "list": "/dms/token/list",
        "retrieve": "/dms/token/list",
        "create": "/dms/token/new",
        "destroy": "/dms/token/revoke",
    }
    serializer_class = ApiTokenSerializer
    lookup_field = "token_key"
    lookup_value_regex = "[0-9a-f]+"
    ordering_fields: ClassVar = ["created", "expiry", "name"]
    search_fields: ClassVar = ["name"]
    queryset = ApiToken.objects.none()

    def get_queryset(self) -> QuerySet[ApiToken]:
        """Return her tokens, newest first."""
        return tokens_live(self.request.user)  # type: ignore[arg-type]

    @extend_schema(request=TokenNewRequest, responses={201: TokenNewResponse})
    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Make a token; `token` is its text, shown this once. The body is that of /dms/token/new."""
        made = self._invoke(request, "/dms/token/new", body_of(request))
        return Response(
            {"token": made["Token"], "name": made["Name"], "expiry": made["ExpiresAt"]}, status=201
        )

    def perform_destroy(self, instance: ApiToken) -> None:
        """Revoke it at once."""
        self._invoke(self.request, "/dms/token/revoke", {"Key": instance.token_key})

    @staticmethod
    def _invoke(request: Request, path: str, payload: dict[str, Any]) -> dict[str, Any]:
        answer = invoke(
            identity=identity_of(request),
            path=path,
            payload=payload,
            source=source_of(request),
            remote_addr=address_of(request),
        )
        return answer.wire()


class GrantSerializer(serializers.ModelSerializer[Token]):
    """A capability token this site has issued."""

    owner = serializers.CharField(source="owner.name", read_only=True)

    class Meta:
        model = Token
        fields = (
            "id",
            "owner",
            "issuer",
            "subject",
            "action",
            "capabilities",
            "topics",
            "expires_at",
            "revoked_at",
            "created_at",
        )


class GrantViewSet(viewsets.ReadOnlyModelViewSet[Token]):
    """Capability tokens: all for a root of the node, else the caller's own."""

    capability: ClassVar = "/dms/me"
    serializer_class = GrantSerializer
    queryset = Token.objects.none()
    filterset_fields: ClassVar = ["action", "subject", "issuer"]
    ordering_fields: ClassVar = ["created_at", "expires_at"]
    search_fields: ClassVar = ["subject", "owner__name"]
    ordering: ClassVar = ["-created_at", "-pk"]

    def get_queryset(self) -> QuerySet[Token]:
        """Return what the caller may see."""
        identity = identity_of(self.request)
        return tokens_visible_to(identity, is_root(identity))


class AuditSerializer(serializers.ModelSerializer[AuditEntry]):
    """One invocation."""

    class Meta:
        model = AuditEntry
        fields = SAID


class AuditFilter(FilterSet):  # type: ignore[misc]
    """The filters of `./dms audit`; `actor` is another word for `who`."""

    who = CharFilter("actor", help_text="DID of the invoker.")
    path = CharFilter(method="of_path", help_text="A behavior, and what is below it.")
    about = CharFilter(method="of_thing", help_text="What was asked for or changed: an id, a name.")
    since = IsoDateTimeFilter("at", "gte", help_text="From then on, in ISO 8601.")
    until = IsoDateTimeFilter("at", "lt", help_text="Before then.")

    class Meta:
        model = AuditEntry
        fields: ClassVar = ["actor", "outcome", "source"]

    def of_path(self, rows: QuerySet[AuditEntry], name: str, value: str) -> QuerySet[AuditEntry]:
        """Keep what is at or below a path."""
        return rows.filter(below(value))

    def of_thing(self, rows: QuerySet[AuditEntry], name: str, value: str) -> QuerySet[AuditEntry]:
        """Keep what is about a thing."""
        return rows.filter(touching(value))


class AuditViewSet(viewsets.ReadOnlyModelViewSet[AuditEntry]):
    """The audit log: all of it for a root of the node, else what the caller did."""

    capability: ClassVar = "/dms/me"
    serializer_class = AuditSerializer
    queryset = AuditEntry.objects.none()
    filterset_class = AuditFilter
    ordering_fields: ClassVar = ["at", "id"]
    search_fields: ClassVar = ["path", "reason", "actor"]

    def get_queryset(self) -> QuerySet[AuditEntry]:
        """Return what the caller may see."""
        identity = identity_of(self.request)
        return audit_visible_to(identity, is_root(identity))
