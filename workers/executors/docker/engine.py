"""Finding the container engine, talking to it with a time-out on every call, and saying why it cannot be used."""

from __future__ import annotations

import math
import os
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import urllib3
from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
from docker.utils import kwargs_from_env

from capabilities.numbers import NUMBERS
from workers.executors.base import Availability, Cause, ExecutorError

INSTALL_HINT = "Install Docker Engine (Debian: apt install docker.io) or Podman, or set DOCKER_HOST."


def candidates(environ: Mapping[str, str], uid: int) -> list[str]:
    """Return the addresses to try, best first; DOCKER_HOST, when set, is the only one."""
    host = environ.get("DOCKER_HOST")
    if host:
        return [host]
    runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    sockets = (
        "/var/run/docker.sock",
        f"{runtime}/docker.sock",
        "/run/podman/podman.sock",
        f"{runtime}/podman/podman.sock",
    )
    return [f"unix://{path}" for path in sockets]


def obstacle(address: str) -> Availability | None:
    """Return why the socket at `address` cannot be opened, or None; other kinds of address pass."""
    if not address.startswith("unix://"):
        return None
    path = Path(address.removeprefix("unix://"))
    try:
        mode = path.stat().st_mode
    except PermissionError:
        return Availability(False, f"no permission to reach {path}", "Let your user enter its folder.")
    except OSError:
        return Availability(False, f"no engine socket at {path}", INSTALL_HINT)
    if not stat.S_ISSOCK(mode):
        return Availability(False, f"{path} is not a socket", INSTALL_HINT)
    if not os.access(path, os.R_OK | os.W_OK):
        hint = "Add your user to the socket's group (docker: usermod -aG docker $USER) and log in again."
        return Availability(False, f"no permission to use {path}", hint)
    return None


class Engine:
    """One engine; safe to share between threads. A lost connection is made anew by the next call."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._lock = threading.Lock()
        self._client: APIClient | None = None
        self._pid = 0
        self._version = ""
        self.address = ""
        self._seen: tuple[float, Availability] | None = None

    def client(self) -> APIClient:
        """Return the connected SDK client; ExecutorError `engine_unreachable` says why there is none."""
        with self._lock:
            # A client made before a fork shares its sockets with the parent: replies would be mixed up.
            if self._client is None or self._pid != os.getpid():
                self._client = self._connect()
                self._pid = os.getpid()
            return self._client

    def availability(self) -> Availability:
        """Say whether the engine answers; the answer is remembered for `docker_availability_s`."""
        seen = self._seen
        if seen is not None and time.monotonic() - seen[0] < NUMBERS.docker_availability_s:
            return seen[1]
        try:
            client = self.client()
            timeout_s = NUMBERS.docker_probe_timeout_s
            client.get(self._url(client, "/_ping"), timeout=timeout_s).raise_for_status()
            answer = Availability(True, "the engine answers", version=self._version)
        except Unreachable as error:
            answer = error.availability
        except requests.RequestException as error:
            self.reset()
            hint = "Start the daemon (systemctl start docker) or look into its log."
            answer = Availability(False, f"the engine does not answer: {_words(error)}", hint)
        self._seen = (time.monotonic(), answer)
        return answer

    def reset(self) -> None:
        """Drop the client, so that the next call looks for the engine again."""
        with self._lock:
            self._client = None
        self._seen = None

    @contextmanager
    def errors(
        self,
        what: str,
        cause: Cause = Cause.START_FAILED,
        *,
        kept: tuple[type[Exception], ...] = (),
    ) -> Iterator[None]:
        """Turn whatever the SDK raises inside, less `kept`, into an `ExecutorError` that begins with `what`."""
        try:
            yield
        except kept:
            raise
        except APIError as error:
            raise ExecutorError(
                cause, f"{what}: {words(error)}", transient=error.is_server_error()
            ) from error
        except (requests.ConnectionError, requests.Timeout) as error:
            self.reset()
            raise unreachable(f"{what}: {error}") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise unreachable(f"{what}: the connection broke: {error}") from error
        except DockerException as error:
            raise ExecutorError(cause, f"{what}: {error}") from error

    def open(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any],
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        read_timeout_s: float | None = None,
    ) -> requests.Response:
        """Send a request and return its response with the body unread; `read_timeout_s` None waits for ever.

        Only for endless bodies, which the SDK's own methods cannot end early. Raises what the SDK raises.
        """
        client = self.client()
        response = client.request(
            method,
            self._url(client, path),
            params={name: value for name, value in params.items() if value is not None},
            headers=dict(headers or {}),
            data=data,
            stream=True,
            timeout=(NUMBERS.docker_timeout_s, read_timeout_s),
        )
        if response.status_code >= 400:
            try:
                message = str(response.json().get("message", ""))
            except ValueError:
                message = response.reason
            finally:
                response.close()
            kind = NotFound if response.status_code == 404 else APIError
            raise kind(message, response=response, explanation=message)
        return response

    def fetch(self, path: str, *, timeout_s: float, params: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON document at `path`, with a time-out of its own: for looks that must not wait long.

        Raises what the SDK raises.
        """
        client = self.client()
        response = client.get(self._url(client, path), params=dict(params or {}), timeout=timeout_s)
        if response.status_code >= 400:
            kind = NotFound if response.status_code == 404 else APIError
            raise kind(response.text, response=response, explanation=response.text)
        return response.json()

    @staticmethod
    def _url(client: APIClient, path: str) -> str:
        return f"{client.base_url}/v{client.api_version}{path}"

    def _connect(self) -> APIClient:
        problems: list[Availability] = []
        for address in candidates(self._environ, os.getuid()):
            problem = obstacle(address)
            if problem is None:
                try:
                    return self._open(address)
                except (requests.RequestException, DockerException) as error:
                    hint = "Start the daemon (systemctl start docker), or correct DOCKER_HOST."
                    problem = Availability(
                        False, f"the engine at {address} does not answer: {_words(error)}", hint
                    )
            problems.append(problem)
        # The most telling obstacle is one with a socket: "no permission" helps more than "none found".
        told = next((p for p in problems if not p.detail.startswith("no engine socket")), problems[0])
        raise Unreachable(told)

    def _open(self, address: str) -> APIClient:
        options = kwargs_from_env(dict(self._environ)) if self._environ.get("DOCKER_HOST") else {}
        client = APIClient(
            base_url=address,
            version="auto",
            timeout=math.ceil(NUMBERS.docker_probe_timeout_s),  # an engine that hangs is found out soon
            tls=options.get("tls") or False,
            max_pool_size=NUMBERS.docker_connections_max,
        )
        if address.startswith("unix://"):
            # Proxy variables and .netrc never apply to a socket, and reading them costs each call a millisecond.
            client.trust_env = False
        version = client.version()
        parts = [str(part.get("Name", "")) for part in version.get("Components") or ()]
        name = "Podman" if any("podman" in part.lower() for part in parts) else "Docker Engine"
        self._version = f"{name} {version.get('Version', '')}"
        client.timeout = math.ceil(NUMBERS.docker_timeout_s)
        self.address = address
        return client


class Unreachable(ExecutorError):
    """There is no engine to talk to; `availability` says why and how to mend it."""

    def __init__(self, availability: Availability) -> None:
        super().__init__(
            Cause.ENGINE_UNREACHABLE, f"{availability.detail}. {availability.hint}", transient=True
        )
        self.availability = availability


def unreachable(detail: str) -> ExecutorError:
    """Return the error for an engine that stopped answering."""
    return ExecutorError(Cause.ENGINE_UNREACHABLE, detail, transient=True)


def words(error: APIError) -> str:
    """Return the engine's own words without the SDK's frame around them."""
    return str(error.explanation or error)


def _words(error: BaseException) -> str:
    """Return what the machine said at the bottom of `error` ("connection refused"), else all of it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return str(error)
