"""Fixtures and settings of every test.

A test process has a DMS_HOME of its own (tests.support.home). Settings that are only cheaper are set here: a
fast password hasher, static files without a manifest, an in-memory broker and channel layer for tests that ask
for no Redis.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.support import engine, services
from tests.support.home import HOME, on_postgresql
from tests.support.site import Site, running_site

if TYPE_CHECKING:
    from docker import DockerClient
    from pytest_django.plugin import DjangoDbBlocker

# Fixtures that are dear to make: all tests of a module that use one run in the same xdist worker.
DEAR = ("site", "postgres_url")


def pytest_configure(config: pytest.Config) -> None:
    """Make the settings cheap."""
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    settings.CELERY_BROKER_URL = "memory://"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL, run what uses the database of its own process: the rest would show the same again."""
    if not on_postgresql():
        return
    wanted = [
        item
        for item in items
        if (item.get_closest_marker("django_db") or "db" in fixtures_of(item))
        and not item.get_closest_marker("sqlite")
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(wanted)])
    items[:] = wanted


def fixtures_of(item: pytest.Item) -> list[str]:
    """Return the names of the fixtures that a test uses, directly or not."""
    return list(getattr(item, "fixturenames", ()))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keep the tests of a module that share something dear in one xdist worker."""
    if on_postgresql():
        # One database holds the nonces there, too.
        for mark in item.iter_markers("django_db"):
            if isinstance(mark.kwargs.get("databases"), list):
                mark.kwargs["databases"][:] = ["default"]
    used = fixtures_of(item)
    if any(name in used for name in DEAR) and not item.get_closest_marker("xdist_group"):
        item.add_marker(pytest.mark.xdist_group(item.nodeid.split("::")[0]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List for people what was skipped and why."""
    reasons = Counter(
        str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr).removeprefix(
            "Skipped: "
        )
        for report in terminalreporter.stats.get("skipped", ())
    )
    if reasons:
        terminalreporter.section("what this machine could not show")
        for reason, count in sorted(reasons.items()):
            terminalreporter.line(f"{count:4d} x {reason}")


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Make the test database; on PostgreSQL without a table that stands in the way of emptying the others.

    Knox's migrations make the table of its own token model, which ours replaces: nothing empties it, and it refers to
    people.
    """
    if on_postgresql():
        from django.db import connection

        with django_db_blocker.unblock(), connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS knox_authtoken")


@pytest.fixture(scope="session")
def docker_client() -> Iterator[DockerClient]:
    """A client of the real Docker Engine."""
    client = engine.client()
    yield client
    client.close()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real Redis on a private unix socket (unix://...)."""
    folder = HOME / "redis"
    folder.mkdir(exist_ok=True)
    with services.redis_server(folder) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A real PostgreSQL cluster of this test process."""
    with services.postgres_cluster() as url:
        yield url


@pytest.fixture(scope="module")
def postgres_url(postgres_server: str) -> str:
    """An empty database of the module's own: what one leaves must not stand in another's way."""
    return services.postgres_database(postgres_server, f"dms_{uuid.uuid4().hex}")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """A running site, shared by the tests of a module."""
    with running_site() as running:
        yield running
