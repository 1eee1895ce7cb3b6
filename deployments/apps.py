"""The deployments app."""

from django.apps import AppConfig


class DeploymentsConfig(AppConfig):
    """See the package's docstring."""

    name = "deployments"
    default_auto_field = "django.db.models.BigAutoField"
