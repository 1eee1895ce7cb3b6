"""The reserved image `dms.local/base:1`: built on the spot from what the machine has, so that no registry is needed.

It promises `sh`, the usual small tools, `wget -q -O - URL` and `httpd -f -p PORT -h FOLDER`. Where the machine
has busybox it is that alone; else the machine's shell, tools and Python with their shared libraries, and two
small stand-ins for wget and httpd. Limit wget by `timeout 5 wget ..`: Debian 12's busybox crashes on its `-T`.
"""

from __future__ import annotations

import json
import platform
import sys
from contextlib import suppress

from docker import APIClient
from docker.errors import APIError, DockerException, ImageNotFound

from workers.executors.base_image_files import Layer, busybox_layer, machine_layer

REPOSITORY = "dms.local/"
REFERENCE = "dms.local/base:1"
CONTENT_LABEL = "dms.content"
MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"


def ensure(client: APIClient, *, timeout_s: float) -> str:
    """Return the content hash of the base image, built and loaded when the engine has not exactly this one.

    The caller holds a lock. DockerException says why it cannot be built here.
    """
    layer = _layer(client)
    digest, old = layer.digest(), ""
    try:
        found = client.inspect_image(REFERENCE)  # type: ignore[no-untyped-call]
        if ((found.get("Config") or {}).get("Labels") or {}).get(CONTENT_LABEL) == digest:
            return digest
        old = str(found["Id"])
    except ImageNotFound:
        pass
    repository, _, tag = REFERENCE.rpartition(":")
    response = client.post(
        f"{client.base_url}/v{client.api_version}/images/create",
        params={
            "fromSrc": "-",
            "repo": repository,
            "tag": tag,
            "changes": [f"LABEL {CONTENT_LABEL}={digest}", f"ENV PATH={PATH}", 'CMD ["/bin/sh"]'],
        },
        data=layer.tar(),
        headers={"Content-Type": "application/tar"},
        timeout=timeout_s,
    )
    # A failure after the first byte comes as a line in a body with status 200.
    for line in response.text.splitlines():
        document = json.loads(line) if line.strip() else {}
        if "error" in document or not response.ok:
            raise DockerException(str(document.get("error") or document.get("message") or line))
    if old:
        with suppress(APIError):  # containers may still use it
            client.remove_image(old)
    return digest


def _layer(client: APIClient) -> Layer:
    version = client.version()
    here, there = MACHINES.get(platform.machine().lower(), platform.machine()), version.get("Arch")
    if sys.platform != "linux" or version.get("Os") != "linux" or here != there:
        raise DockerException(
            f"programs of this machine ({sys.platform}/{here}) do not run on the engine's "
            f"({version.get('Os')}/{there}); name an image of a registry instead of {REFERENCE}"
        )
    layer = busybox_layer() or machine_layer()
    if layer is None:
        raise DockerException(
            f"neither busybox nor a shell found to build {REFERENCE} from; install busybox-static"
        )
    return layer
