"""Databases: the SQLite backend and the router."""
