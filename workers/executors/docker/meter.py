"""What containers use: their control groups' files where this process may read them, else the engine's answer.

A container is looked up once; after that a reading takes no engine, so that one that hangs delays nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import requests
from docker.errors import DockerException, NotFound

from capabilities.numbers import NUMBERS
from workers.executors import groups
from workers.executors.base import ExecutorError, Stats
from workers.executors.disks import Disks
from workers.executors.docker.engine import Engine

logger = logging.getLogger(__name__)
FAULTS = (ExecutorError, DockerException, requests.RequestException, ValueError)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a running container is found: its id, its first process, whether its network is the host's."""

    container_id: str
    pid: int
    host_network: bool = False

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Place | None:
        """Return the place of an inspected container, None when it does not run."""
        state = document.get("State") or {}
        if not state.get("Running") or not state.get("Pid"):
            return None
        mode = (document.get("HostConfig") or {}).get("NetworkMode")
        return cls(str(document["Id"]), int(state["Pid"]), mode == "host")


class Meter:
    """Reads what containers use; remembers where each is, and what its disk held when that was measured."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._places: dict[str, Place] = {}
        self._failing = False
        self.disks = Disks()

    def read(self, containers: Mapping[str, str]) -> dict[str, Stats]:
        """Return what each of `containers` (key to name) uses; who does not run, or cannot be told, is left out."""
        where = groups.mounts()
        found = {key: told for key in containers if (told := self._from_files(key, where))}
        asked: dict[str, str] = {}
        try:
            for key in [key for key in containers if key not in found]:
                if not self._look_up(key, containers[key]):
                    continue
                told = self._from_files(key, where)
                if told:
                    found[key] = told
                else:
                    asked[key] = self._places[key].container_id
            found |= self._from_engine(asked)
            self._failing = False
        except FAULTS as error:
            # One silence is enough: what else is unknown waits for the next turn.
            if not self._failing:
                logger.warning("measuring containers: %s", error)
            self._failing = True
        return {key: replace(told, disk_used_bytes=self.disks.last(key)) for key, told in found.items()}

    def forget(self, key: str) -> None:
        """Let go of a container that is gone."""
        self._places.pop(key, None)
        self.disks.forget(key)

    def _look_up(self, key: str, name: str) -> bool:
        self._places.pop(key, None)
        try:
            document = self._engine.fetch(f"/containers/{name}/json", timeout_s=NUMBERS.stats_timeout_s)
        except NotFound:
            return False
        place = Place.of(document)
        if place is not None:
            self._places[key] = place
        return place is not None

    def _from_files(self, key: str, where: groups.Mounts) -> Stats | None:
        place = self._places.get(key)
        if place is None:
            return None
        folders = groups.folders_of(place.pid, place.container_id, where)
        told = groups.stats(folders) if folders else None
        if told is None or told.cpu_ns is None:
            return None
        if place.host_network:
            return told
        received, sent = groups.network(place.pid)
        return replace(told, rx_bytes=received, tx_bytes=sent)

    def _from_engine(self, asked: Mapping[str, str]) -> dict[str, Stats]:
        if not asked:
            return {}
        with ThreadPoolExecutor(NUMBERS.stats_asked_at_once, thread_name_prefix="stats") as pool:
            answers = {key: pool.submit(self._ask, container_id) for key, container_id in asked.items()}
            try:
                return {key: told for key, answer in answers.items() if (told := answer.result())}
            except FAULTS:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _ask(self, container_id: str) -> Stats | None:
        try:
            answer = self._engine.fetch(
                f"/containers/{container_id}/stats",
                params={"stream": "false", "one-shot": "true"},
                timeout_s=NUMBERS.stats_timeout_s,
            )
        except NotFound:
            return None
        return from_answer(answer)


def from_answer(answer: Mapping[str, Any]) -> Stats:
    """Return the figures of the engine's own answer."""
    memory = answer.get("memory_stats") or {}
    detail = memory.get("stats") or {}
    droppable = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    networks = (answer.get("networks") or {}).values()
    io = (answer.get("blkio_stats") or {}).get("io_service_bytes_recursive") or ()
    limit = memory.get("limit")
    return Stats(
        read_ns=time.monotonic_ns(),
        cpu_ns=((answer.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage"),
        ram_used_bytes=max(0, int(memory.get("usage") or 0) - int(droppable)),
        ram_limit_bytes=int(limit) if limit and int(limit) < groups.UNLIMITED else None,
        rx_bytes=sum(int(network["rx_bytes"]) for network in networks) if networks else None,
        tx_bytes=sum(int(network["tx_bytes"]) for network in networks) if networks else None,
        read_bytes=sum(int(entry["value"]) for entry in io if str(entry["op"]).lower() == "read"),
        written_bytes=sum(int(entry["value"]) for entry in io if str(entry["op"]).lower() == "write"),
        pids=int((answer.get("pids_stats") or {}).get("current") or 0),
    )
