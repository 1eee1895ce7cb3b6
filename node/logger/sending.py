"""Where log lines are sent: a bounded queue that drops the oldest, and batches over HTTP.

Nothing that logs ever waits here. A target that does not answer is asked again with a growing pause; what is
dropped meanwhile is counted and said once it answers. Lines of the way itself (httpx, this module) are not sent.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import deque
from typing import Any, Final

import httpx

from capabilities.numbers import NUMBERS
from node.logger.lines import Who, document
from node.logger.settings import LoggerConfig

logger = logging.getLogger(__name__)
OWN: Final = ("httpx", "httpcore", __name__)
# https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber
SEVERITY: Final = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21}


class Queue(logging.Handler):
    """Keeps the newest lines for the sender; counts what it had to drop."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: deque[dict[str, Any]] = deque(maxlen=NUMBERS.logger_queue_max)
        self.dropped = 0
        self.sent = 0
        self.fault = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line; never raises, never waits."""
        if record.name.startswith(OWN):
            return
        try:
            line = document(record)
        except Exception:  # noqa: BLE001 - a message that cannot be formatted: the other handler says so
            return
        if len(self._lines) == self._lines.maxlen:
            self.dropped += 1
        self._lines.append(line)

    def take(self, most: int) -> list[dict[str, Any]]:
        """Take the oldest lines out."""
        found: list[dict[str, Any]] = []
        while self._lines and len(found) < most:
            try:
                found.append(self._lines.popleft())
            except IndexError:  # somebody else was quicker
                break
        return found

    def put_back(self, lines: list[dict[str, Any]]) -> None:
        """Keep for the next try what could not be sent, as far as there is room."""
        room = max(0, (self._lines.maxlen or 0) - len(self._lines))
        kept = lines[len(lines) - room :] if room < len(lines) else lines
        self.dropped += len(lines) - len(kept)
        self._lines.extendleft(reversed(kept))

    def __len__(self) -> int:
        return len(self._lines)


QUEUE = Queue()


class Sender:
    """Sends what waits, every `interval_s`, from a thread of its own; `configure` changes where to, at once."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._config = LoggerConfig()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def configure(self, config: LoggerConfig) -> None:
        """Send to another place, or nowhere, from now on."""
        root = logging.getLogger()
        with self._wake:
            self._config = config
            self._wake.notify_all()
            if not config.target:
                root.removeHandler(self._queue)
                self._queue.take(NUMBERS.logger_queue_max)
                return
            if self._queue not in root.handlers:
                root.addHandler(self._queue)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="log-sender", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        pause = 0.0
        told = 0
        while True:
            with self._wake:
                config = self._config
                # A change of the settings ends the wait, and with it the pause of the place before.
                if self._wake.wait(pause or config.interval_s):
                    pause = 0.0
                    continue
            if not config.target or not len(self._queue):
                continue
            fault = self._send(config)
            self._queue.fault = fault
            if fault:
                if not pause:
                    logger.warning("log lines cannot be sent to %s: %s", config.target, fault)
                pause = min(max(1.0, pause * 2), NUMBERS.logger_backoff_max_s)
                continue
            pause = 0.0
            if self._queue.dropped > told:
                logger.warning(
                    "%d log lines were dropped before they could be sent", self._queue.dropped - told
                )
                told = self._queue.dropped

    def _send(self, config: LoggerConfig) -> str:
        """Send everything that waits; return why it could not be done, empty when it was."""
        headers = {"Authorization": f"ApiKey {config.api_key}"} if config.api_key else {}
        try:
            with httpx.Client(timeout=NUMBERS.logger_timeout_s, headers=headers, trust_env=False) as client:
                while lines := self._queue.take(NUMBERS.logger_batch_max):
                    try:
                        answer = client.post(config.target, **body(config, lines))
                    except BaseException:
                        self._queue.put_back(lines)
                        raise
                    if answer.is_success:
                        self._queue.sent += len(lines)
                        continue
                    if answer.status_code in {408, 429} or answer.is_server_error:
                        self._queue.put_back(lines)
                    else:
                        self._queue.dropped += len(lines)  # it would refuse them again
                    return f"it answered {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return f"{type(error).__name__}: {error}"[:200]
        return ""


SENDER = Sender(QUEUE)


def body(config: LoggerConfig, lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what httpx needs to post the lines in the target's format."""
    if config.otlp:
        return {"json": otlp(lines)}
    text = "".join(f'{{"index":{{}}}}\n{json.dumps(line | {"@timestamp": line["time"]})}\n' for line in lines)
    return {"content": text.encode(), "headers": {"Content-Type": "application/x-ndjson"}}


def otlp(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """Return an ExportLogsServiceRequest in OTLP's JSON.

    https://opentelemetry.io/docs/specs/otlp/#otlphttp
    """
    resource = {"service.name": "dmsweb", "dms.process": Who.process, "dms.node": Who.node}
    return {
        "resourceLogs": [
            {
                "resource": {"attributes": _attributes(resource)},
                "scopeLogs": [{"scope": {"name": "dmsweb"}, "logRecords": [_record(line) for line in lines]}],
            }
        ]
    }


def _record(line: dict[str, Any]) -> dict[str, Any]:
    from datetime import datetime

    moment = datetime.fromisoformat(line["time"])
    rest = {
        name: value
        for name, value in line.items()
        if name not in {"time", "level", "message", "process", "node"} and value is not None
    }
    return {
        "timeUnixNano": str(int(moment.timestamp() * 1_000) * 1_000_000),
        "observedTimeUnixNano": str(time.time_ns()),
        "severityNumber": SEVERITY.get(line["level"], 9),
        "severityText": line["level"].upper(),
        "body": {"stringValue": line["message"]},
        "attributes": _attributes(rest),
    }


def _attributes(members: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": {"stringValue": str(value)}} for name, value in members.items()]
