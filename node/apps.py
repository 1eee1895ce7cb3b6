"""The node app."""

from importlib import import_module

from django.apps import AppConfig


class NodeConfig(AppConfig):
    """See the package's docstring."""

    name = "node"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the node's behaviors."""
        import_module("node.behaviors")
