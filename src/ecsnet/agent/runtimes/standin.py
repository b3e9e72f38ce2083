"""The stand-in runtime, agent's side: starts the stand-in server when first needed, and talks to it."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from ecsnet import unixsocket
from ecsnet.agent.runtimes.runtime import Ended, Found, RuntimeName, WorkloadError
from ecsnet.agent.runtimes.standin_protocol import (
    ENCODER,
    REPLIES,
    Exit,
    Instance,
    List,
    Listing,
    Refused,
    Reply,
    Request,
    SetHealth,
    Start,
    Stop,
)
from ecsnet.framing import Frames, frame
from ecsnet.hostplan.workload import Workload

PATIENCE = 10.0
"""Seconds within which a new server must listen and any request must be answered."""


class StandInRuntime:
    """One connection to the stand-in server; requests from several threads may overlap.

    `ended` is told about containers that were made to exit; `lost` is called when the server has died.
    """

    def __init__(self, state: Path, *, ended: Ended, lost: Callable[[], None]) -> None:
        self._socket_path = state / "standin.sock"
        self._log_path = state / "standin.log"
        self._logs = state / "logs"
        self._ended = ended
        self._lost = lost
        self._lock = threading.Lock()
        self._connection: socket.socket | None = None
        self._next = 0
        self._replies: dict[int, Reply | None] = {}
        self._arrived = threading.Condition(self._lock)
        self._closing = False
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> RuntimeName:
        return "stand-in"

    def start(self, workload: Workload) -> str:
        self._ask(lambda number: Start(id=number, workload=workload))
        return _runtime_id(workload.key)

    def stop(self, key: str, timeout: float) -> Found | None:
        found = next((f for f in self.found() if f.key == key), None)
        if found is not None:
            self._ask(lambda number: Stop(id=number, key=key))
            return found if found.ended else Found(key=key, runtime_id=found.runtime_id, ended=True, exit_code=0)
        return None

    def found(self) -> Sequence[Found]:
        if not self._running():
            return ()
        reply = self._ask(lambda number: List(id=number))
        assert isinstance(reply, Listing)
        return tuple(_found(instance) for instance in reply.instances)

    def set_health(self, key: str, healthy: bool, path: str | None) -> None:
        """See `standin_protocol.SetHealth`. Raises WorkloadError when the container is not a running stand-in."""
        self._ask(lambda number: SetHealth(id=number, key=key, healthy=healthy, path=path))

    def exit(self, key: str, code: int) -> None:
        """Let a stand-in end by itself with an exit code. Raises WorkloadError."""
        self._ask(lambda number: Exit(id=number, key=key, code=code))
        self._ended(Found(key=key, runtime_id=_runtime_id(key), ended=True, exit_code=code))

    def close(self) -> None:
        with self._lock:
            self._closing = True
            if self._connection is not None:
                self._connection.shutdown(socket.SHUT_RDWR)

    def _running(self) -> bool:
        """Whether a server runs; connects to it if so."""
        with self._lock:
            return self._connection is not None or self._connect()

    def _ask(self, make: Callable[[int], Request]) -> Reply:
        with self._lock:
            if self._connection is None and not self._connect():
                self._launch()
            connection = self._connection
            if connection is None:
                raise WorkloadError(f"the stand-in server does not start; see {self._log_path}")
            self._next += 1
            number = self._next
            self._replies[number] = None
            try:
                connection.sendall(frame(ENCODER.encode(make(number))))
                self._arrived.wait_for(lambda: self._replies.get(number, self) is not None, PATIENCE)
            except OSError as error:
                raise WorkloadError(f"the stand-in server went away: {error}") from error
            finally:
                reply = self._replies.pop(number, None)
        if reply is None:
            raise WorkloadError("the stand-in server did not answer")
        if isinstance(reply, Refused):
            raise WorkloadError(reply.text)
        return reply

    def _connect(self) -> bool:
        try:
            connection = unixsocket.connect(self._socket_path)
        except OSError:
            return False
        self._connection = connection
        threading.Thread(target=self._read, args=(connection,), name="stand-in", daemon=True).start()
        return True

    def _launch(self) -> None:
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ecsnet.agent.runtimes.standin_server", self._socket_path, self._logs],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
        # The server closes its standard output once it listens.
        assert self._process.stdout is not None
        with self._process.stdout as ready:
            ready.read()
        self._connect()

    def _read(self, connection: socket.socket) -> None:
        frames = Frames()
        try:
            while data := connection.recv(65_536):
                for body in frames.feed(data):
                    reply = REPLIES.decode(body)
                    with self._lock:
                        if reply.id in self._replies:
                            self._replies[reply.id] = reply
                            self._arrived.notify_all()
        except OSError:
            pass  # the same as its orderly end
        with self._lock:
            self._connection = None
            self._replies.clear()
            self._arrived.notify_all()
            closing = self._closing
        connection.close()
        if not closing:
            self._lost()


def _runtime_id(key: str) -> str:
    return f"stand-in:{key.partition(':')[2].rpartition('/')[0].rpartition('/')[2]}/{key.rpartition('/')[2]}"


def _found(instance: Instance) -> Found:
    key = instance.workload.key
    return Found(
        key=key, runtime_id=_runtime_id(key), ended=instance.exit_code is not None, exit_code=instance.exit_code
    )
