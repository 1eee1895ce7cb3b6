"""The deployments app."""

from django.apps import AppConfig


class DeploymentsConfig(AppConfig):
    """Declares the room's behaviors when Django starts."""

    name = "deployments"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Fill the registry."""
        import deployments.behaviors
        import deployments.behaviors_allocation
        import deployments.behaviors_containers
        import deployments.behaviors_drain
        import deployments.behaviors_plan
        import deployments.behaviors_quota
        import deployments.behaviors_removal
        import deployments.behaviors_stats
        import deployments.behaviors_team
        import deployments.exec_door  # noqa: F401
        from deployments.metrics import of_deployments
        from deployments.services.room import on_freed
        from node.freed import freed
        from node.metrics import SOURCES

        if of_deployments not in SOURCES:
            SOURCES.append(of_deployments)
        freed.connect(on_freed, dispatch_uid="deployments.room")
