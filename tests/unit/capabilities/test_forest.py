"""What was granted, as trees: any shape, what each token is worth, and the parents of tokens made earlier."""

from __future__ import annotations

import importlib
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.db import connection
from django.utils import timezone

from capabilities import forest
from capabilities.models import Identity, Token
from capabilities.services import delegate, grant, identity_for_user, revoke
from capabilities.tokens import TokenList
from dmsweb.accounts.models import User
from tests.unit.deployments.world import make_node

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture
def line() -> list[Token]:
    """A token of the node and three that were handed on from it, one by the holder of the one before."""
    node = make_node().identity
    people = [identity_for_user(User.objects.create(username=name)) for name in ("ann", "ben", "cleo", "dan")]
    grant(node, people[0].did, ["/a"], 100 * DAY)
    for giver, taker in zip(people, people[1:], strict=False):
        delegate(giver, taker.did, ["/a"], 50 * DAY)
    return list(Token.objects.order_by("pk"))


def words(branches: list[forest.Branch], depth: int = 0) -> list[tuple[int, str, str]]:
    found = []
    for branch in branches:
        found += [(depth, branch.row.owner.name, branch.state), *words(branch.children, depth + 1)]
    return found


def seen(*, past: bool = False) -> list[tuple[int, str, str]]:
    now, visible = timezone.now(), Token.objects.select_related("owner")
    return words(forest.grow(list(forest.tops(visible, now, past=past)), visible, now, past=past))


def test_each_stands_under_the_one_it_rests_on(line: list[Token]) -> None:
    assert seen() == [(depth, name, "in force") for depth, name in enumerate(("ann", "ben", "cleo", "dan"))]


def test_what_a_revoked_link_carries_is_void(line: list[Token]) -> None:
    revoke(line[1])
    assert [state for _, _, state in seen(past=True)] == ["in force", "revoked", "void", "void"]
    assert seen() == [(0, "ann", "in force")]


def test_an_end_that_is_near_and_one_that_was(line: list[Token]) -> None:
    now = timezone.now()
    Token.objects.filter(pk=line[3].pk).update(created_at=now - 100 * DAY, expires_at=now + DAY)
    assert seen()[-1] == (3, "dan", "ends soon")
    Token.objects.filter(pk=line[3].pk).update(expires_at=now - DAY)
    assert seen(past=True)[-1] == (3, "dan", "expired")
    assert len(seen()) == 3


def test_a_wide_tree_is_cut(line: list[Token], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest, "BRANCHES_MAX", 2)
    assert len(seen()) == 3


def test_tokens_of_earlier_releases_find_what_they_rest_on(line: list[Token]) -> None:
    Token.objects.update(parent=None)
    migration = importlib.import_module("capabilities.migrations.0006_token_parents")
    migration.find_parents(apps, SimpleNamespace(connection=connection))
    assert [row.parent_id for row in Token.objects.order_by("pk")] == [None, *(row.pk for row in line[:-1])]


def test_what_a_token_is_goes_with_its_links(line: list[Token]) -> None:
    now, visible = timezone.now(), Token.objects.all()
    trees = forest.grow(list(forest.tops(visible, now)), visible, now)
    assert forest.dids(trees) == set(
        Identity.objects.filter(name__in=["ann", "ben", "cleo", "dan"]).values_list("did", flat=True)
    ) | {line[0].issuer}
    assert len(list(TokenList.of_any(line[3].document).tokens[0].links())) == 4
