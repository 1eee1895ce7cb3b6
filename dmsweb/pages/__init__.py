"""Overview, layout, live connections: pages that belong to no single room."""
