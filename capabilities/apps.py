"""The capabilities app."""

from django.apps import AppConfig


class CapabilitiesConfig(AppConfig):
    """See the package's docstring."""

    name = "capabilities"
    default_auto_field = "django.db.models.BigAutoField"
