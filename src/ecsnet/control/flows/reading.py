"""Runs the flow reader as long as something is watched, and hands on what it says."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from ecsnet.agent.world import World, WorldError
from ecsnet.framing import Frames, frame
from ecsnet.hostplan.flows import FromReader, Interval, Live, Watch, Watching

LOG = logging.getLogger("ecsnet.control")

RETRY = 0.2
"""Seconds until a reader that ended, or a world that is not there, is tried again."""


class Reading:
    """The reader process. `received` gets intervals and live parts, on the event loop."""

    def __init__(self, world: World, state: Path, received: Callable[[Interval | Live], None]) -> None:
        self._world = world
        self._log = state / "flows.log"
        self._received = received
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(FromReader)
        self._numbers = itertools.count(1)
        self._order: Watch | None = None
        self._ordered = 0.0
        """When the last order was given, by the event loop's clock."""
        self._carried_out = 0
        self._gaps: set[str] = set()
        """Routers of which a reader that broke off has told nothing since its last interval."""
        self._changed = asyncio.Condition()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """The reader's process id; None when nothing is read."""
        return None if self._process is None else self._process.pid

    def watch(self, routers: tuple[str, ...], live: tuple[str, ...], interval: float) -> None:
        """Replace what is watched; with nothing to watch the process ends."""
        if routers or live:
            self._ordered = asyncio.get_running_loop().time()
            self._order = Watch(number=next(self._numbers), routers=routers, live=live, interval=interval)
        else:
            self._order = None
        self._send()
        self._notify()

    async def carried_out(self, deadline: float) -> bool:
        """Wait until the reader does what it was told last; False `deadline` seconds after it was told.

        Counted from the order, so that a reader that cannot start holds up one call and not all that follow.
        """

        def done() -> bool:
            return self._order is None or self._carried_out >= self._order.number

        if done():
            return True
        try:
            async with asyncio.timeout_at(self._ordered + deadline), self._changed:
                await self._changed.wait_for(done)
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Until cancelled: keep a reader while something is watched."""
        try:
            while True:
                async with self._changed:
                    await self._changed.wait_for(lambda: self._order is not None)
                with contextlib.suppress(WorldError):  # being started
                    await self._read()
                if self._order is not None:
                    await asyncio.sleep(RETRY)
        finally:
            self._end()

    async def _read(self) -> None:
        """Start a process and read it to its end."""
        command = await asyncio.to_thread(
            self._world.enter_command, [sys.executable, "-m", "ecsnet.agent.flows.reader"]
        )
        with self._log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors, cwd="/"
            )
        self._process = process
        self._send()
        frames = Frames()
        assert process.stdout is not None
        try:
            while data := await process.stdout.read(1 << 18):
                for body in frames.feed(data):
                    await self._take(self._decoder.decode(body))
        finally:
            self._end()
        code = await process.wait()
        if self._order is not None:
            LOG.warning("the flow reader ended (%s); starting it again", code)
            self._gaps.update(self._order.routers)

    async def _take(self, message: FromReader) -> None:
        match message:
            case Watching():
                async with self._changed:
                    self._carried_out = message.number
                    self._changed.notify_all()
            case Interval(router=router) if router in self._gaps:
                self._gaps.discard(router)
                self._received(msgspec.structs.replace(message, missed=True))
            case Interval() | Live():
                self._received(message)

    def _send(self) -> None:
        if self._process is None or self._process.stdin is None:
            return
        if self._order is None:
            self._end()
        else:
            self._process.stdin.write(frame(self._encoder.encode(self._order)))

    def _end(self) -> None:
        """Close the reader's stdin: it ends by itself."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with contextlib.suppress(ConnectionError):
                process.stdin.close()

    def _notify(self) -> None:
        async def notify() -> None:
            async with self._changed:
                self._changed.notify_all()

        self._notifying = asyncio.get_running_loop().create_task(notify())
