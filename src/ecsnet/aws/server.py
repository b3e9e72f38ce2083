"""The HTTP server around the gateway: uvicorn with the settings that the gateway is measured with."""

from __future__ import annotations

import asyncio
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ecsnet.aws.http import AsgiApp

KEEP_ALIVE = 120
"""Seconds that an idle connection is kept. SDKs keep theirs for long and complain when one is closed under them."""


class _JoinedWrites:
    """A transport that sends a reply with one system call, or as much of it as one turn of the event loop writes.

    uvicorn writes head and body of a reply apart: two system calls, and a client that is woken twice (0.06 ms of the
    0.6 ms of a small reply).
    """

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(data)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def flush(self) -> None:
        if self._held:
            held, self._held = self._held, []
            self._transport.write(b"".join(held))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Protocol(HttpToolsProtocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._joined = _JoinedWrites(transport, self.loop)
        super().connection_made(self._joined)  # type: ignore[arg-type]

    def on_response_complete(self) -> None:
        # At once: what there is to do after a reply is done while the client reads it.
        self._joined.flush()
        super().on_response_complete()


def make_server(app: AsgiApp, *, host: str = "127.0.0.1", port: int = 4566) -> uvicorn.Server:
    """A server that does not run yet; `await server.serve()` runs it until `server.should_exit`. Port 0: a free one.

    `server.serve(sockets=[...])` serves on sockets that listen already instead of on `host` and `port`.
    """
    return uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            loop="asyncio",  # uvloop gains nothing measurable here
            http=_Protocol,
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
