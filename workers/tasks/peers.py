"""Work with other sites, on the queue `network`: hello, and sending what waits for them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from celery import shared_task
from django.db import close_old_connections
from django.utils import timezone

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from node.models import Peer
from node.services import hello, outgoing
from workers.tasks.execute import alone

logger = logging.getLogger(__name__)


def each(peers: list[Peer], work: Callable[[Peer], object]) -> None:
    """Do `work` with each site, several at once: one that does not answer holds no other up."""

    def one(peer: Peer) -> None:
        try:
            work(peer)
        except Refusal as refusal:
            logger.info("%s: %s", peer, refusal.detail)
        except Exception:
            logger.exception("with %s", peer)
        finally:
            close_old_connections()

    if peers:
        with ThreadPoolExecutor(min(len(peers), NUMBERS.peer_hellos_at_once), "peers") as pool:
            list(pool.map(one, peers))


@shared_task(name="workers.tasks.peers.greet")
@alone
def greet() -> None:
    """Say hello to every known site, and pull what it has revoked meanwhile."""
    each(list(Peer.objects.order_by("pk")), hello.greet)


@shared_task(name=outgoing.DELIVER)
@alone
def deliver() -> None:
    """Send what waits for other sites."""
    each(outgoing.due(timezone.now()), outgoing.deliver)
