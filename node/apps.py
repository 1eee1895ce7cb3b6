"""The node app."""

from django.apps import AppConfig


class NodeConfig(AppConfig):
    """See the package's docstring."""

    name = "node"
    default_auto_field = "django.db.models.BigAutoField"
