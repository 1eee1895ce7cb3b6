"""Log records as lines: one JSON object each, or text for people. Pure but for who this process is."""

from __future__ import annotations

import json
import logging
import os
from datetime import UTC, datetime
from typing import Any, Final

from node.logger.context import bound

MESSAGE_MAX: Final = 16_384
# What every record has; anything else was given as `extra`.
PLAIN: Final = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",  # uvicorn's second telling
}


class Who:
    """The process that writes: its name in the process table and, once it is known, its node."""

    process = os.environ.get("DMS_PROCESS", "cli")
    node = ""


def document(record: logging.LogRecord) -> dict[str, Any]:
    """Return the members of a line: time, level, logger, message, process, node, ids, what was given, exception."""
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": _bounded(record.getMessage()),
        "process": Who.process,
    }
    if Who.node:
        line["node"] = Who.node
    line |= bound()
    for name, value in vars(record).items():
        if name not in PLAIN and name not in line and not name.startswith("_"):
            line[name] = value if isinstance(value, int | float | bool | str) or value is None else str(value)
    if record.exc_info and record.exc_info[0] is not None:
        line["exception"] = _bounded(logging.Formatter().formatException(record.exc_info))
    return line


def _bounded(text: str) -> str:
    return text if len(text) <= MESSAGE_MAX else f"{text[:MESSAGE_MAX]} ... ({len(text)} characters)"


class JsonLines(logging.Formatter):
    """One JSON object a line, whatever the message holds."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return json.dumps(document(record), ensure_ascii=False, default=str)


class TextLines(logging.Formatter):
    """For a terminal: time, level, logger, message, and the ids behind it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of logging's hook
        """Return the first line, with the ids."""
        ids = " ".join(f"{name}={value[:16]}" for name, value in bound().items())
        text = super().formatMessage(record)
        return f"{text} [{ids}]" if ids else text


def plain(line: str) -> str:
    """Return what a line of either kind says to people: of JSON the message, with the end of its exception."""
    if not line.startswith("{"):
        return line
    try:
        found = json.loads(line)
        message, trace = str(found["message"]), str(found.get("exception", "")).strip().splitlines()
    except (ValueError, KeyError, TypeError):
        return line
    return f"{message}: {trace[-1]}" if trace else message
