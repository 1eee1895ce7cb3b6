"""People and rows for the tests of pages: alice administers the node, bob deploys, charlie is a stranger to bob."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.test import Client
from django.utils import timezone

from capabilities import recorder
from capabilities.models import Identity
from capabilities.services import identity_for_user
from deployments.models import Deployment
from dmsweb.accounts.models import User
from dmsweb.accounts.services import user_create
from node.hardware import HardwareFacts
from node.models import Node
from tests.unit.deployments.world import GIB, allocation, ensemble, make_node, submit

PASSWORD = "correct horse battery"


@dataclass
class People:
    """The node and who talks to it."""

    node: Node
    alice: User
    bob: User
    charlie: User

    def client(self, name: str) -> Client:
        """A browser in which the person is logged in."""
        client = Client()
        client.force_login(getattr(self, name))
        return client

    def identity(self, name: str) -> Identity:
        """The person's identity."""
        return identity_for_user(getattr(self, name))

    def deploy(self, name: str = "bob", **changes: object) -> Deployment:
        """A deployment of the person with one task."""
        deployment = submit(
            self.node, self.identity(name), ensemble({"hello": allocation()}, metadata={"name": f"of-{name}"})
        )
        if changes:
            Deployment.objects.filter(pk=deployment.pk).update(**changes)
            deployment.refresh_from_db()
        return deployment


@pytest.fixture(autouse=True)
def _no_command_line_before() -> Iterator[None]:
    """Take back what a command line that a test runs here sets for its whole process."""
    yield
    logging.getLogger("node.live").setLevel(logging.NOTSET)
    recorder._at_work.set(None)


@pytest.fixture
def people(db: None) -> People:
    """A node with hardware facts, seen just now, and three accounts."""
    node = make_node()
    node.hardware = HardwareFacts(
        hostname="box.example", cpu_centicores=400, ram_bytes=16 * GIB, disk_bytes=100 * GIB
    ).document()
    node.last_seen_at = timezone.now()
    node.save()
    alice = user_create("alice", PASSWORD, admin=True)
    return People(node, alice, user_create("bob", PASSWORD), user_create("charlie", PASSWORD))
