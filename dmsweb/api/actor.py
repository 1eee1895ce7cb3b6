"""Signed envelopes over HTTP, as the reference's clients and other sites send them.

Nobody needs an account here: what an envelope may do is decided by its signature and its tokens alone.
"""

from __future__ import annotations

import json
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from capabilities.asking import address_of
from capabilities.refusal import Refusal
from node.actor import local_actor
from node.door import receive
from node.envelope import Envelope

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
        if reply is not None and timed_out(reply):
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
    return receive(request.body, remote_addr=address_of(request))


def timed_out(reply: Envelope) -> bool:
    """Say whether a reply is the node's own word that the time was over."""
    document: Any = json.loads(reply.message or b"{}")
    return isinstance(document, dict) and document.get("type") == "urn:dms:problem:request_timeout"
