"""Finding a deployment by what a person types: its id, the id's beginning, or its name."""

from __future__ import annotations

import pytest
from django.utils import timezone

from capabilities.models import Identity
from capabilities.refusal import Refusal
from deployments.models import Deployment
from deployments.selectors import deployment_get
from deployments.services.submit import deployment_submit
from tests.unit.deployments import world

pytestmark = pytest.mark.django_db


def test_a_name_means_the_one_that_lives_else_the_newest() -> None:
    node, alice, bob = world.make_node(), world.make_owner("alice"), world.make_owner("bob")
    text = world.ensemble({"one": world.allocation()}, metadata={"name": "hello"})

    def submit(owner: Identity) -> str:
        return deployment_submit(node=node, owner=owner, ensemble=text, now=timezone.now()).pk

    first = submit(alice)
    submit(bob)
    assert deployment_get(alice, "hello").pk == first
    second = submit(alice)
    with pytest.raises(Refusal) as refused:
        deployment_get(alice, "hello")
    assert (refused.value.code, refused.value.status) == ("ambiguous", 409)
    assert refused.value.detail == "2 deployments called hello have not ended"
    hint = refused.value.hint
    assert hint.index(second[:8]) < hint.index(first[:8])
    assert hint.count("(Preparing)") == 2
    assert deployment_get(alice, first[:8]).pk == first
    Deployment.objects.filter(pk=second).update(status="Completed")
    assert deployment_get(alice, "hello").pk == first, "the one that has not ended"
    Deployment.objects.filter(pk=first).update(status="Failed")
    assert deployment_get(alice, "hello").pk == second, "the newest"
    for _ in range(6):
        submit(alice)
    with pytest.raises(Refusal, match="more than 5"):
        deployment_get(alice, "hello")


def test_what_is_not_there_says_how_to_find_what_is() -> None:
    world.make_node()
    with pytest.raises(Refusal) as refused:
        deployment_get(world.make_owner(), "nosuch")
    assert refused.value.status == 404
    assert "./dms get deployments" in refused.value.hint
