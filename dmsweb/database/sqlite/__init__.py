"""A database backend: SQLite behind one write gate."""
