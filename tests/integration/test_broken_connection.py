"""A connection whose log was taken away is given up, and the next task connects anew."""

from __future__ import annotations

import os

import pytest
from django.db import OperationalError, connection

from capabilities.models import Identity

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.sqlite]


def test_a_broken_connection_heals_at_the_next_task() -> None:
    path = str(connection.settings_dict["NAME"])
    for number in range(200):
        Identity.objects.create(did=f"did:key:z{number}", kind=Identity.Kind.PEER, name="x" * 100)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA cache_size=0")
    os.truncate(f"{path}-wal", 0)
    with pytest.raises(OperationalError):
        list(Identity.objects.all())
    broken = connection.connection
    connection.close_if_unusable_or_obsolete()
    assert connection.connection is None or connection.connection is not broken
    Identity.objects.create(did="did:key:zafter", kind=Identity.Kind.PEER, name="after")
    assert Identity.objects.filter(name="after").exists()
