"""`up`: bring a site up, and stay in front of it or let it run by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.live import Live

from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from dmsweb.cli.screen import lines, remarks, screen
from dmsweb.home import Home
from dmsweb.launch import control
from dmsweb.launch.assets import assets
from dmsweb.launch.doctor import examine
from dmsweb.launch.doctor.check import Check
from dmsweb.launch.environment import SetUpFault

REFRESH_S = 1.0


def say(text: str) -> None:
    """Write a line of progress, apart from what the command answers."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def bring_up(home: Home, bind: str, port: int, *, detach: bool) -> tuple[control.Start, dict[str, Any]]:
    """Start a site and wait until it is ready; the start, and `admin` (name, password) when this was the first.

    Refusal with the supervisor's one sentence when it cannot start; then nothing is left running.
    """
    try:
        home.create()
    except OSError as error:
        raise Refusal(
            "cannot_start",
            f"the home {home.root} cannot be written ({error.filename}: {error.strerror or error})",
            hint="choose another with DMS_HOME",
            status=500,
        ) from None
    os.environ["DMS_HOME"] = str(home.root)  # also when --home chose it: whatever starts from here uses it
    try:
        assets(say)
    except SetUpFault as fault:
        raise Refusal("cannot_start", str(fault)) from None
    started = control.start(home, bind, port, detach=detach)
    found: dict[str, Any] = {}
    try:
        _follow(home, started, found)
    except BaseException:
        _end(started)
        for line in admin_lines(found["admin"]) if found else []:
            say(line)  # the account is made, and this was the only time that its password is known
        raise
    return started, found


def _follow(home: Home, started: control.Start, found: dict[str, Any]) -> None:
    """Pass on what the supervisor reports until the site is ready."""
    for report in started.reports(NUMBERS.ready_timeout_s):
        if "progress" in report:
            say(report["progress"])
        if "admin" in report:
            found["admin"] = report["admin"]
        if "ready" in report:
            return
        if "fault" in report:
            raise Refusal("cannot_start", report["fault"], hint=report.get("hint", ""), status=500)
    raise Refusal(
        "cannot_start", "the supervisor ended", hint=f"see {home.path('log', 'supervisor.log')}", status=500
    )


def lacks(home: Home) -> list[Check]:
    """Return what this machine lacks, for the end of a start."""
    return [check for check in examine(home) if not check.ok]


def admin_lines(admin: dict[str, str]) -> list[str]:
    """Tell the first password, once, and what to do first."""
    return [
        f"admin name: {admin['name']}   password: {admin['password']}",
        "  (shown this once; ./dms user login-link lets you in without it)",
        "next: ./dms onboard --cpu 1 --ram 4GiB --disk 10GiB --no-gpu offers a part of this machine,",
        "  then ./dms deploy -f examples/hello.yaml --wait runs something on it",
    ]


def stay(
    home: Home, started: control.Start, notes: Sequence[str], missing: Sequence[Check], *, quiet: bool
) -> int:
    """Stay until the site ends or somebody presses Ctrl-C, with a screen unless `quiet`; its exit code."""

    def end(*_: Any) -> None:
        started.process.terminate()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    console = Console()
    if quiet:
        return started.process.wait()
    if not console.is_terminal:
        for line in [f"ready: {control.status(home)['url']}", *notes, *lines(missing)]:
            print(line, flush=True)  # noqa: T201
        return started.process.wait()
    shown: dict[str, Any] = {}
    console.print(remarks(missing, notes))
    with Live(console=console, auto_refresh=False, screen=False, vertical_overflow="visible") as live:
        while started.process.poll() is None:
            status = control.status(home)
            if status["processes"] and status != shown:
                shown = status
                live.update(screen(status), refresh=True)
            try:
                started.process.wait(REFRESH_S)
            except subprocess.TimeoutExpired:
                continue
    say("stopped")
    return started.process.returncode


def _end(started: control.Start) -> None:
    started.process.terminate()
    try:
        started.process.wait(control.STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        started.process.kill()
