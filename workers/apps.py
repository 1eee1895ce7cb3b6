"""The workers app: provides the lower rooms' ports to the outside."""

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    """Registers the probe, the log source, the terminals and the names of containers when Django starts."""

    name = "workers"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Give `node` and `deployments` their ports."""
        from django.conf import settings

        from deployments.outside import OUTSIDE as DEPLOYMENTS
        from node.outside import OUTSIDE as NODE
        from workers.executors.registry import container_name
        from workers.logs import AllocationLogs
        from workers.probes import MachineProbe
        from workers.terminals import AllocationTerminals
        from workers.transport.https import Https
        from workers.transport.local import Local

        NODE.transports = {"local": Local(), "https": Https(), "http": Https()}
        NODE.probe = MachineProbe(settings.DMS_HOME.path("work"))
        DEPLOYMENTS.logs = AllocationLogs()
        DEPLOYMENTS.container_name = container_name
        DEPLOYMENTS.terminals = AllocationTerminals()
