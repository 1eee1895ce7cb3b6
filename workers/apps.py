"""The workers app."""

from django.apps import AppConfig
from django.conf import settings

from node.outside import OUTSIDE
from workers.probes import MachineProbe


class WorkersConfig(AppConfig):
    """See the package's docstring."""

    name = "workers"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Give the lower rooms what they need of the outside."""
        OUTSIDE.probe = MachineProbe(settings.DMS_HOME.path("work"))
