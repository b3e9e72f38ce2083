"""Publishes internet-facing load balancers on 127.0.0.1, so that a browser on this machine can open them.

Nothing but these connections' bytes crosses between host and world: control accepts them on loopback and hands them
to the agent's dial socket, which connects from the internet side of the world.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

from ecsnet.model.elbv2 import LoadBalancer
from ecsnet.model.tables import LISTENERS, LOAD_BALANCERS, OBSERVED_LOAD_BALANCERS
from ecsnet.store.snapshot import Snapshot
from ecsnet.store.store import Commit

_TABLES = {LISTENERS.name, LOAD_BALANCERS.name, OBSERVED_LOAD_BALANCERS.name}
_DIAL_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One load balancer port and the loopback port that leads to it."""

    name: str
    address: str
    port: int
    local_port: int


class LocalPorts:
    """One loopback listener per (internet-facing load balancer, listener port) that is in force."""

    def __init__(self, dial_socket: Path) -> None:
        self._dial = dial_socket
        self._open: dict[tuple[str, int], tuple[Published, asyncio.Server]] = {}
        self._lock = asyncio.Lock()

    @property
    def published(self) -> list[Published]:
        return [entry for entry, _ in self._open.values()]

    @staticmethod
    def concerns(commit: Commit) -> bool:
        return any(change.table in _TABLES for change in commit.changes)

    async def update(self, snapshot: Snapshot) -> None:
        """Open and close listeners so that they match the snapshot."""
        async with self._lock:
            wanted = {
                (balancer.arn, listener.port): balancer
                for listener in snapshot.rows(LISTENERS)
                if listener.protocol in ("HTTP", "TCP")
                if (balancer := snapshot.get(LOAD_BALANCERS, listener.load_balancer)) is not None
                if balancer.scheme == "internet-facing"
                if snapshot.get(OBSERVED_LOAD_BALANCERS, balancer.arn) is not None
            }
            for key in [key for key in self._open if key not in wanted]:
                self._open.pop(key)[1].close()
            for key, balancer in wanted.items():
                if key not in self._open:
                    self._open[key] = await self._listen(balancer, key[1])

    async def _listen(self, balancer: LoadBalancer, port: int) -> tuple[Published, asyncio.Server]:
        address = str(next(node.public_ip for node in balancer.nodes if node.public_ip is not None))

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(address, port, reader, writer)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        local = server.sockets[0].getsockname()[1]
        return Published(name=balancer.name, address=address, port=port, local_port=local), server

    async def _serve(self, address: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner_reader, inner_writer = await asyncio.open_unix_connection(str(self._dial))
        except OSError:
            writer.close()
            return
        request = {"netns": "internet", "host": address, "port": port, "timeout": _DIAL_TIMEOUT}
        try:
            inner_writer.write(json.dumps(request).encode() + b"\n")
            answer = json.loads(await inner_reader.readline() or b"{}")
            if answer.get("ok"):
                await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))
        except OSError:
            pass
        finally:
            inner_writer.close()
            writer.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
