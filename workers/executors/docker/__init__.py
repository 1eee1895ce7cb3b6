"""Containers on a Docker Engine or on Podman's compatible socket."""

from workers.executors.docker.executor import DockerExecutor

__all__ = ["DockerExecutor"]
