"""Probes: look at the machine this process runs on."""

from workers.probes.machine import MachineProbe

__all__ = ["MachineProbe"]
