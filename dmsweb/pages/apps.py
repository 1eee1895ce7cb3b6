"""The pages app."""

from django.apps import AppConfig


class PagesConfig(AppConfig):
    """Overview, layout, live connection: what belongs to no single room."""

    name = "dmsweb.pages"
    label = "pages"

    def ready(self) -> None:
        """Make the site's Celery application the one that every thread publishes through."""
        import dmsweb.celery  # noqa: F401
