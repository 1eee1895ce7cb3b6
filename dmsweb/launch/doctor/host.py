"""Checks of the machine itself: Python, Redis, disk, ports, memory, clock, proxy variables."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import socket
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from capabilities.numbers import NUMBERS
from dmsweb.home import Home
from dmsweb.launch import table
from dmsweb.launch.broker import broker_program
from dmsweb.launch.doctor.check import Check
from dmsweb.launch.fault import StartFault

GIB = 1 << 30
COMFORTABLE_DISK_BYTES = 5 * GIB
COMFORTABLE_MEMORY_BYTES = 512 << 20
BUILT_AFTER = datetime(2026, 1, 1, tzinfo=UTC)
TIME_ERROR = 5


def python() -> Check:
    """The Python that runs the site."""
    version = platform.python_version()
    tested = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Check(
        "python",
        tested,
        f"Python {version}",
        "" if tested else "this version is not tested",
        "" if tested else "use Python 3.11, 3.12 or 3.13",
    )


def broker() -> Check:
    """Something that speaks Redis."""
    url = os.environ.get("REDIS_URL")
    if url:
        return Check("redis", True, "another Redis (REDIS_URL)", needed=True)
    try:
        return Check("redis", True, broker_program(), needed=True)
    except StartFault as fault:
        return Check("redis", False, fault.detail, "the site does not start", fault.hint, needed=True)


def disk(home: Home) -> Check:
    """Room where the site keeps everything."""
    place = home.root
    while not place.exists():
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return Check(
            "disk",
            False,
            f"{place} cannot be written" if place.is_dir() else f"{place} is a file, not a folder",
            "the site does not start",
            "correct its owner, or set DMS_HOME to a folder that you may write",
            needed=True,
        )
    free = shutil.disk_usage(place).free
    ok = free >= COMFORTABLE_DISK_BYTES
    return Check(
        "disk",
        ok,
        f"{free / GIB:.1f} GiB free at {place}",
        "" if ok else "little can be onboarded, images may not fit",
        "" if ok else "free some, or set DMS_HOME to a larger disk",
        needed=free < NUMBERS.home_min_free_bytes,
    )


def port(home: Home, wanted: int | None) -> Check:
    """The site's port."""
    site = table.read_json(home.path("run", "site.json"))
    if site and table.running_pid(home):
        return Check("ports", True, f"the site listens on {site.get('bind')} port {site.get('port')}")
    asked = os.environ.get("DMS_PORT", "")
    wanted = wanted or (int(asked) if asked.isdecimal() else None)
    number = wanted or int(table.read_json(home.path("run", "last.json")).get("port", 8765))
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError as error:
            reason = f"port {number}: {(error.strerror or str(error)).lower()}"
            return Check(
                "ports", False, reason, "the site does not start there", "./dms up --port 0 takes a free one"
            )
    return Check("ports", True, f"port {number} is free")


def memory() -> Check:
    """Room in memory for the site's processes."""
    facts = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        facts[name] = int(rest.split()[0]) * 1024
    free = facts.get("MemAvailable", 0)
    ok = free >= COMFORTABLE_MEMORY_BYTES
    return Check(
        "memory",
        ok,
        f"{free / GIB:.1f} of {facts.get('MemTotal', 0) / GIB:.1f} GiB available",
        "" if ok else "the site needs about 400 MB for itself",
        "" if ok else "end something, or add memory",
    )


def clock() -> Check:
    """A clock that others agree with: messages older than half a minute are refused."""
    now = datetime.now(UTC)
    text = now.strftime("%Y-%m-%d %H:%M:%S UTC")
    cost = "other machines refuse messages when clocks differ by more than 30 s"
    if now < BUILT_AFTER:
        return Check("clock", False, text, cost, "set the clock, e.g. with chrony or systemd-timesyncd")
    try:
        answer = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))
    except (OSError, AttributeError):
        answer = -1
    if answer == TIME_ERROR:
        return Check(
            "clock",
            False,
            f"{text}, not kept by NTP",
            cost,
            "install chrony, or ignore this in a virtual machine",
        )
    return Check("clock", True, f"{text}, zone {time.tzname[0]}")


def proxy() -> Check:
    """Proxy variables that would send calls to this machine through a proxy."""
    names = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
    used = [name for name in names if os.environ.get(name) or os.environ.get(name.lower())]
    if not used:
        return Check("proxy", True, "no proxy")
    exempt = (os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or "").replace(" ", "").split(",")
    if "*" in exempt or {"localhost", "127.0.0.1"} <= set(exempt):
        return Check("proxy", True, f"{', '.join(used)}; this machine is exempt")
    return Check(
        "proxy",
        False,
        f"{', '.join(used)} set and NO_PROXY does not name this machine",
        "calls to the local site may go to the proxy",
        "export NO_PROXY=localhost,127.0.0.1",
    )
