"""Starting and supervising a site's processes. Standard library only, except what runs in a child."""
