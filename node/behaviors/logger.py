"""Behaviors of the node's logging. Names of fields are the reference's."""

from __future__ import annotations

from pydantic import Field

from node.logger.sending import QUEUE
from node.message import Empty, Message
from node.registry import Call, behavior
from node.services import logger


class LoggerConfigRequest(Message):
    """What is to change; members that are not given stay as they are."""

    interval: int | None = Field(
        default=None, description="Seconds between two sendings of lines, 1 to 3600."
    )
    url: str | None = Field(
        default=None, description="Elasticsearch index, such as https://host:9200/dms; with elastic_enabled."
    )
    level: str | None = Field(default=None, description="debug, info, warning, error or critical.")
    api_key: str | None = Field(
        default=None, description='Sent as "Authorization: ApiKey ..."; "" removes it.'
    )
    apm_url: str | None = Field(
        default=None, description='OTLP over HTTP, such as https://host:4318; lines go to /v1/logs. "": none.'
    )
    elastic_enabled: bool | None = Field(default=None, description="Send lines to url.")


class LoggerConfigResponse(Message):
    """Whether it holds now. A refusal names every fault, and then nothing has changed."""

    ok: bool = Field(alias="OK")
    error: str = ""


class LoggerStatusResponse(Message):
    """What holds, without the key, and how this process fares with it."""

    ok: bool = Field(default=True, alias="OK")
    level: str
    interval: int
    url: str
    apm_url: str
    elastic_enabled: bool
    api_key: str = Field(description="(set) or empty.")
    target: str = Field(description="Where lines go; empty: nowhere.")
    sent: int = Field(description="Lines sent by the answering process.")
    waiting: int
    dropped: int
    fault: str = Field(description="Why the last sending failed; empty when it did not.")


@behavior("/dms/node/logger/config", request=LoggerConfigRequest, response=LoggerConfigResponse, changes=True)
def logger_config(call: Call, request: LoggerConfigRequest) -> LoggerConfigResponse:
    """Change how the node's processes log and where lines are sent, as a whole or not at all."""
    wanted = request.model_dump()
    wanted["interval_s"] = wanted.pop("interval")
    logger.change(call.node, wanted, actor=call.invoker.did)
    return LoggerConfigResponse(ok=True)


@behavior("/dms/node/logger/status", request=Empty, response=LoggerStatusResponse)
def logger_status(call: Call, request: Empty) -> LoggerStatusResponse:
    """Say how the node's processes log and where lines are sent."""
    config, _ = logger.present(call.node)
    return LoggerStatusResponse(
        level=config.level,
        interval=config.interval_s,
        url=config.url,
        apm_url=config.apm_url,
        elastic_enabled=config.elastic_enabled,
        api_key="(set)" if config.api_key else "",
        target=config.target,
        sent=QUEUE.sent,
        waiting=len(QUEUE),
        dropped=QUEUE.dropped,
        fault=QUEUE.fault,
    )
