"""The supervisor of one site: `python -m dmsweb.launch.supervisor --port 8765 --bind 127.0.0.1`.

1. Take the lock, look at the home, end what an earlier supervisor left, open the listening socket.
2. Start Redis and, beside it, `prepare` (migrations, keys, admin); it hands over the unlocked keys.
3. Start web and worker; each gets the keys through a pipe of its own, never by environment, argument or disk.
4. Ready when /readyz answers 200 and the worker has touched its file.
5. Until SIGTERM, SIGINT or SIGHUP: restart what dies with back-off, keep the process table and the logs.
6. TERM to all but Redis, KILL after the grace, Redis last.

One thread, standard library only: it waits in select() and costs next to nothing.
"""

from __future__ import annotations

import argparse
import os
import select
import shutil
import signal
import socket
import sys
import time
from typing import IO, Any

from capabilities.numbers import NUMBERS
from dmsweb.home import Home
from dmsweb.launch import recipes, table
from dmsweb.launch.broker import broker_answers
from dmsweb.launch.child import Child, own_parent_death_signal
from dmsweb.launch.fault import StartFault
from dmsweb.launch.listen import listening, reachable, site_url
from dmsweb.launch.preparing import Preparing
from dmsweb.launch.ready import Question
from dmsweb.launch.report import Report
from dmsweb.launch.rotate import last_line, rotate

TICK_STARTING_S = 0.05
TICK_S = 1.0
ROTATE_EVERY_S = 30.0


class Supervisor:
    """See the module's docstring."""

    def __init__(self, home: Home, bind: str, port: int, report: Report) -> None:
        self.home, self.bind, self.report = home, bind, report
        self.asked_port = port
        self.port = 0
        self.children: list[Child] = []
        self.keys: dict[str, str] = {}
        self.identity: dict[str, str] = {}
        self.stopping = False
        self.ready = False
        self._listener: socket.socket
        self._lock: IO[str] | None = None
        self._preparing: Preparing | None = None
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._rotated_at = 0.0

    def run(self) -> int:
        """Run the site until asked to stop; the process' exit code."""
        try:
            self._open()
            self._start()
            self._watch()
        except StartFault as fault:
            self.report.say(fault=fault.detail, hint=fault.hint)
            print(f"{fault.detail}: {fault.hint}" if fault.hint else fault.detail, file=sys.stderr)  # noqa: T201
            return 1
        finally:
            self._stop()
        return 0

    def _open(self) -> None:
        try:
            self.home.create()
        except OSError as error:
            raise StartFault(
                f"the home {self.home.root} cannot be written ({error.filename}: {error.strerror or error})",
                "choose another with DMS_HOME",
            ) from None
        self._lock = table.take_lock(self.home)
        if self._lock is None:
            raise StartFault(f"the site in {self.home.root} already runs", "./dms down stops it")
        free = shutil.disk_usage(self.home.root).free
        if free < NUMBERS.home_min_free_bytes:
            raise StartFault(
                f"only {free >> 20} MiB are free on the disk of {self.home.root}",
                f"free at least {NUMBERS.home_min_free_bytes >> 20} MiB or choose another DMS_HOME",
            )
        table.end_leftovers(self.home)
        recipes.alive_file(self.home).unlink(missing_ok=True)
        remembered = int(table.read_json(self.home.path("run", "last.json")).get("port", 0))
        self._listener = listening(self.bind, self.asked_port, remembered)
        self.port = self._listener.getsockname()[1]
        self._catch_signals()

    def _catch_signals(self) -> None:
        for end in (self._wake_reader, self._wake_writer):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only wakes select()

    def _ask_to_stop(self, *_: Any) -> None:
        self.stopping = True

    def _start(self) -> None:
        # Counters begin anew with the site; they must exist before the first process counts.
        shutil.rmtree(recipes.metrics_folder(self.home), ignore_errors=True)
        recipes.metrics_folder(self.home).mkdir(mode=0o700)
        environment = recipes.site_environment(self.home, self.bind, self.port)
        self._preparing = Preparing(self.home, environment, lambda text: self.report.say(progress=text))
        broker = recipes.broker_recipe(self.home, environment)
        if broker:
            self.children.append(Child(broker))
        self._launch_waiting()
        while not self.stopping:
            prepared = self._preparing.poll()
            if prepared and self._broker_ready():
                break
            self._wait(TICK_STARTING_S, self._preparing.reader if not prepared else None)
            self._look_after()
        if self.stopping or self._preparing.result is None:
            return
        result = self._preparing.result
        self.keys = result["keys"]
        self.identity = {name: result[name] for name in ("did", "peer_id", "node_id")}
        if result["admin_password"]:
            self.report.say(admin={"name": "admin", "password": result["admin_password"]})
        self._preparing = None
        self.children.append(Child(recipes.web_recipe(self.home, environment, self._listener)))
        self.children.append(Child(recipes.worker_recipe(self.home, environment, self.identity["node_id"])))
        self._launch_waiting()
        self.report.say(progress="starting web and worker")
        self._describe()

    def _launch_waiting(self) -> None:
        for child in self.children:
            if child.state == "waiting":
                child.start(time.monotonic(), self.keys)
        self._save()

    def _broker_ready(self) -> bool:
        child = self._child("redis")
        if child and child.state == "starting" and broker_answers(self.home):
            child.state = "running"
            self._save()
        return child is None or child.state == "running"

    def _watch(self) -> None:
        question = Question(reachable(self.bind), self.port)
        while not self.stopping:
            self._look_after()
            self._broker_ready()
            starting = self._follow_starts(question)
            if not self.ready and not starting:
                self.ready = True
                self._describe()
                self.report.say(ready=site_url(self.bind, self.port))
                self.report.close()
            self._wait(TICK_STARTING_S if starting else TICK_S)
        question.close()

    def _follow_starts(self, question: Question) -> bool:
        """Move web and worker from starting to running; True while one is on its way."""
        web, worker = self._child("web"), self._child("worker")
        if web and web.state == "starting" and question.answered(time.monotonic()):
            web.state = "running"
            self._save()
        if worker and worker.state == "starting" and self._alive_since(worker):
            worker.state = "running"
            self._save()
        return any(child.state != "running" for child in self.children)

    def _alive_since(self, worker: Child) -> bool:
        try:
            text = recipes.alive_file(self.home).read_text()
        except OSError:
            return False
        return text.strip() == str(worker.pid)

    def _look_after(self) -> None:
        now = time.monotonic()
        changed = False
        for child in self.children:
            if child.poll(now):
                changed = True
                if not self.ready and child.restarts >= NUMBERS.restart_first_start_max:
                    log = child.recipe.log
                    raise StartFault(f"{child.recipe.name} does not start ({last_line(log)})", f"see {log}")
            if child.due(now):
                child.start(now, self.keys)
                changed = True
        if changed:
            self._save()
        if now - self._rotated_at > ROTATE_EVERY_S:
            self._rotated_at = now
            for log in self.home.path("log").glob("*.log"):
                rotate(log, NUMBERS.process_log_max_bytes)

    def _child(self, name: str) -> Child | None:
        return next((child for child in self.children if child.recipe.name == name), None)

    def _wait(self, seconds: float, *readers: int | None) -> None:
        wanted = [self._wake_reader.fileno(), *(reader for reader in readers if reader is not None)]
        select.select(wanted, [], [], seconds)
        try:
            while self._wake_reader.recv(512):
                pass
        except BlockingIOError:
            pass

    def _describe(self) -> None:
        site = {
            "url": site_url(self.bind, self.port),
            "port": self.port,
            "bind": self.bind,
            "pid": os.getpid(),
        }
        table.write_json(self.home.path("run", "site.json"), {**site, "ready": self.ready, **self.identity})
        table.write_json(
            self.home.path("run", "last.json"), {"port": self.port, "bind": self.bind, **self.identity}
        )

    def _save(self) -> None:
        own = {"name": "supervisor", "pid": os.getpid(), "state": "running", "restarts": 0, "last_exit": None}
        processes = [{**own, "start_ticks": None}, *(child.document() for child in self.children)]
        table.write_json(self.home.path("run", "processes.json"), {"processes": processes})

    def _stop(self) -> None:
        if self._lock is None:
            return
        if self._preparing is not None:
            self._preparing.stop()
        broker = self._child("redis")
        self._end([child for child in self.children if child is not broker], NUMBERS.stop_grace_s)
        self._end([broker] if broker else [], 1.0)
        self.home.path("run", "site.json").unlink(missing_ok=True)
        table.write_json(
            self.home.path("run", "processes.json"),
            {"processes": [child.document() for child in self.children]},
        )
        self.report.close()
        self._lock.close()

    def _end(self, children: list[Child], grace_s: float) -> None:
        for child in children:
            child.terminate()
        until = time.monotonic() + grace_s
        while time.monotonic() < until:
            left = [child for child in children if not child.gone()]
            if not left:
                return
            self._wait(0.1)
        for child in children:
            process = child.process
            child.kill()
            if process is not None:
                process.wait()
            child.gone()


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="dmsweb.launch.supervisor")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--bind", default="127.0.0.1")
    parser.add_argument("--report-fd", type=int)
    parser.add_argument("--follow-parent", action="store_true")
    arguments = parser.parse_args()
    own_parent_death_signal(lambda: arguments.follow_parent)
    supervisor = Supervisor(
        Home.from_environment(), arguments.bind, arguments.port, Report(arguments.report_fd)
    )
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
