"""The HTTP server around the gateway: uvicorn with the settings that the gateway is measured with."""

from __future__ import annotations

import uvicorn

from ecsnet.aws.http import AsgiApp

KEEP_ALIVE = 120
"""Seconds that an idle connection is kept. SDKs keep theirs for long and complain when one is closed under them."""


def make_server(app: AsgiApp, *, host: str = "127.0.0.1", port: int = 4566) -> uvicorn.Server:
    """A server that does not run yet; `await server.serve()` runs it until `server.should_exit`. Port 0: a free one.

    `server.serve(sockets=[...])` serves on sockets that listen already instead of on `host` and `port`.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="uvloop",  # a tenth of a small call
            http="httptools",
            ws="websockets-sansio",
            ws_max_size=1 << 20,
            ws_ping_interval=None,  # over loopback a client that is gone shows; one that is stopped may go on later
            ws_per_message_deflate=False,
            lifespan="off",
            interface="asgi3",
            access_log=False,
            log_config=None,
            log_level="warning",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=2,
            limit_concurrency=1000,
        )
    )
