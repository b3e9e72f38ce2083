"""The agent's socket: control connects, sends plans and asks; observations and answers go back.

One connection counts at a time (a new one replaces the old: control restarted). When control goes away everything
stays as it is. After the next `Hello` everything that is still held is told again, because a control that was killed
may not have stored what it was sent last; then what was seen meanwhile, the newest per subject.
"""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from ecsnet import unixsocket
from ecsnet.agent.driver import AskError, AskHandler
from ecsnet.framing import Frames, frame
from ecsnet.hostplan.messages import Answer, Ask, ContainerSeen, Delta, Hello, Sync, TargetSeen, ToAgent, ToControl

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(ToAgent)


class Server:
    """Accepts control on `path`. `plan` gets every Sync and Delta, on the connection's thread, in order."""

    def __init__(
        self,
        path: Path,
        *,
        hello: Hello,
        plan: Callable[[Sync | Delta], None],
        asks: Mapping[str, AskHandler],
        told: Callable[[], Iterable[ToControl]] = tuple,
    ) -> None:
        """`told` gives what was told before and still holds; it must not wait for anything that emits."""
        self._hello = hello
        self._plan = plan
        self._asks = asks
        self._told = told
        self._lock = threading.Lock()
        self._kept: dict[tuple[object, ...], ToControl] = {}
        self._peer: _Peer | None = None
        self._listener = unixsocket.listen(path, backlog=64)
        threading.Thread(target=self._accept, name="agent-accept", daemon=True).start()

    def emit(self, message: ToControl) -> None:
        """Send to control, or keep for it (any thread)."""
        with self._lock:
            if self._peer is not None:
                self._peer.send(message)
            else:
                self._kept[_subject(message)] = message

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return  # closed
            peer = _Peer(connection)
            with self._lock:
                if self._peer is not None:
                    self._peer.close()
                self._peer = peer
                peer.send(self._hello)
                for message in (*self._told(), *self._kept.values()):
                    peer.send(message)
                self._kept.clear()
            threading.Thread(target=self._read, args=(peer,), name="agent-read", daemon=True).start()

    def _read(self, peer: _Peer) -> None:
        frames = Frames()
        try:
            while data := peer.connection.recv(1 << 18):
                for body in frames.feed(data):
                    self._take(peer, _DECODER.decode(body))
        except (OSError, ValueError, msgspec.DecodeError) as error:
            print(f"control was disconnected: {error}", flush=True)
        finally:
            with self._lock:
                peer.close()
                if self._peer is peer:
                    self._peer = None

    def _take(self, peer: _Peer, message: ToAgent) -> None:
        match message:
            case Sync() | Delta():
                self._plan(message)
            case Ask():
                threading.Thread(target=self._answer, args=(peer, message), name="agent-ask", daemon=True).start()

    def _answer(self, peer: _Peer, ask: Ask) -> None:
        handler = self._asks.get(ask.topic)
        try:
            if handler is None:
                raise AskError(f"this agent does not answer {ask.topic!r}")
            reply = Answer(id=ask.id, ok=True, result=handler(ask.argument))
        except (AskError, OSError, ValueError) as error:
            reply = Answer(id=ask.id, ok=False, result=json.dumps({"error": str(error)}).encode())
        peer.send(reply)


class _Peer:
    """A connection with a sending thread of its own, so that a slow control never holds up a driver."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._queue: queue.SimpleQueue[ToControl | None] = queue.SimpleQueue()
        threading.Thread(target=self._write, name="agent-write", daemon=True).start()

    def send(self, message: ToControl) -> None:
        self._queue.put(message)

    def close(self) -> None:
        # Shut down before the writer closes: a close alone does not wake the reader, and the peer would not notice.
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self._queue.put(None)

    def _write(self) -> None:
        with self.connection:
            while (message := self._queue.get()) is not None:
                try:
                    self.connection.sendall(frame(_ENCODER.encode(message)))
                except OSError:
                    return  # the reading thread sees the same and takes the peer away


def _subject(message: ToControl) -> tuple[object, ...]:
    """What a newer message replaces while control is away."""
    match message:
        case ContainerSeen():
            return (ContainerSeen, message.key)
        case TargetSeen():
            return (TargetSeen, message.group, message.address, message.port)
        case _:
            return (type(message),)
