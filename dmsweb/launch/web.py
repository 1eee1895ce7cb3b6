"""The web process: uvicorn on the listening socket that the supervisor holds (DMS_LISTEN_FD)."""

from __future__ import annotations

import os
import socket

import uvicorn

GRACE_S = 3


def main() -> None:
    """Serve until asked to stop; open requests get GRACE_S seconds, WebSockets are closed."""
    public = bool(os.environ.get("DMS_PUBLIC_URL"))
    config = uvicorn.Config(
        "dmsweb.asgi:application",
        lifespan="off",
        access_log=bool(os.environ.get("DMS_ACCESS_LOG")),
        # Django's settings configure logging: uvicorn's own would write lines of another form.
        log_config=None,
        log_level=os.environ.get("DMS_LOG_LEVEL", "info").lower(),
        server_header=False,
        # Only a proxy that the operator names (by default one on this machine) may say who the visitor is.
        proxy_headers=public,
        forwarded_allow_ips=os.environ.get("DMS_TRUSTED_PROXIES", "127.0.0.1,::1") if public else None,
        timeout_graceful_shutdown=GRACE_S,
    )
    config.load_app()
    from node.services import logger

    logger.start()
    listener = socket.socket(fileno=int(os.environ["DMS_LISTEN_FD"]))
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
