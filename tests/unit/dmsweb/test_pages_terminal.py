"""The terminal's page: who gets it, what its policy lets in, and where it is offered."""

from __future__ import annotations

import re

import pytest

from capabilities.models import Token
from capabilities.services import revoke
from deployments.models import Allocation
from deployments.services.execs import EXEC

pytestmark = pytest.mark.django_db


@pytest.fixture
def path(people):
    made = people.deploy("bob", status="Running")
    Allocation.objects.create(
        id=f"{made.pk}_here.hello", deployment=made, owner=made.owner, node=people.node, ensemble_node="here",
        name="hello", type="service", executor="process", spec={}, dns_name="hello", status="running",
    )  # fmt: skip
    return f"/deployments/{made.pk}/terminal/here.hello/"


def test_its_policy_takes_style_elements_with_the_nonce_of_this_answer_alone(people, path):
    client = people.client("bob")
    nonces = set()
    for _ in range(2):
        answer = client.get(path)
        policy = answer.headers["Content-Security-Policy"]
        nonce = re.search(r"style-src 'self' 'nonce-([\w-]{20,})'", policy)
        assert nonce
        assert f'nonce="{nonce[1]}"' in answer.content.decode()
        assert "unsafe" not in policy
        nonces.add(nonce[1])
    assert len(nonces) == 2
    assert "nonce" not in client.get("/").headers["Content-Security-Policy"]


def test_its_scripts_are_loaded_nowhere_else(people, path):
    client = people.client("bob")
    assert "xterm" in client.get(path).content.decode()
    for other in ("/", "/deployments/", path.partition("terminal")[0]):
        assert "xterm" not in client.get(other).content.decode()


def test_strangers_find_nothing_and_who_may_not_hears_which_capability_it_needs(people, path):
    assert people.client("charlie").get(path).status_code == 404
    assert people.client("bob").get(path.replace("hello", "nope")).status_code == 404
    deployment = path.partition("terminal")[0]
    assert path in people.client("bob").get(deployment).content.decode()
    for token in Token.objects.filter(subject=people.identity("bob").did):
        revoke(token)
    answer = people.client("bob").get(path)
    assert answer.status_code == 403
    assert EXEC in answer.content.decode()
    assert path not in people.client("bob").get(deployment).content.decode()


def test_only_what_runs_offers_one(people, path):
    Allocation.objects.update(status="failed")
    assert path not in people.client("bob").get(path.partition("terminal")[0]).content.decode()
