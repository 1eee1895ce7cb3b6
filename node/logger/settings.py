"""The settings of a node's logging: validated as a whole, with every fault at once. Pure."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

from capabilities.refusal import Reason, Refusal

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "fatal": logging.CRITICAL,
}
INTERVAL_MAX_S: Final = 3_600
URL_MAX: Final = 500
KEY_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class LoggerConfig:
    """What holds. `api_key` in the clear: never shown, never logged."""

    level: str = "info"
    interval_s: int = 5
    url: str = ""
    elastic_enabled: bool = False
    apm_url: str = ""
    api_key: str = ""

    @property
    def target(self) -> str:
        """Where lines are sent: the URL that takes them, empty for nowhere."""
        if self.apm_url:
            return (
                self.apm_url if self.apm_url.endswith("/v1/logs") else f"{self.apm_url.rstrip('/')}/v1/logs"
            )
        return f"{self.url.rstrip('/')}/_bulk" if self.elastic_enabled else ""

    @property
    def otlp(self) -> bool:
        """Whether the target speaks OTLP; otherwise it takes Elasticsearch's bulk requests."""
        return bool(self.apm_url)

    def changed(self, wanted: Mapping[str, Any]) -> LoggerConfig:
        """Return the settings with `wanted` (members that are None stay as they are); Refusal names every fault."""
        new = replace(self, **{name: value for name, value in wanted.items() if value is not None})
        new = replace(new, level=str(new.level).strip().lower())
        faults = list(_faults(new))
        if faults:
            raise Refusal(
                "invalid_request",
                "; ".join(f"{fault.path}: {fault.message}" for fault in faults),
                hint=faults[0].hint,
                reasons=tuple(faults),
            )
        return new


def _faults(config: LoggerConfig) -> list[Reason]:
    faults = []
    if config.level not in LEVELS:
        faults.append(_fault("level", f"{config.level[:40]!r} is no level", "one of " + ", ".join(LEVELS)))
    if not 1 <= config.interval_s <= INTERVAL_MAX_S:
        faults.append(
            _fault("interval", f"{config.interval_s} s is out of bounds", f"1 to {INTERVAL_MAX_S} seconds")
        )
    for name, url in (("url", config.url), ("apm_url", config.apm_url)):
        if url and (why := _bad_url(url)):
            faults.append(_fault(name, why, "such as https://logs.example.org:9200/dms"))
    if config.elastic_enabled and not config.url:
        faults.append(_fault("url", "elastic_enabled needs a url", "the index that takes lines"))
    if config.elastic_enabled and config.apm_url:
        faults.append(
            _fault(
                "apm_url", "lines go to one place: url with elastic_enabled, or apm_url", 'give "" for one'
            )
        )
    if len(config.api_key) > KEY_MAX or not config.api_key.isprintable() or not config.api_key.isascii():
        faults.append(_fault("api_key", "it cannot be sent in a header", f"up to {KEY_MAX} plain characters"))
    return faults


def _bad_url(url: str) -> str:
    if len(url) > URL_MAX or not url.isprintable() or " " in url:
        return "it is no address"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        return str(error)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return "it must begin with http:// or https:// and name a host"
    if parts.username or parts.password:
        return "it must hold no password: give api_key"
    if parts.query or parts.fragment:
        return "it must end with its path"
    return ""


def _fault(path: str, message: str, hint: str) -> Reason:
    return Reason("invalid", message, path, hint=hint)
