"""The transport within one site: straight to the dispatcher, the same bytes as everywhere."""

from __future__ import annotations

import json

from node.actor import local_actor
from node.door import receive


class Local:
    """Delivers to this process' own actor."""

    def carry(self, envelope: bytes, address: str, verb: str, timeout_s: float) -> bytes:
        """Hand the envelope to the door; what the door refuses without a signed answer is raised as it is."""
        reply = receive(envelope, remote_addr="local")
        if verb == "broadcast":
            return b"[]" if reply is None else b"[" + reply.to_json() + b"]"
        return b"{}" if reply is None else reply.to_json()

    def handle(self, address: str, timeout_s: float) -> bytes:
        """Return the handle of this site's own node."""
        return json.dumps(local_actor().handle.document()).encode()
