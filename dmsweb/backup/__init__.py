"""Backup and restore of a site: one file that holds its databases, keys and secrets, taken while it runs."""
