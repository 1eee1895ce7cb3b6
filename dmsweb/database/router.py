"""Send models that declare a database of their own there, where that database is configured."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import Model


def _alias(model: type[Model] | None) -> str:
    alias = getattr(model, "database", "default")
    return alias if alias in settings.DATABASES else "default"


class NonceRouter:
    """Routes `SeenNonce` to the `nonces` database on SQLite."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str:
        """Return the alias that holds `model`."""
        return _alias(model)

    db_for_write = db_for_read

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool:
        """Let each table exist in its own database only."""
        model = apps.get_model(app_label, model_name) if model_name else None
        return _alias(model) == db
