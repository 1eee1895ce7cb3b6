"""The workers app."""

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    """See the package's docstring."""

    name = "workers"
    default_auto_field = "django.db.models.BigAutoField"
