"""The workers app: provides the lower rooms' ports to the outside."""

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    """Registers the probe and the log source when Django starts."""

    name = "workers"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Give `node` and `deployments` their ports."""
        from django.conf import settings

        from deployments.outside import OUTSIDE as DEPLOYMENTS
        from node.outside import OUTSIDE as NODE
        from workers.logs import AllocationLogs
        from workers.probes import MachineProbe

        NODE.probe = MachineProbe(settings.DMS_HOME.path("work"))
        DEPLOYMENTS.logs = AllocationLogs()
