"""The flow reader's process: `python -m ecsnet.agent.flows.reader`, inside a world.

Reads `Watch` messages on stdin and writes `Interval` and `Live` messages on stdout; ends with its stdin.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import time
from collections.abc import Callable

import msgspec

from ecsnet.agent.flows.pins import Pins
from ecsnet.agent.flows.router import RouterFlows
from ecsnet.agent.namespaces import MARKER, NamespaceFiles
from ecsnet.agent.nflog import BusyError
from ecsnet.framing import Frames, frame
from ecsnet.hostplan.flows import FromReader, Live, Part, Watch, Watching
from ecsnet.netns import PINNED

AGAIN = 0.005
"""Seconds until a namespace that is being made, or whose log has another reader, is tried again."""

QUIET = 1.0
"""Seconds in which repetitions of a denied packet are told as one."""


class Reader:
    """Everything of the process; one thread."""

    def __init__(self, files: NamespaceFiles, write: Callable[[bytes], None]) -> None:
        self._files = files
        self._write = write
        self._encoder = msgspec.msgpack.Encoder()
        self._selector = selectors.DefaultSelector()
        self._pins = Pins(PINNED)
        self._selector.register(self._pins, selectors.EVENT_READ, self._pinned)
        self._watch = Watch(number=0, routers=(), live=(), interval=60.0)
        self._open: dict[str, tuple[int, RouterFlows]] = {}
        """Namespace → inode of its pin and its sockets."""
        self._waiting = False
        """Whether a watched namespace is there, but cannot be read yet."""
        self._late: set[str] = set()
        """Namespaces that were there before they could be read: their first interval is not whole."""
        self._due = time.monotonic() + self._watch.interval
        self._repeated: dict[tuple[str, Part], tuple[float, Part | None]] = {}

    def listen(self, descriptor: int) -> None:
        """Take orders from `descriptor`."""
        frames = Frames()
        decoder = msgspec.msgpack.Decoder(Watch)

        def read() -> None:
            data = os.read(descriptor, 1 << 16)
            if not data:
                raise EOFError
            for body in frames.feed(data):
                self.watch(decoder.decode(body))

        self._selector.register(descriptor, selectors.EVENT_READ, read)

    def watch(self, order: Watch) -> None:
        """Replace what is watched."""
        if order.interval != self._watch.interval:
            self._due = time.monotonic() + order.interval
        self._watch = order
        self._match()
        self._send(Watching(number=order.number))

    def run(self) -> None:
        """Until stdin ends."""
        try:
            while True:
                self._step()
        except EOFError:
            return

    def _step(self) -> None:
        for key, _events in self._selector.select(self._pause()):
            key.data()
        if self._waiting:
            self._match()
        if time.monotonic() >= self._due:
            self._interval()
        self._tell_repeated()

    def _pause(self) -> float:
        due = self._due - time.monotonic()
        if self._waiting:
            due = min(due, AGAIN)
        if self._repeated:
            due = min(due, QUIET / 4)
        return max(0.0, due)

    # ── namespaces ───────────────────────────────────────────────────────────────────────────────────────────────

    def _pinned(self) -> None:
        self._pins.drain()
        self._match()

    def _match(self) -> None:
        """Make the open routers those that are watched and there."""
        wanted = {*self._watch.routers, *self._watch.live}
        for name in [
            name for name, (inode, _) in self._open.items() if name not in wanted or self._inode(name) != inode
        ]:
            self._close(name)
        self._waiting = False
        for name in sorted(wanted - self._open.keys()):
            self._try(name)

    def _try(self, name: str) -> None:
        try:
            router = RouterFlows(name, self._files, time.time)
        except FileNotFoundError:
            return  # its pin will say when it is there
        except BusyError:
            self._waiting = True
            self._late.add(name)
            return
        except OSError:
            self._waiting = True  # the file is there and the namespace not yet
            return
        self._open[name] = self._inode(name), router
        for source in (router.log, router.events):
            self._selector.register(source, selectors.EVENT_READ, lambda: self._read(router))

    def _inode(self, name: str) -> int:
        try:
            return self._files.path(name).stat().st_ino
        except FileNotFoundError:
            return 0

    def _close(self, name: str) -> None:
        _inode, router = self._open.pop(name)
        for source in (router.log, router.events):
            self._selector.unregister(source)
        router.close()

    # ── telling ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _interval(self) -> None:
        self._due += self._watch.interval
        if self._due < time.monotonic():
            self._due = time.monotonic() + self._watch.interval
        for name, (_inode, router) in list(self._open.items()):
            interval, parts = router.interval(live=name in self._watch.live)
            self._live(router, parts)
            if name in self._watch.routers:
                late = name in self._late
                self._send(msgspec.structs.replace(interval, missed=True) if late else interval)
            self._late.discard(name)

    def _read(self, router: RouterFlows) -> None:
        self._live(router, router.read(live=router.name in self._watch.live))

    def _live(self, router: RouterFlows, parts: list[Part]) -> None:
        fresh = [part for part in parts if not part.denied or self._first(router.name, part)]
        if fresh:
            self._send(Live(router=router.name, parts=tuple(fresh)))

    def _first(self, router: str, part: Part) -> bool:
        """Whether this denied packet is told at once; its repetitions of the next second are told together."""
        key = (router, msgspec.structs.replace(part, packets=0, size=0, start=0.0, end=0.0))
        known = self._repeated.get(key)
        if known is None:
            self._repeated[key] = time.monotonic() + QUIET, None
            return True
        until, more = known
        if more is not None:
            part = msgspec.structs.replace(part, packets=more.packets + 1, size=more.size + part.size, start=more.start)
        self._repeated[key] = until, part
        return False

    def _tell_repeated(self) -> None:
        if not self._repeated:
            return
        now = time.monotonic()
        for key in [key for key, (until, _) in self._repeated.items() if until <= now]:
            _until, more = self._repeated.pop(key)
            if more is not None:
                self._send(Live(router=key[0], parts=(more,)))
                self._repeated[key] = now + QUIET, None

    def _send(self, message: FromReader) -> None:
        self._write(frame(self._encoder.encode(message)))


def main() -> int:
    if not os.path.exists(MARKER):
        print("the flow reader runs only inside a world", file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is in control's process group; its stdin says when to end
    output = sys.stdout.buffer

    def write(data: bytes) -> None:
        output.write(data)
        output.flush()

    reader = Reader(NamespaceFiles(), write)
    reader.listen(sys.stdin.fileno())
    try:
        reader.run()
    except BrokenPipeError:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
