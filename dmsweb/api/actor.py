"""Signed envelopes over HTTP, as the reference's clients and other sites send them.

Nobody needs an account here: what an envelope may do is decided by its signature and its tokens alone.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from capabilities.asking import address_of
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from node.actor import local_actor
from node.door import receive
from node.envelope import Envelope
from node.patience import Patience

PATIENCE = Patience(NUMBERS.refusals_per_s, NUMBERS.refusals_burst)
ENVELOPE = {"application/json": OpenApiTypes.OBJECT}


class ActorView(APIView):
    """Open to everybody; how the caller is logged in, if at all, counts for nothing."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class HandleView(ActorView):
    """How this node is addressed."""

    @extend_schema(operation_id="actor_handle", tags=["actor"], responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request) -> Response:
        """Return the root actor's handle."""
        return Response(local_actor().handle.document())


class SendView(ActorView):
    """Hand over one envelope."""

    @extend_schema(
        operation_id="actor_send", tags=["actor"], request=ENVELOPE, responses={200: OpenApiTypes.OBJECT}
    )
    def post(self, request: Request) -> Response:
        """Deliver the envelope; the answer says only that it was."""
        take(request)
        return Response({"message": "message sent"})


class InvokeView(ActorView):
    """Hand over one envelope and wait for its reply."""

    @extend_schema(
        operation_id="actor_invoke", tags=["actor"], request=ENVELOPE, responses={200: OpenApiTypes.OBJECT}
    )
    def post(self, request: Request) -> Response:
        """Return the signed reply envelope, also when it says no; 408 when the message expired first."""
        envelope = Envelope.parse(request.body)
        if not envelope.reply_to:
            raise Refusal(
                "invalid_message",
                "invalid message: no behavior to reply to",
                hint="set opt.cont, or use /api/v1/actor/send",
            )
        reply = take(request)
        if reply is not None and problem_of(reply) == "request_timeout":
            return Response({"error": "request timeout"}, status=408)
        return Response({} if reply is None else reply.document())


class BroadcastView(ActorView):
    """Hand over one broadcast and gather the replies."""

    @extend_schema(
        operation_id="actor_broadcast", tags=["actor"], request=ENVELOPE, responses={200: OpenApiTypes.OBJECT}
    )
    def post(self, request: Request) -> Response:
        """Return the reply envelopes of every node that was reached."""
        if not Envelope.parse(request.body).broadcast:
            raise Refusal(
                "invalid_message",
                "message is not a broadcast message",
                hint="leave `to` empty and set opt.topic",
                error="message is not a broadcast message",
            )
        reply = take(request)
        return Response([] if reply is None else [reply.document()])


def take(request: Request) -> Envelope | None:
    """Pass the raw bytes on: parsing and writing them again could change what is signed."""
    address = address_of(request)
    PATIENCE.check(address)
    try:
        reply = receive(request.body, remote_addr=address)
    except Refusal as refusal:
        if refusal.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            PATIENCE.refused(address)
        raise
    if reply is not None and problem_of(reply) == "not_authorized":
        PATIENCE.refused(address)
    return reply


def problem_of(reply: Envelope) -> str:
    """Return the name of the problem that a reply says; nothing when it is an answer."""
    if not (reply.message or b"").startswith(b'{"type":"urn:dms:problem:'):
        return ""
    document: Any = json.loads(reply.message or b"{}")
    return str(document["type"]).rpartition(":")[2]
