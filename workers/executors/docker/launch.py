"""One start of a container: the shortest way first, mending what the engine says is missing."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from docker.errors import APIError, ImageNotFound, NotFound

from capabilities.numbers import NUMBERS
from workers.executors.base import LABEL, Cause, ExecutionRequest, ExecutorError
from workers.executors.docker import provision, spec
from workers.executors.docker.engine import Engine, words
from workers.executors.docker.gpu import gpu_options
from workers.executors.docker.network import Networks

APPEAR_TRIES = 100
APPEAR_PAUSE_S = 0.05
PORT_TAKEN = ("port is already allocated", "address already in use", "ports are not available")


class Launch:
    """Creates and starts the container of one request.

    1. Create, asking neither for the image nor for the network: the engine says when the image is missing,
       and only then it is obtained. A name in use means that the execution exists: it is adopted.
    2. Copy the provision scripts in, when there are any.
    3. Start. A network that has vanished since it was made is made again, once.
    A container that cannot be started is removed, so that the next try finds the name free.
    """

    def __init__(
        self,
        engine: Engine,
        networks: Networks,
        request: ExecutionRequest,
        *,
        bind_address: str,
        obtain_image: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._networks = networks
        self._request = request
        self._bind_address = bind_address
        self._obtain_image = obtain_image
        self._name = spec.container_name(request.node_did, request.execution_id)

    def run(self) -> None:
        """Do it; ExecutorError with a named cause when it cannot be done."""
        container = self._create_or_find()
        if container is None:
            return
        try:
            if self._request.scripts:
                with self._engine.errors("copying the provision scripts"):
                    self._engine.client().put_archive(
                        container, "/", provision.archive(self._request.scripts)
                    )
            if self._request.cancelled():
                raise ExecutorError(Cause.STOPPED, "cancelled before the start")
            self._start(container)
        except ExecutorError:
            self._discard(container)
            raise

    def _create_or_find(self) -> str | None:
        """Return the id of the container to be started, None when it has been started before.

        While another worker creates it, the engine has reserved its name but does not show it yet.
        """
        for _ in range(APPEAR_TRIES):
            created = self._create()
            if created is not None:
                return created
            with suppress(NotFound), self._engine.errors("adopting the container", kept=(NotFound,)):
                return self._existing()
            time.sleep(APPEAR_PAUSE_S)
        raise ExecutorError(Cause.START_FAILED, f"the name {self._name} is in use by a hidden container")

    def _create(self) -> str | None:
        """Return the new container's id, or None when the name is in use."""
        for attempt in (1, 2):
            with self._engine.errors("creating the container"):
                try:
                    document = self._document()
                    client = self._engine.client()
                    made = client.create_container_from_config(document, name=self._name)  # type: ignore[no-untyped-call]
                    return str(made["Id"])
                except ImageNotFound:
                    if attempt == 2:
                        raise
                except APIError as error:
                    if error.status_code == 409 and "already in use" in words(error):
                        return None
                    if error.status_code == 404 and "no such image" in words(error).casefold():
                        if attempt == 2:
                            raise
                    else:
                        raise
            self._obtain_image()
        raise ExecutorError(Cause.IMAGE_MISSING, "the image vanished after it was obtained", transient=True)

    def _document(self) -> dict[str, Any]:
        request = self._request
        network = "host" if spec.host_network(request) else self._networks.ensure(request.deployment_id)
        surroundings = spec.Surroundings(
            network=network,
            bind_address=self._bind_address,
            pids_max=NUMBERS.container_pids_max,
            log_max_bytes=NUMBERS.log_max_bytes,
            host_config=gpu_options(request.gpus),
        )
        entrypoint = None
        if request.scripts:
            # The wrapper takes the place of the image's entrypoint, so it has to know it.
            image = str(request.params.get("image") or "")
            found = self._engine.client().inspect_image(image)  # type: ignore[no-untyped-call]
            entrypoint = provision.wrapped(spec.command_line(request.params, found.get("Config") or {}))
        return spec.container(request, surroundings, entrypoint=entrypoint)

    def _start(self, container: str) -> None:
        with self._engine.errors("starting the container"):
            client = self._engine.client()
            try:
                client.start(container)
            except APIError as error:
                text = words(error)
                if error.status_code == 404 and "network" in text and "not found" in text:
                    self._networks.forget(self._request.deployment_id)
                    self._networks.ensure(self._request.deployment_id)
                    client.start(container)
                    return
                if any(mark in text for mark in PORT_TAKEN):
                    detail = f"a port is taken on this machine: {text}"
                    raise ExecutorError(Cause.START_FAILED, detail, transient=True) from error
                raise ExecutorError(Cause.START_FAILED, text) from error

    def _existing(self) -> str | None:
        """Return the id of the container of this name when it still has to be started, None when it ran.

        Copying the scripts and starting are repeated harmlessly, so that a worker that died in between, or
        one that is just doing the same, does not matter.
        """
        document = self._engine.client().inspect_container(self._name)
        marks = document["Config"].get("Labels") or {}
        if marks.get(f"{LABEL}.node") != self._request.node_did:
            detail = f"the container name {self._name} is taken by somebody else"
            raise ExecutorError(Cause.START_FAILED, detail)
        return str(document["Id"]) if document["State"].get("Status") == "created" else None

    def _discard(self, container: str) -> None:
        try:
            self._engine.client().remove_container(container, v=True, force=True)
        except (APIError, ExecutorError, OSError):
            # What stays behind carries the label and is found by the reconciliation.
            return
