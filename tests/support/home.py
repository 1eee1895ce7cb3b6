"""A fresh DMS_HOME for each test process, set before Django reads its settings.

Loaded with `-p tests.support.home` (pyproject.toml): pytest-django loads the settings before any conftest.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

ROOT_VARIABLE = "DMS_TEST_ROOT"
DATABASE_VARIABLE = "DMS_TEST_DATABASE_URL"
# What a developer's shell may carry and no test may depend on.
FOREIGN = (
    "DATABASE_URL",
    "REDIS_URL",
    "DMS_PUBLIC_URL",
    "DMS_ALLOWED_HOSTS",
    "DMS_PORT",
    "DMS_KEYS_FD",
    "DMS_NODE",
)


def on_postgresql() -> bool:
    """Say whether the tests of this run that use the database use PostgreSQL (`./dms test --database postgresql`)."""
    return bool(os.environ.get(DATABASE_VARIABLE))


def _own_home() -> Path:
    """Make this process' home; the root is made by the first process and inherited by xdist's workers."""
    root = os.environ.get(ROOT_VARIABLE)
    if not root or "PYTEST_XDIST_WORKER" not in os.environ:
        root = tempfile.mkdtemp(prefix="dms-test-")
        Path(root).chmod(0o711)  # a service under another user (PostgreSQL) reaches its own folder
        os.environ[ROOT_VARIABLE] = root
    home = Path(root, os.environ.get("PYTEST_XDIST_WORKER", "main"))
    home.mkdir(exist_ok=True)
    for name in FOREIGN:
        os.environ.pop(name, None)
    os.environ["DMS_HOME"] = str(home)
    if on_postgresql():
        os.environ["DATABASE_URL"] = os.environ[DATABASE_VARIABLE]
    return home


HOME = _own_home()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the homes when the first process ends."""
    if "PYTEST_XDIST_WORKER" not in os.environ and not os.environ.get("DMS_KEEP_TEST_HOME"):
        shutil.rmtree(os.environ[ROOT_VARIABLE], ignore_errors=True)
