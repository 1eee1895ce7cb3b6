"""The executors: one small port, and a package for each kind that implements it."""
