"""The pages app."""

from django.apps import AppConfig


class PagesConfig(AppConfig):
    """Overview, layout, live connection: what belongs to no single room."""

    name = "dmsweb.pages"
    label = "pages"
