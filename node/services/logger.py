"""The logger's settings as a row, and their way into every process: each looks at the row every few seconds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

from django.db import Error as DatabaseFault
from django.db import close_old_connections, transaction

from capabilities import custody
from capabilities.numbers import NUMBERS
from capabilities.refusal import Refusal
from node.logger.lines import Who
from node.logger.sending import SENDER
from node.logger.settings import LEVELS, LoggerConfig
from node.models import LoggerSettings, Node
from node.selectors import local_node
from node.services.machine import node_event

logger = logging.getLogger(__name__)
_started = threading.Lock()


def present(node: Node) -> tuple[LoggerConfig, int]:
    """Return what holds on the node, and its version; 0: as the environment says."""
    row = LoggerSettings.objects.filter(node=node).first()
    if row is None:
        return LoggerConfig(level=logging.getLevelName(logging.getLogger().level).lower()), 0
    key = custody.unseal_secret(bytes(row.sealed_api_key)).decode() if row.sealed_api_key else ""
    return (
        LoggerConfig(row.level, row.interval_s, row.url, row.elastic_enabled, row.apm_url, key),
        row.version,
    )


def change(node: Node, wanted: Mapping[str, Any], *, actor: str) -> LoggerConfig:
    """Change the settings as a whole or not at all: here at once, in other processes within seconds. Raises Refusal."""
    with transaction.atomic():
        # The node's row is the lock: two changes at once are made one after the other.
        Node.objects.select_for_update(of=("self",), no_key=True).get(pk=node.pk)
        before, version = present(node)
        new = before.changed(wanted)
        LoggerSettings.objects.update_or_create(
            node=node,
            defaults={
                "level": new.level,
                "interval_s": new.interval_s,
                "url": new.url,
                "elastic_enabled": new.elastic_enabled,
                "apm_url": new.apm_url,
                "sealed_api_key": custody.seal_secret(new.api_key.encode()) if new.api_key else None,
                "version": version + 1,
            },
        )
        text = f"logs at level {new.level}, sent to {new.target or 'nowhere'}"
        node_event(node, "logger", text, actor=actor)
    if Who.node in {"", node.identity.did}:
        apply(new)
    return new


def apply(config: LoggerConfig) -> None:
    """Let this process log as `config` says."""
    logging.getLogger().setLevel(LEVELS[config.level])
    SENDER.configure(config)


class Look(threading.Thread):
    """Looks at the row now and then, and applies it when it has changed."""

    def __init__(self) -> None:
        super().__init__(name="logger-settings", daemon=True)
        self.seen = 0
        self.stop = threading.Event()

    def run(self) -> None:
        """Go on until the process ends."""
        while True:
            self.once()
            close_old_connections()
            if self.stop.wait(NUMBERS.logger_look_s):
                return

    def once(self) -> None:
        """Look once; a database that is away, or a node that is not made yet, changes nothing."""
        try:
            node = local_node()
            Who.node = node.identity.did
            version = LoggerSettings.objects.filter(node=node).values_list("version", flat=True).first() or 0
            if version != self.seen:
                config, self.seen = present(node)
                apply(config)
        except (DatabaseFault, Refusal) as error:
            logger.debug("the logger's settings cannot be read: %s", error)


def start() -> Look | None:
    """Start looking, once in a process."""
    if not _started.acquire(blocking=False):
        return None
    look = Look()
    look.start()
    return look
