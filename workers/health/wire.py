"""A connection to an allocation's own address, with one deadline and one budget of bytes for everything."""

from __future__ import annotations

import io
import ipaddress
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

SO_BINDTODEVICE = 25  # socket.SO_BINDTODEVICE where Python was built without it


class NotItsOwn(Exception):
    """The address is not one of an allocation on this machine; nothing was sent."""


def bridge_of(address: str) -> str:
    """Return the bridge of this machine in whose network `address` lies. NotItsOwn when there is none.

    An address on another link, or that only a router could reach, is no container of this machine, whatever an
    engine says.
    """
    try:
        wanted = ipaddress.IPv4Address(address)
    except ValueError:
        raise NotItsOwn("it has no address of its own") from None
    if wanted.is_loopback or wanted.is_multicast or wanted.is_unspecified or wanted.is_link_local:
        raise NotItsOwn(f"{address} is not an address of its own")
    found = ""
    for name, entries in psutil.net_if_addrs().items():
        for entry in entries:
            if entry.family != socket.AF_INET or not entry.netmask:
                continue
            if entry.address == address:
                raise NotItsOwn(f"{address} is this machine's own address")
            network = ipaddress.IPv4Network(f"{entry.address}/{entry.netmask}", strict=False)
            if wanted in network and Path(f"/sys/class/net/{name}/bridge").is_dir():
                found = name
    if not found:
        raise NotItsOwn(f"{address} is on no bridge of this machine; use type command")
    return found


class Wire(io.RawIOBase):
    """A connected socket as a stream. TimeoutError after the deadline; its end when the budget is used up."""

    def __init__(self, address: str, port: int, *, deadline: float, max_bytes: int) -> None:
        self._deadline = deadline
        self._left = max_bytes
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            # Out by the bridge or not at all: no route of this machine can lead it elsewhere.
            device = bridge_of(address).encode()
            with suppress(PermissionError):
                self._socket.setsockopt(
                    socket.SOL_SOCKET, getattr(socket, "SO_BINDTODEVICE", SO_BINDTODEVICE), device
                )
            self._wait()
            self._socket.connect((address, port))
        except BaseException:
            self._socket.close()
            raise

    @property
    def used_up(self) -> bool:
        """Whether more came than was to be read."""
        return self._left <= 0

    def _wait(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._wait()
        self._socket.sendall(data)

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what has come, within what is left of time and budget."""
        if self._left <= 0:
            return 0
        self._wait()
        view = memoryview(buffer)[: self._left]
        count = self._socket.recv_into(view)
        self._left -= count
        return count

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return it as a file, as the reader of HTTP answers wants it."""
        return io.BufferedReader(self, 4096)

    def close(self) -> None:
        """Let go at once; what is under way is of no interest."""
        self._socket.close()
        super().close()
