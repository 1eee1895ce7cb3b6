"""Getting an image: pulled with progress, cancellable, or built on the spot for the reserved name."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from docker.auth import get_config_header, resolve_repository_name
from docker.errors import APIError
from docker.utils import parse_repository_tag

from capabilities.numbers import NUMBERS
from workers.executors import base_image
from workers.executors.base import Cause, ExecutorError
from workers.executors.docker.engine import Engine, words
from workers.executors.docker.network import locked
from workers.executors.docker.pulling import Progress, failure
from workers.executors.docker.streams import json_lines, pumped


def obtain(
    engine: Engine,
    image: str,
    *,
    lock_path: Path,
    timeout_s: float,
    progress: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> None:
    """Make sure that the engine has `image`; ExecutorError with a named cause, `stopped` when cancelled."""
    if image.startswith(base_image.REPOSITORY):
        if image != base_image.REFERENCE:
            detail = f"image {image} does not exist; the only reserved image is {base_image.REFERENCE}"
            raise ExecutorError(Cause.IMAGE_MISSING, detail)
        progress("image being built")
        with locked(lock_path), engine.errors(f"building {image}", Cause.IMAGE_MISSING):
            base_image.ensure(engine.client(), timeout_s=timeout_s)
        return
    progress("image 0 %")
    pull(engine, image, timeout_s=timeout_s, progress=progress, cancelled=cancelled)
    progress("image 100 %")


def pull(
    engine: Engine,
    image: str,
    *,
    timeout_s: float,
    progress: Callable[[str], None],
    cancelled: Callable[[], bool],
    retry_s: float = NUMBERS.docker_pull_retry_s,
) -> None:
    """Pull `image` with the operator's credentials for its registry, if there are any.

    The engine would try a registry that has died for more than a minute; `retry_s` is how long it may.
    """
    deadline = time.monotonic() + timeout_s
    told = (0, time.monotonic())
    lost_at: float | None = None  # since when the engine cannot go on
    repository, tag = parse_repository_tag(image)
    seen = Progress()

    def tell(percent: int) -> None:
        nonlocal told
        told = (percent, time.monotonic())
        progress(f"image {percent} %")

    def stopped() -> bool:
        now = time.monotonic()
        if now > told[1] + NUMBERS.docker_progress_s:
            tell(told[0])  # a sign of life: who waits for this holds a lease
        return now > deadline or (lost_at is not None and now > lost_at + retry_s) or cancelled()

    with engine.errors(f"pulling {image}"):
        try:
            # The engine ends a pull whose requester has gone, so cutting the stream is the cancellation.
            response = engine.open(
                "POST",
                "/images/create",
                params={"fromImage": repository, "tag": tag or "latest"},
                headers=_credentials(engine, repository),
                read_timeout_s=timeout_s,
            )
        except APIError as error:
            raise failure(image, words(error)) from error
        for event in pumped(response, json_lines(response), stopped):
            if "error" in event:
                raise failure(image, str(event["error"]))
            percent = seen.feed(event)
            lost_at = (lost_at or time.monotonic()) if seen.retrying else None
            if percent is not None:
                tell(percent)
    if cancelled():
        raise ExecutorError(Cause.STOPPED, f"cancelled while pulling {image}")
    if lost_at is not None and time.monotonic() > lost_at + retry_s:
        detail = f"the registry of {image} has stopped answering: {seen.last}"
        raise ExecutorError(Cause.REGISTRY_UNREACHABLE, detail, transient=True)
    if time.monotonic() > deadline:
        detail = f"pulling {image} took longer than {timeout_s:g} s; it stood at {seen.last!r}"
        raise ExecutorError(Cause.REGISTRY_UNREACHABLE, detail, transient=True)


def _credentials(engine: Engine, repository: str) -> dict[str, str]:
    client = engine.client()
    client.reload_config()  # the operator may have logged in since
    registry, _ = resolve_repository_name(repository)
    header = get_config_header(client, registry)
    if header is None:
        return {}
    return {"X-Registry-Auth": header if isinstance(header, str) else header.decode()}
