"""HTTP servers inside network namespaces, on one thread with one asyncio loop for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Collection

from ecsnet.agent.driver import Namespaces
from ecsnet.agent.http import Handler, HttpConnection


class LinkLocalServers:
    """At most one server per namespace. Calls come from one thread; handlers run on the serving one."""

    def __init__(self, namespaces: Namespaces, name: str) -> None:
        self._namespaces = namespaces
        self._servers: dict[str, asyncio.Server] = {}
        self._connections: dict[str, set[HttpConnection]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    def listen(self, netns: str, address: str, port: int, handler: Handler) -> None:
        """Serve in a namespace, unless there is a server already. Raises OSError."""
        if netns in self._servers:
            return
        with self._namespaces.inside(netns):
            listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        with contextlib.ExitStack() as undo:
            undo.callback(listener.close)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            connections: set[HttpConnection] = set()

            async def serve() -> asyncio.Server:
                return await asyncio.get_running_loop().create_server(
                    lambda: HttpConnection(handler, connections), sock=listener
                )

            self._servers[netns] = asyncio.run_coroutine_threadsafe(serve(), self._loop).result()
            self._connections[netns] = connections
            undo.pop_all()

    def keep(self, namespaces: Collection[str]) -> None:
        """End the servers in all other namespaces."""
        for netns in self._servers.keys() - set(namespaces):
            self._stop(netns)

    def close(self) -> None:
        self.keep(())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _stop(self, netns: str) -> None:
        server, connections = self._servers.pop(netns), self._connections.pop(netns)

        async def stop() -> None:
            # Connections too: any socket keeps its namespace alive.
            server.close()
            for connection in tuple(connections):
                connection.abort()

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result()
