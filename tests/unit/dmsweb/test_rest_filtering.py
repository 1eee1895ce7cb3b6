"""Lists that are asked for what cannot be: a refusal that names what can."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from capabilities.services import identity_for_user
from dmsweb.accounts.services import user_create
from tests.unit.deployments import world

pytestmark = pytest.mark.django_db


@pytest.fixture
def api() -> APIClient:
    world.make_node()
    person = user_create("alice")
    identity_for_user(person)
    client = APIClient()
    client.force_authenticate(person)
    return client


@pytest.mark.parametrize(
    ("query", "path", "hint"),
    [
        ("status=nonsense", "status", "Completed"),
        ("ordering=nonsense", "ordering", "created_at"),
        ("ordering=-name,nonsense", "ordering", "created_at"),
        ("created_at__gte=yesterday", "created_at__gte", ""),
    ],
)
def test_what_cannot_be_is_refused_with_what_could(api: APIClient, query: str, path: str, hint: str) -> None:
    answer = api.get(f"/api/v1/deployments/?{query}")
    assert answer.status_code == 400
    document = answer.json()
    assert document["type"] == "urn:dms:problem:invalid_request"
    assert [reason["path"] for reason in document["errors"]] == [path]
    assert hint in document.get("hint", "")


@pytest.mark.parametrize("query", ["status=Completed", "ordering=-name,status", "ordering=", "status=", ""])
def test_what_can_be_is_answered(api: APIClient, query: str) -> None:
    assert api.get(f"/api/v1/deployments/?{query}").json() == {"items": [], "total": 0, "next": None}


def test_the_documentation_loads_nothing_from_elsewhere(api: APIClient) -> None:
    page = api.get("/api/docs/")
    assert page.status_code == 200
    assert b"https://" not in page.content
