"""The supervisor's side of the prepare child: started once, read without blocking, its result in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from dmsweb.home import Home
from dmsweb.launch.fault import StartFault
from dmsweb.launch.rotate import last_line


class Preparing:
    """One run of `dmsweb.launch.prepare_child`."""

    def __init__(self, home: Home, environment: dict[str, str], progress: Callable[[str], None]) -> None:
        self._progress = progress
        self._log = home.path("log", "prepare.log")
        self._buffer = b""
        self.result: dict[str, Any] | None = None
        reader, writer = os.pipe()
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "dmsweb.launch.prepare_child"],
                env={**os.environ, **environment, "DMS_RESULT_FD": str(writer)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(writer,),
                process_group=0,
            )
        os.close(writer)
        os.set_blocking(reader, False)
        self.reader = reader

    def poll(self) -> bool:
        """Read what has come; True once the result is there. StartFault when preparing failed."""
        if self.result is not None:
            return True
        try:
            while chunk := os.read(self.reader, 65536):
                self._buffer += chunk
        except BlockingIOError:
            return self._take_lines()
        if self._take_lines():
            return True
        code = self.process.wait()
        raise StartFault(
            f"preparing the site failed ({last_line(self._log) or f'exit {code}'})",
            f"the whole story is in {self._log}",
        )

    def stop(self) -> None:
        """End a run that is still under way."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _take_lines(self) -> bool:
        *lines, self._buffer = self._buffer.split(b"\n")
        for line in lines:
            document = json.loads(line)
            if "fault" in document:
                self.process.wait()
                raise StartFault(document["fault"], document.get("hint", ""))
            if "progress" in document:
                self._progress(document["progress"])
            if "done" in document:
                self.result = document["done"]
                self.process.wait()
                os.close(self.reader)
        return self.result is not None
