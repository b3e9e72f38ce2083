"""A server process that the agent starts detached, talks to by frames, and finds again after its own restart."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import msgspec

from ecsnet import unixsocket
from ecsnet.framing import Frames, frame

PATIENCE = 10.0
"""Seconds within which any request must be answered."""


class Numbered(Protocol):
    @property
    def id(self) -> int: ...


Request = TypeVar("Request")
Reply = TypeVar("Reply", bound=Numbered)

_ENCODER = msgspec.msgpack.Encoder()


class DetachedError(Exception):
    """The server does not start, went away or does not answer; the text is one sentence."""


class DetachedServer(Generic[Request, Reply]):
    """One connection to a server process; requests from several threads may overlap.

    `module` is run as `python -m module SOCKET ARGUMENT` and closes its standard output once it listens at SOCKET. It
    is found again by its socket. `lost` is called on a thread of its own when a server has died.
    """

    def __init__(
        self,
        module: str,
        *,
        socket_path: Path,
        argument: Path,
        log_path: Path,
        replies: msgspec.msgpack.Decoder[Reply],
        lost: Callable[[], None],
    ) -> None:
        self._module = module
        self._socket_path = socket_path
        self._argument = argument
        self._log_path = log_path
        self._decoder = replies
        self._lost = lost
        self._arrived = threading.Condition()
        self._connection: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._next = 0
        self._replies: dict[int, Reply | None] = {}
        """None while a reply is awaited; a missing number means that the server went away."""
        self._closing = False

    def running(self) -> bool:
        """Whether a server runs; connects to it if so."""
        with self._arrived:
            return self._connection is not None or self._connect()

    def ask(self, make: Callable[[int], Request]) -> Reply:
        """Send the request that `make` gives for a number and wait for its reply; starts the server if need be.

        Raises DetachedError.
        """
        with self._arrived:
            try:
                number = self._send(make)
            except OSError:
                # It died before, so it has not read the request; its successor gets it.
                try:
                    number = self._send(make)
                except OSError as error:
                    raise DetachedError(f"{self._module} went away: {error}") from error
            self._arrived.wait_for(lambda: self._replies.get(number, self) is not None, PATIENCE)
            if number not in self._replies:
                raise DetachedError(f"{self._module} went away before it answered")
            reply = self._replies.pop(number)
        if reply is None:
            raise DetachedError(f"{self._module} did not answer within {PATIENCE:g} s")
        return reply

    def _send(self, make: Callable[[int], Request]) -> int:
        """The number under which the reply to a request will come. Raises OSError when the server has gone away."""
        if self._connection is None and not self._connect():
            self._launch()
        if self._connection is None:
            raise DetachedError(f"{self._module} does not start; see {self._log_path}")
        connection = self._connection
        self._next += 1
        number = self._next
        self._replies[number] = None
        try:
            connection.sendall(frame(_ENCODER.encode(make(number))))
        except OSError:
            # The reading thread sees the same; until it has, the next request would meet the dead server again.
            self._arrived.wait_for(lambda: self._connection is not connection, PATIENCE)
            self._replies.pop(number, None)
            raise
        return number

    def close(self) -> None:
        """Give up the connection; the server goes on."""
        with self._arrived:
            self._closing = True
            if self._connection is not None:
                self._connection.shutdown(socket.SHUT_RDWR)

    def _connect(self) -> bool:
        try:
            connection = unixsocket.connect(self._socket_path)
        except OSError:
            return False
        self._connection = connection
        threading.Thread(target=self._read, args=(connection,), name=self._module, daemon=True).start()
        return True

    def _launch(self) -> None:
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module, self._socket_path, self._argument],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                cwd="/",
            )
        assert self._process.stdout is not None
        with self._process.stdout as ready:
            ready.read()
        self._connect()

    def _read(self, connection: socket.socket) -> None:
        frames = Frames()
        try:
            while data := connection.recv(1 << 20):
                for body in frames.feed(data):
                    reply = self._decoder.decode(body)
                    with self._arrived:
                        if reply.id in self._replies:
                            self._replies[reply.id] = reply
                            self._arrived.notify_all()
        except OSError:
            pass  # the same as its orderly end
        with self._arrived:
            self._connection = None
            for number in [number for number, reply in self._replies.items() if reply is None]:
                del self._replies[number]
            self._arrived.notify_all()
            closing = self._closing
        connection.close()
        if not closing:
            self._lost()
