"""The node app."""

from importlib import import_module

from django.apps import AppConfig


class NodeConfig(AppConfig):
    """See the package's docstring."""

    name = "node"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the node's behaviors, and tell other sites of what is revoked here."""
        import_module("node.behaviors")
        from capabilities.revocations import revocation_listen
        from node.services.outgoing import revocation_out

        revocation_listen(revocation_out)
