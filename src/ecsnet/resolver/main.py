"""The resolver program: `python -m ecsnet.resolver.main SOCKET SNAPSHOT`.

Listens on the UNIX socket SOCKET for the agent's feed and keeps the last state in the file SNAPSHOT, from which it
starts when it comes up alone. Serves port 53 inside the namespaces of the views until SIGTERM.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
from pathlib import Path
from time import monotonic

import msgspec

from ecsnet import unixsocket
from ecsnet.framing import Frames, frame
from ecsnet.hostplan.names import DnsView
from ecsnet.netns import NamespaceThread
from ecsnet.resolver.data import Served, put_all
from ecsnet.resolver.feed import (
    ENCODER,
    REQUESTS,
    Dump,
    Dumped,
    Failed,
    Reply,
    Update,
    Updated,
    read_snapshot,
    write_snapshot,
)
from ecsnet.resolver.io_tcp import Connections
from ecsnet.resolver.io_udp import UdpBatch
from ecsnet.resolver.view import View

PORT = 53
SNAPSHOT_DELAY = 0.2
"""Seconds between a change and the snapshot file: a rollout is one write, not a hundred."""
TICK = 1.0
"""Seconds between looks for idle TCP connections."""
_IP_FREEBIND = 15


class Loop:
    """One thread, one epoll: packets, the feed, and the snapshot file."""

    def __init__(self, control: socket.socket, snapshot: Path) -> None:
        self._epoll = select.epoll()
        self._control = control
        self._snapshot = snapshot
        self._snapshot_due: float | None = None
        self._served = Served()
        self._namespaces = NamespaceThread()
        self._udp = UdpBatch()
        self._tcp = Connections(self._epoll)
        self._sockets: dict[str, list[socket.socket]] = {}
        """Sockets by key of the view."""
        self._datagrams: dict[int, View] = {}
        self._listeners: dict[int, tuple[socket.socket, View]] = {}
        self._feeds: dict[int, tuple[socket.socket, Frames]] = {}
        self._running = True
        control.setblocking(False)
        self._epoll.register(control.fileno(), select.EPOLLIN)

    def load(self) -> None:
        """Serve what the snapshot file says; what no longer fits (a namespace is gone) is left to the agent."""
        for failed in self._update(read_snapshot(self._snapshot), ()):
            print(f"snapshot: {failed.key}: {failed.text}", file=sys.stderr, flush=True)
        self._snapshot_due = None
        # All data is acyclic, and a collection would pause the answers.
        gc.collect()
        gc.freeze()
        gc.disable()

    def run(self) -> None:
        next_tick = monotonic() + TICK
        while self._running:
            now = monotonic()
            due = min(next_tick, self._snapshot_due or next_tick)
            for descriptor, events in self._poll(max(0.0, due - now)):
                self._dispatch(descriptor, events)
            now = monotonic()
            if now >= next_tick:
                self._tcp.close_idle()
                next_tick = now + TICK
            if self._snapshot_due is not None and now >= self._snapshot_due:
                self._write_snapshot()
        if self._snapshot_due is not None:
            self._write_snapshot()

    def stop(self) -> None:
        self._running = False

    def _poll(self, timeout: float) -> list[tuple[int, int]]:
        with contextlib.suppress(InterruptedError):
            return self._epoll.poll(timeout)
        return []

    def _dispatch(self, descriptor: int, events: int) -> None:
        view = self._datagrams.get(descriptor)
        if view is not None:
            self._udp.serve(descriptor, view.answer)
        elif self._tcp.handles(descriptor):
            self._tcp.serve(descriptor, events)
        elif descriptor in self._listeners:
            listener, owner = self._listeners[descriptor]
            self._tcp.accept(listener, lambda data: owner.answer_uncached(data, udp=False), owner.name)
        elif descriptor in self._feeds:
            self._read_feed(descriptor)
        elif descriptor == self._control.fileno():
            with contextlib.suppress(OSError):
                made, _ = self._control.accept()
                self._feeds[made.fileno()] = (made, Frames())
                self._epoll.register(made.fileno(), select.EPOLLIN)

    # ── the feed ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _read_feed(self, descriptor: int) -> None:
        connection, frames = self._feeds[descriptor]
        try:
            data = connection.recv(1 << 20)
            for body in frames.feed(data):
                # Replies are small or asked for by somebody who reads; the agent's socket may block for a moment.
                connection.sendall(frame(ENCODER.encode(self._carry_out(body))))
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            print(f"feed closed: {error}", file=sys.stderr, flush=True)
            data = b""
        if not data:
            del self._feeds[descriptor]
            connection.close()

    def _carry_out(self, body: bytes) -> Reply:
        request = REQUESTS.decode(body)
        match request:
            case Update(id=number, put=put, remove=remove):
                failures = self._update(put, remove)
                if put or remove:
                    self._snapshot_due = self._snapshot_due or monotonic() + SNAPSHOT_DELAY
                return Updated(id=number, failures=failures)
            case Dump(id=number):
                return Dumped(id=number, items=tuple(self._served.items.values()))

    def _update(self, put: tuple[msgspec.Struct, ...], remove: tuple[str, ...]) -> tuple[Failed, ...]:
        for key in remove:
            self._served.remove(key)
            self._close_sockets(key)
        failures = list(put_all(self._served, put))  # type: ignore[arg-type]
        failed = {failure.key for failure in failures}
        for item in put:
            if isinstance(item, DnsView) and item.key not in failed:
                try:
                    self._open_sockets(item)
                except OSError as error:
                    self._served.remove(item.key)
                    text = f"cannot listen in {item.netns}: {error.strerror or error}"
                    failures.append(Failed(key=item.key, text=text))
        return tuple(failures)

    def _write_snapshot(self) -> None:
        self._snapshot_due = None
        try:
            write_snapshot(self._snapshot, self._served.items.values())
        except OSError as error:
            print(f"snapshot not written: {error}", file=sys.stderr, flush=True)

    # ── sockets ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _open_sockets(self, item: DnsView) -> None:
        """Listen at a view's addresses; the sockets of its former addresses or namespace are closed."""
        self._close_sockets(item.key)
        opened = self._namespaces.run(item.netns, lambda: _sockets(item.addresses))
        self._sockets[item.key] = opened
        view = self._served.view(item.name)
        for one in opened:
            if one.type == socket.SOCK_DGRAM:
                self._datagrams[one.fileno()] = view
            else:
                self._listeners[one.fileno()] = (one, view)
            self._epoll.register(one.fileno(), select.EPOLLIN)

    def _close_sockets(self, key: str) -> None:
        for one in self._sockets.pop(key, ()):
            view = self._datagrams.pop(one.fileno(), None)
            if view is None:
                _, view = self._listeners.pop(one.fileno())
            self._tcp.close_all(view.name)
            one.close()


def _sockets(addresses: tuple[str, ...]) -> list[socket.socket]:
    """A UDP and a TCP socket per address. A wildcard socket would answer from the link's address."""
    made: list[socket.socket] = []
    try:
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                one = socket.socket(family, kind | socket.SOCK_NONBLOCK)
                made.append(one)
                # The address itself may come to the namespace a moment later.
                one.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.bind((address, PORT))
                if kind == socket.SOCK_STREAM:
                    one.listen(128)
    except OSError:
        for one in made:
            one.close()
        raise
    return made


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        print("usage: python -m ecsnet.resolver.main SOCKET SNAPSHOT", file=sys.stderr)
        return 2
    loop = Loop(unixsocket.listen(Path(arguments[0])), Path(arguments[1]))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: loop.stop())
    loop.load()
    # Whoever started this process waits for the end of its standard output.
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
