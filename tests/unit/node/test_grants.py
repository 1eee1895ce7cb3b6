"""Grants that end: told in time, told once, and given again with an overlap."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from capabilities import grants, services
from capabilities.did import did_of
from capabilities.keys import PrivateKey
from capabilities.models import Token
from capabilities.refusal import Refusal
from capabilities.renewal import ends_soon
from capabilities.tokens import TokenList
from node import door
from node.models import NodeEvent
from tests.unit.node.doorway import House, house
from workers.tasks import monitor

pytestmark = pytest.mark.django_db
EVE = did_of(PrivateKey.generate().public)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.timedeltas(timedelta(seconds=1), timedelta(days=20_000)), st.floats(0, 1.2))
def test_soon_is_before_the_end_and_leaves_time(life: timedelta, share: float) -> None:
    now, end = BEGAN + life * share, BEGAN + life
    soon = ends_soon(BEGAN, end, now)
    assert soon is (now < end and end - now <= min(timedelta(days=14), life / 4))
    # Whoever looks each hour finds whatever lives for some hours before it ends.
    if life > timedelta(hours=5):
        looks = [end - timedelta(hours=hours) for hours in (0.5, 1)]
        assert all(ends_soon(BEGAN, end, look) for look in looks)


@pytest.fixture
def here() -> Iterator[House]:
    with house() as made:
        yield made


def granted(here: House, days: float, age: float, *paths: str) -> Token:
    """Return a grant for so many days of which so many have passed."""
    services.grant(here.node.identity, EVE, paths or ("/dms/node",), timedelta(days=days), depth=2)
    row = Token.objects.filter(subject=EVE).latest("pk")
    now = timezone.now()
    moments = {
        "created_at": now - timedelta(days=age),
        "expires_at": now + timedelta(days=days - age),
        "warned_at": None,
    }
    Token.objects.filter(pk=row.pk).update(**moments)
    return Token.objects.get(pk=row.pk)


def test_what_ends_soon_is_told_once_and_renewed_in_one_step(here: House) -> None:
    old = granted(here, 100, 95)
    granted(here, 100, 10, "/public")
    assert [row.pk for row in grants.ending(timezone.now())] == [old.pk]
    for _ in range(2):
        monitor.grants()
    (event,) = NodeEvent.objects.filter(kind="grant")
    assert f"./dms cap renew {old.pk}" in event.text
    made = door.invoke(
        identity=here.root, path="/dms/cap/renew", payload={"ID": old.pk}, source="rest"
    ).wire()
    (token,) = TokenList.of_document(made["Token"]).tokens
    fresh = Token.objects.filter(subject=EVE).latest("pk")
    assert (fresh.capabilities, token.depth, token.subject) == (old.capabilities, 2, EVE)
    assert timedelta(days=99) < fresh.expires_at - timezone.now() <= timedelta(days=100)
    assert old.expires_at > timezone.now()  # both count until the first one ends
    assert grants.ending(timezone.now()) == []


def test_what_is_handed_on_ends_with_what_it_rests_on_and_revoked_is_for_good(here: House) -> None:
    services.grant(here.node.identity, here.person.did, ["/dms/node"], timedelta(days=2))
    services.delegate(here.person, EVE, ["/dms/node"], timedelta(days=1))
    row = Token.objects.get(subject=EVE)
    again = grants.renew(row)
    assert again.chain is not None
    assert again.issuer == here.person.did
    assert again.expires_ns <= again.chain.expires_ns
    services.revoke(row)
    with pytest.raises(Refusal, match="for good"):
        grants.renew(Token.objects.get(pk=row.pk))
    with pytest.raises(Refusal) as stranger:
        door.invoke(identity=here.person, path="/dms/cap/renew", payload={"ID": row.pk}, source="rest")
    assert stranger.value.status in (403, 404)


def test_tokens_of_roles_are_not_told(here: House) -> None:
    now = timezone.now()
    Token.objects.filter(subject=here.person.did).update(
        created_at=now - timedelta(days=100), expires_at=now + timedelta(days=1)
    )
    assert grants.ending(now) == []
