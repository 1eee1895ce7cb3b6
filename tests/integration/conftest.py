"""Fixtures shared by the tests against real parts."""

from tests.integration.docker_rig import machine_image, other, rig

__all__ = ["machine_image", "other", "rig"]
