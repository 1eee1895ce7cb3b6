"""Keep the deployment's manifest in step with its rows."""

from __future__ import annotations

from typing import Any

from deployments.models import Deployment
from node.models import Node


def node_handle(node: Node) -> dict[str, Any]:
    """Return the handle of a node's root actor."""
    from node.handle import handle_of

    return handle_of(bytes(node.public_key), node.identity.did, node.peer_id).document()


def manifest_refresh(deployment: Deployment) -> None:
    """Compute the manifest from the rows and store it."""
    raise NotImplementedError
