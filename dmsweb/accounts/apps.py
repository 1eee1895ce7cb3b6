"""The accounts app."""

from importlib import import_module

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """People and their logins."""

    name = "dmsweb.accounts"
    label = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the behaviors about people."""
        import_module("dmsweb.accounts.behaviors")
        import_module("dmsweb.accounts.invitation_behaviors")
        import_module("dmsweb.accounts.team_behaviors")
        import_module("dmsweb.accounts.token_behaviors")
