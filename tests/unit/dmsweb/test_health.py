"""/livez and /readyz say what is wrong."""

from __future__ import annotations

import pytest
from django.test import Client

from dmsweb import migrating
from dmsweb.api import health

pytestmark = pytest.mark.django_db(databases=["default", "nonces"])


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.setattr(health, "_migrated", [])


def test_the_process_answers():
    answer = Client().get("/livez")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert "no-store" in answer.headers["Cache-Control"]


def test_ready_with_everything_in_place(settings, redis_url, monkeypatch):
    settings.REDIS_URL = redis_url
    monkeypatch.setattr(health, "is_current", lambda: True)
    answer = Client().get("/readyz")
    assert answer.status_code == 200, answer.content
    assert answer.json()["ready"]


def test_not_ready_says_each_reason(settings, tmp_path, monkeypatch):
    settings.REDIS_URL = f"unix://{tmp_path}/no-redis.sock"
    monkeypatch.setattr(health, "is_current", lambda: False)
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert checks["database"] == {"ok": True}
    assert "broker" in checks["broker"]["reason"]
    assert "./dms up" in checks["migrations"]["reason"]


def test_the_record_of_migrations_notices_a_change(settings, tmp_path, monkeypatch):
    from dmsweb.home import Home

    home = Home(tmp_path)
    home.create()
    settings.DMS_HOME = home
    assert not migrating.is_current()
    said: list[str] = []
    assert migrating.migrate_if_needed(said.append)
    assert said == ["preparing the database"]
    assert migrating.is_current()
    assert not migrating.migrate_if_needed(said.append)
    monkeypatch.setattr(migrating, "fingerprint", lambda: "another code")
    assert not migrating.is_current()
    monkeypatch.undo()
    settings.DMS_HOME = home
    monkeypatch.setattr(migrating, "applied", lambda: {"default": 1})
    assert not migrating.is_current()
