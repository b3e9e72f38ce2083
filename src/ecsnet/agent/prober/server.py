"""The prober process: `python -m ecsnet.agent.prober.server SOCKET STATE` inside a world.

One batch at a time, one connection at a time (the agent's). It holds sockets in namespaces only while batches come, and
ends by itself when none has come for a while.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import socket
import sys
from pathlib import Path

import msgspec

from ecsnet import unixsocket
from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.agent.prober.engine import Engine
from ecsnet.framing import Frames, frame
from ecsnet.hostplan.probes import ProbeBatch

_LOOK = 0.05
"""Seconds between looks for namespaces that are gone, while sockets are open."""
_KEEP_SOCKETS = 1.0
_KEEP_RUNNING = 30.0
"""Seconds after the last batch."""


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    id: int
    batch: bytes
    """JSON of a ProbeBatch."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    id: int
    reports: bytes | None = None
    """JSON of its ProbeReports."""
    error: str | None = None


REPLIES = msgspec.msgpack.Decoder(Reply)
_REQUESTS = msgspec.msgpack.Decoder(Request)
_ENCODER = msgspec.msgpack.Encoder()
_BATCHES = msgspec.json.Decoder(ProbeBatch)
_LARGEST = 20_000
"""Probes of one batch; it must be answered within `detached.PATIENCE`."""


class Server:
    """Serves connections in turn until it has been idle for long enough."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._engine = Engine(NamespaceFiles())

    def run(self) -> None:
        idle = 0.0
        connection: socket.socket | None = None
        frames = Frames()
        while idle < _KEEP_RUNNING:
            watched = [self._listener] if connection is None else [self._listener, connection]
            readable, _, _ = select.select(watched, [], [], _LOOK if idle < _KEEP_SOCKETS else _KEEP_SOCKETS)
            if not readable:
                idle += _LOOK if idle < _KEEP_SOCKETS else _KEEP_SOCKETS
                self._rest(idle)
            elif self._listener in readable:
                if connection is not None:
                    connection.close()  # a new agent replaces a dead one
                connection, _ = self._listener.accept()
                frames = Frames()
            elif connection is not None:
                idle = 0.0
                if not self._serve(connection, frames):
                    connection.close()
                    connection = None
        self._engine.points.close()

    def _rest(self, idle: float) -> None:
        if idle >= _KEEP_SOCKETS:
            self._engine.points.close()
            gc.collect()
        else:
            self._engine.points.sweep()

    def _serve(self, connection: socket.socket, frames: Frames) -> bool:
        """Take in what came; False when the connection is over."""
        try:
            data = connection.recv(1 << 20)
            for body in frames.feed(data):
                connection.sendall(frame(_ENCODER.encode(self._carry_out(_REQUESTS.decode(body)))))
        except (OSError, ValueError, msgspec.DecodeError) as error:
            print(f"the agent was disconnected: {error}", file=sys.stderr, flush=True)
            return False
        return bool(data)

    def _carry_out(self, request: Request) -> Reply:
        try:
            batch = _BATCHES.decode(request.batch)
            if len(batch.probes) > _LARGEST:
                return Reply(id=request.id, error=f"{len(batch.probes)} probes are more than the {_LARGEST} of a batch")
            return Reply(id=request.id, reports=msgspec.json.encode(self._engine.run(batch)))
        except msgspec.DecodeError as error:
            return Reply(id=request.id, error=f"not a batch of probes: {error}")
        except OSError as error:
            return Reply(id=request.id, error=error.strerror or str(error))


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: python -m ecsnet.agent.prober.server SOCKET STATE", file=sys.stderr)
        return 2
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # A batch makes 100,000 objects and no cycles; looking for some in the middle costs a tenth.
    gc.disable()
    listener = unixsocket.listen(Path(arguments[0]))
    # Whoever started this process waits for the end of its standard output.
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    Server(listener).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
