"""TCP: length-prefixed messages, several per segment, in the same epoll loop as UDP (RFC 7766)."""

from __future__ import annotations

import select
import socket
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

LARGEST_COUNT = 2_000
"""Connections of the whole process; beyond that the one that was silent longest is closed."""
IDLE = 10.0
"""Seconds after which a silent connection is closed."""
_CHUNK = 65_536

Answer = Callable[[bytes], bytes | None]


class Connections:
    """All TCP connections of the process, the one that was silent longest first."""

    def __init__(self, epoll: select.epoll) -> None:
        self._epoll = epoll
        self._open: OrderedDict[int, _Connection] = OrderedDict()

    def accept(self, listener: socket.socket, answer: Answer, owner: str) -> None:
        """Take new connections of a listener; `owner` names the view for `close_all`."""
        while True:
            try:
                made, _ = listener.accept()
            except OSError:
                return  # none left, or one that was reset before we took it
            made.setblocking(False)
            if len(self._open) >= LARGEST_COUNT:
                self._close(next(iter(self._open)))
            self._open[made.fileno()] = _Connection(made, answer, owner)
            self._epoll.register(made.fileno(), select.EPOLLIN)

    def handles(self, descriptor: int) -> bool:
        return descriptor in self._open

    def serve(self, descriptor: int, events: int) -> None:
        """Read, answer and write what is possible now."""
        connection = self._open[descriptor]
        connection.last = monotonic()
        self._open.move_to_end(descriptor)
        alive = connection.write() if events & select.EPOLLOUT else True
        if alive and not connection.pending and events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            alive = connection.read()
        if not alive:
            self._close(descriptor)
            return
        # Do not read from a peer that does not read.
        self._epoll.modify(descriptor, select.EPOLLOUT if connection.pending else select.EPOLLIN)

    def close_idle(self) -> None:
        limit = monotonic() - IDLE
        while self._open:
            descriptor, connection = next(iter(self._open.items()))
            if connection.last > limit:
                return
            self._close(descriptor)

    def close_all(self, owner: str) -> None:
        """Close the connections of one view: any socket keeps its namespace alive."""
        for descriptor in [fd for fd, connection in self._open.items() if connection.owner == owner]:
            self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        self._open.pop(descriptor).socket.close()  # leaves the epoll set by itself


class _Connection:
    __slots__ = ("_received", "answer", "last", "owner", "pending", "socket")

    def __init__(self, made: socket.socket, answer: Answer, owner: str) -> None:
        self.socket = made
        self.answer = answer
        self.owner = owner
        self.last = monotonic()
        self.pending = b""
        self._received = b""

    def read(self) -> bool:
        """Answer every whole message that has arrived; False when the connection is over."""
        try:
            data = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        received, at, replies = self._received + data, 0, []
        while len(received) >= at + 2:
            length = int.from_bytes(received[at : at + 2], "big")
            if len(received) < at + 2 + length:
                break
            reply = self.answer(received[at + 2 : at + 2 + length])
            if reply is None:
                return False  # not a query: whoever sends this does not speak DNS
            replies.append(len(reply).to_bytes(2, "big") + reply)
            at += 2 + length
        self._received = received[at:]
        self.pending = b"".join(replies)
        return self.write()

    def write(self) -> bool:
        if self.pending:
            try:
                self.pending = self.pending[self.socket.send(self.pending) :]
            except BlockingIOError:
                return True
            except OSError:
                return False
        return True
