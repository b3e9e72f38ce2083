"""One stand-in container: its listeners, its connections and what it answers."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec

from ecsnet.agent.http import Ends, HttpConnection, Request, Response
from ecsnet.agent.runtimes.standin_fetch import FetchError, fetch
from ecsnet.agent.runtimes.standin_sockets import TcpConnection, UdpEcho
from ecsnet.hostplan.workload import Workload
from ecsnet.netns import NamespaceThread

BACKLOG = 1024

_HEADERS = (("Server", "ecsnet-stand-in"),)

Sockets = tuple[socket.socket, ...]


def open_sockets(workload: Workload) -> Sockets:
    """Listening and datagram sockets for every declared port, in the calling thread's namespace.

    Raises OSError with a sentence that names the port.
    """
    made: list[socket.socket] = []
    try:
        for port in workload.ports:
            kind = socket.SOCK_STREAM if port.protocol == "tcp" else socket.SOCK_DGRAM
            # One socket for both families, as most servers have.
            opened = socket.socket(socket.AF_INET6, kind | socket.SOCK_NONBLOCK)
            made.append(opened)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            if port.protocol == "tcp":
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                opened.bind(("::", port.port))
            except OSError as error:
                where = f"{port.port}/{port.protocol}"
                raise OSError(error.errno, f"cannot listen on port {where}: {error.strerror}") from error
            if port.protocol == "tcp":
                opened.listen(BACKLOG)
    except OSError:
        for opened in made:
            opened.close()
        raise
    return tuple(made)


class StandIn:
    """Serves a container's ports. `log` takes one line (without its end) per request."""

    def __init__(self, workload: Workload, namespaces: NamespaceThread, log: Callable[[str], None]) -> None:
        self.workload = workload
        self.exit_code: int | None = None
        self._namespaces = namespaces
        self._log = log
        self._servers: list[asyncio.Server] = []
        self._datagrams: list[asyncio.DatagramTransport] = []
        self._connections: set[HttpConnection] = set()
        self._hosts = {name.lower(): address for address, name in reversed(workload.hosts)}
        self._unhealthy: set[str | None] = set()

    async def start(self) -> None:
        """Open the ports. Raises OSError when the namespace is missing or a port is taken."""
        loop = asyncio.get_running_loop()
        opened = await asyncio.wrap_future(
            self._namespaces.submit(self.workload.netns, lambda: open_sockets(self.workload))
        )
        for sock in opened:
            if sock.type == socket.SOCK_STREAM:
                server = await loop.create_server(
                    lambda: TcpConnection(self._answer, self._connections), sock=sock, backlog=BACKLOG
                )
                self._servers.append(server)
            else:
                transport, _ = await loop.create_datagram_endpoint(UdpEcho, sock=sock)
                self._datagrams.append(transport)
        ports = ", ".join(f"{port.port}/{port.protocol}" for port in self.workload.ports)
        self._log(f"stand-in for {self.workload.image} started, {f'listening on {ports}' if ports else 'no ports'}")

    def close(self, exit_code: int) -> None:
        """Close listeners and connections at once, as the kernel does when a process ends."""
        for server in self._servers:
            server.close()
        for transport in self._datagrams:
            transport.abort()
        for connection in tuple(self._connections):
            connection.abort()
        self._servers.clear()
        self._datagrams.clear()
        if self.exit_code is None:
            self.exit_code = exit_code
            self._log(f"stand-in ended with exit code {exit_code}")

    def set_health(self, healthy: bool, path: str | None) -> None:
        if not healthy:
            self._unhealthy.add(path)
        elif path is None:
            self._unhealthy.clear()
        else:
            self._unhealthy.discard(path)

    def is_healthy(self) -> bool:
        """Whether it has not been told to answer 503 on every path, and has not ended."""
        return None not in self._unhealthy and self.exit_code is None

    def _answer(self, request: Request, ends: Ends) -> Response | Awaitable[Response]:
        if request.path == "/fetch" and "url=" in request.query:
            return self._fetch(request, ends)
        status = 503 if self._unhealthy & {None, request.path} else 200
        return self._respond(request, ends, status, self._about(request, ends))

    def _about(self, request: Request, ends: Ends) -> dict[str, Any]:
        return {
            "runtime": "stand-in",
            **dict(self.workload.identity),
            "container": self.workload.container,
            "image": self.workload.image,
            "address": ends.address,
            "port": ends.port,
            "peer_address": ends.peer_address,
            "peer_port": ends.peer_port,
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "host": request.header("host"),
            "headers": dict(request.headers),
            "body_bytes": request.body_bytes,
        }

    async def _fetch(self, request: Request, ends: Ends) -> Response:
        url = parse_qs(request.query)["url"][0] if "url" in parse_qs(request.query) else ""
        about = self._about(request, ends)
        try:
            got = await fetch(url, self.workload.netns, self.workload.nameserver, self._hosts, self._namespaces)
        except FetchError as error:
            return self._respond(request, ends, 502, {**about, "fetch": {"url": url, "error": str(error)}})
        try:
            body: Any = msgspec.json.decode(got.body)
        except msgspec.DecodeError:
            body = got.body.decode("utf-8", "replace")
        result = {
            "url": url,
            "status": got.status,
            "resolved": got.resolved,
            "local_address": got.local_address,
            "remote_address": got.remote_address,
            "milliseconds": round(got.seconds * 1000, 1),
            "headers": dict(got.headers),
            "body": body,
        }
        return self._respond(request, ends, 200, {**about, "fetch": result})

    def _respond(self, request: Request, ends: Ends, status: int, about: Mapping[str, Any]) -> Response:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        shown = request.target.decode("latin-1").encode("unicode_escape").decode()
        self._log(f'{stamp} {ends.peer_address} "{request.method} {shown}" {status}')
        accept = request.header("accept") or ""
        if "text/plain" in accept or "text/html" in accept:
            lines = (f"{name}: {value}" for name, value in about.items() if name not in ("headers", "fetch"))
            fetched = (f"fetch: {about['fetch']}",) if "fetch" in about else ()
            text = "\n".join((*lines, *fetched)) + "\n"
            return Response(
                status=status, content_type="text/plain; charset=utf-8", body=text.encode(), headers=_HEADERS
            )
        body = msgspec.json.encode(about) + b"\n"
        return Response(status=status, content_type="application/json", body=body, headers=_HEADERS)
