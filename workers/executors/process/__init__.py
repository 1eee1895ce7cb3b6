"""The process executor: a command without Docker, in a sandbox of namespaces and control groups."""

from workers.executors.process.executor import ProcessExecutor

__all__ = ["ProcessExecutor"]
