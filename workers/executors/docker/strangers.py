"""The engine's containers that are not this node's: looked at, never touched."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from docker.errors import NotFound

from capabilities.numbers import NUMBERS
from workers.executors import groups
from workers.executors.base import LABEL, Cause, Foreign
from workers.executors.docker.ending import moment
from workers.executors.docker.engine import Engine
from workers.executors.docker.meter import Place

logger = logging.getLogger(__name__)


class Strangers:
    """Lists other people's containers; the limits of each are asked for once, as they hardly ever change."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._documents: dict[tuple[str, str], Mapping[str, Any]] = {}

    def look(self, node_did: str) -> list[Foreign]:
        """Return the containers without the node's label, the running ones first and with what they use."""
        with self._engine.errors("listing containers", Cause.ENGINE_UNREACHABLE):
            listed = self._engine.fetch(
                "/containers/json", params={"all": "true"}, timeout_s=NUMBERS.docker_probe_timeout_s
            )
            others = [item for item in listed if (item.get("Labels") or {}).get(f"{LABEL}.node") != node_did]
            others.sort(key=lambda item: (item.get("State") != "running", -int(item.get("Created") or 0)))
            others = others[: NUMBERS.foreign_containers_max]
            known = self._documents
            self._documents = {}
            for item in others:
                key = (str(item["Id"]), str(item.get("State")))
                document = known.get(key) or self._inspect(key[0])
                if document is not None:
                    self._documents[key] = document
        where = groups.mounts()
        return [self._foreign(item, where) for item in others]

    def _inspect(self, container_id: str) -> Mapping[str, Any] | None:
        try:
            document: Mapping[str, Any] = self._engine.fetch(
                f"/containers/{container_id}/json", timeout_s=NUMBERS.stats_timeout_s
            )
        except NotFound:
            return None
        return document

    def _foreign(self, item: Mapping[str, Any], where: groups.Mounts) -> Foreign:
        container_id = str(item["Id"])
        key = (container_id, str(item.get("State")))
        document = self._documents.get(key)
        host = (document or {}).get("HostConfig") or {}
        place = Place.of(document) if document else None
        folders = groups.folders_of(place.pid, container_id, where) if place else None
        if place and folders is None:
            self._documents.pop(key)  # started again since it was looked at: look anew next time
        started = moment(str(((document or {}).get("State") or {}).get("StartedAt") or ""))
        created = datetime.fromtimestamp(int(item.get("Created") or 0), UTC)
        return Foreign(
            container_id=container_id,
            name=next(iter(item.get("Names") or ()), container_id[:12]).lstrip("/"),
            image=str(item.get("Image") or ""),
            state=str(item.get("State") or ""),
            since=started or created,
            cpu_limit_centicores=_centicores(host),
            ram_limit_bytes=int(host["Memory"]) if host.get("Memory") else None,
            stats=groups.stats(folders) if folders else None,
            other_node=f"{LABEL}.node" in (item.get("Labels") or {}),
        )


def _centicores(host: Mapping[str, Any]) -> int | None:
    """Return the CPU limit of a container's host configuration, None without one."""
    if host.get("NanoCpus"):
        return int(host["NanoCpus"]) // 10_000_000
    if host.get("CpuQuota") and int(host["CpuQuota"]) > 0:
        return int(host["CpuQuota"]) * 100 // int(host.get("CpuPeriod") or 100_000)
    return None
