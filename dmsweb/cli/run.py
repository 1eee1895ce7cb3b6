"""`run`: one command somewhere it fits, without a file: its log here, its exit code ours."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import click

from capabilities.refusal import Refusal
from deployments.ensemble.parse import parse
from dmsweb.cli.deployments import POLL_S, TERMINAL, pages
from dmsweb.cli.finite import Finite
from dmsweb.cli.following import Follower
from dmsweb.cli.output import EXIT_TIMED_OUT, reason_line
from dmsweb.cli.session import Session, verb
from dmsweb.cli.single import Single, Unclear

EXIT_OURS = 125  # what went wrong was not the command, as with `exec`
EXIT_INTERRUPTED = 130
CPU, RAM, DISK = 0.5, "256MiB", "512MiB"


@verb("run", help="Run one command and follow it: run IMAGE -- CMD..., or run --executor process -- CMD...")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[IMAGE] [-- CMD...]")
@click.option("--cpu", type=Finite(), default=CPU, show_default=True, help="Cores.")
@click.option("--ram", default=RAM, show_default=True, help="Memory; a bare number is GiB.")
@click.option("--disk", default=DISK, show_default=True, help="Disk; a bare number is GiB.")
@click.option("--gpu", "gpus", type=click.IntRange(0, 64), default=0, help="Number of GPUs.")
@click.option("--name", default="", help="What people see; default: the command.")
@click.option("--env", "-e", "environment", multiple=True, metavar="K=V", help="May be repeated.")
@click.option("--port", "-p", "ports", multiple=True, metavar="[PUB:]PRIV[/udp]", help="May be repeated.")
@click.option("--volume", "-v", "volumes", multiple=True, metavar="NAME:/path[:ro]", help="May be repeated.")
@click.option("--executor", type=click.Choice(["docker", "process"]), default="docker", show_default=True)
@click.option(
    "--rm/--keep", "remove", default=False, help="Delete it with its log at the end; default: keep."
)
@click.option("--detach", "-d", is_flag=True, help="Print the id and leave it running.")
@click.option("--timeout", type=Finite(0), default=None, help="Seconds; then it is shut down, exit code 3.")
def run(
    session: Session,
    words: tuple[str, ...],
    executor: str,
    remove: bool,
    detach: bool,
    timeout: float | None,
    **options: Any,
) -> None:
    """Deploy a task, pass on what it writes and end with its exit code."""
    if detach and (remove or timeout is not None):
        raise click.UsageError("--detach leaves it running: it takes neither --rm nor --timeout")
    image, command = _split(words, executor)
    try:
        ensemble = Single(executor=executor, image=image, command=command, **options).ensemble()
    except Unclear as fault:
        raise click.UsageError(str(fault)) from None
    try:
        text = literal(ensemble)
        parse(text).required()
        key = str(session.call("/dms/node/deployment/new", {"Ensemble": text})["EnsembleID"])
        if detach:
            answer = {"id": key, "status": "Preparing", "exit_code": None, "log": ""}
            session.show(answer, lambda out: out.line(key))
            return
        code = Watch(session, key, timeout).to_the_end(remove)
    except Refusal as refusal:
        if session.json:
            session.output.json(refusal.problem())
        session.output.problem(refusal.problem())
        code = EXIT_OURS
    session.exit(code)


def _split(words: tuple[str, ...], executor: str) -> tuple[str, tuple[str, ...]]:
    if executor == "process":
        if not words:
            raise click.UsageError("give the command: ./dms run --executor process -- CMD...")
        return "", words
    if not words:
        raise click.UsageError(
            "give an image: ./dms run IMAGE -- CMD..., or without Docker ./dms run --executor process -- CMD..."
        )
    return words[0], words[1:]


def literal(ensemble: dict[str, Any]) -> str:
    """Return the ensemble as JSON in which `${..}` is no placeholder: the shell has had its say already."""
    return json.dumps(ensemble).replace("${", "$${")


class Watch:
    """One run that is being followed: Ctrl-C shuts it down, a second one leaves it."""

    def __init__(self, session: Session, key: str, timeout_s: float | None) -> None:
        self.session = session
        self.key = key
        self.limit = None if timeout_s is None else time.monotonic() + timeout_s
        self.timeout_s = timeout_s
        self.followers: list[Follower] = []
        self.interrupts = 0
        self.timed_out = False
        self.said: set[str] = set()

    def to_the_end(self, remove: bool) -> int:
        """Follow until the deployment has ended; return the exit code."""
        while True:
            try:
                document = self._look()
                if document["status"] in TERMINAL:
                    break
                if self.limit is not None and time.monotonic() > self.limit and not self.timed_out:
                    self.timed_out = True
                    self.session.output.log(f"not done after {self.timeout_s:g} s: shutting down")
                    self._shut_down()
                time.sleep(POLL_S)
                if self.session.interrupted:
                    raise KeyboardInterrupt
            except KeyboardInterrupt:
                self.session.interrupted = False
                self.interrupts += 1
                if self.interrupts > 1:
                    self.session.output.log(f"left; ./dms show {self.key[:8]} shows what becomes of it")
                    return EXIT_INTERRUPTED
                self.session.output.log("shutting down; Ctrl-C again leaves it to itself")
                self._shut_down()
        return self._ended(document, remove)

    def _look(self) -> dict[str, Any]:
        document = self.session.get(f"/deployments/{self.key}/")
        if not self.followers:
            found = pages(self.session, "/allocations/", deployment=self.key)
            if found:
                lock = threading.Lock()
                self.followers = [
                    Follower(self.session, found[0]["id"], stream, lock) for stream in ("stdout", "stderr")
                ]
                for follower in self.followers:
                    follower.start()
        elif document["status"] == "Running" and "ports" not in self.said:
            self._say_ports()
        return document

    def _say_ports(self) -> None:
        self.said.add("ports")
        for item in pages(self.session, "/allocations/", deployment=self.key):
            for port in item["ports"]:
                self.session.output.log(
                    f"port {port['public']} leads to {port['private']}/{port['protocol']}"
                )

    def _shut_down(self) -> None:
        try:
            self.session.call("/dms/node/deployment/shutdown", {"ID": self.key})
        except Refusal as refusal:
            # It may have ended by itself in this moment; the next look says so.
            self.session.output.log(refusal.detail)

    def _ended(self, document: dict[str, Any], remove: bool) -> int:
        for follower in self.followers:
            follower.finish()
        found = pages(self.session, "/allocations/", deployment=self.key)
        exit_code = found[0]["exit_code"] if found else None
        code = self._code(document, exit_code)
        reasons = document["reasons"] if exit_code is None and document["status"] == "Failed" else []
        answer = {
            "id": self.key,
            "status": document["status"],
            "reason": document["reason"],
            "reasons": reasons,
            "exit_code": exit_code,
            "stdout": "",
            "stderr": "",
        }
        for follower in self.followers:
            answer[follower.stream] = b"".join(follower.chunks).decode("utf-8", "replace")
        answer["log"] = answer["stdout"] + answer["stderr"]
        self.session.show(answer, lambda out: None)
        if document["status"] == "Failed" and (exit_code is None or found[0]["reason"] != "exit_code"):
            self.session.output.problem({"detail": document["reason"] or "failed"})
            for line in dict.fromkeys(reason_line(reason) for reason in reasons):
                self.session.output.log(f"  - {line}")
        if remove:
            self._remove()
        return code

    def _code(self, document: dict[str, Any], exit_code: int | None) -> int:
        if self.timed_out:
            return EXIT_TIMED_OUT
        if self.interrupts:
            return EXIT_INTERRUPTED
        if exit_code is not None:
            # A signal's number may come as its negative.
            return exit_code if 0 <= exit_code <= 255 else 128 + abs(exit_code) % 128
        return 0 if document["status"] == "Completed" else EXIT_OURS

    def _remove(self) -> None:
        try:
            self.session.call("/dms/node/deployment/delete", {"ID": self.key})
        except Refusal as refusal:
            self.session.output.log(f"kept: {refusal.detail}")
