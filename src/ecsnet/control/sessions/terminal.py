"""A command under a pseudo-terminal, on the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_CHUNK = 1 << 15
_GRACE = 1.0
"""Seconds between the hang-up and the kill."""
_ROUNDS = 10
"""Times that what is left is killed."""
MARK = "ECSNET_SESSION"


class Terminal:
    """Made by `start`. Use from the event loop's thread."""

    def __init__(self, master: int, process: subprocess.Popen[bytes], mark: str) -> None:
        self._master = master
        self._process = process
        self._mark = mark
        self._loop = asyncio.get_running_loop()
        self._typed = bytearray()

    @classmethod
    def start(
        cls, arguments: Sequence[str], environment: Mapping[str, str], size: tuple[int, int], mark: str
    ) -> Terminal:
        """Run a command as the leader of a session that this terminal controls, of so many columns and rows.

        `mark` tells everything that it starts from all else, by the environment variable MARK, which the caller sees
        to it that they all get. Raises OSError.
        """
        master, slave = os.openpty()
        try:
            termios.tcsetwinsize(master, (size[1], size[0]))
            # Ignored signals are inherited, and control ignores some: SIGHUP, and what whoever started it ignored.
            process = subprocess.Popen(
                ["env", "--default-signal", "setsid", "--ctty", *arguments],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                env=environment,
                cwd="/",
            )
        except OSError:
            os.close(master)
            raise
        finally:
            os.close(slave)
        os.set_blocking(master, False)
        return cls(master, process, mark)

    async def read(self) -> bytes:
        """The next output; nothing once the command has ended and everything was read."""
        while True:
            try:
                return os.read(self._master, _CHUNK)
            except BlockingIOError:
                await self._readable()
            except OSError:
                return b""  # the terminal hung up: its leader is gone

    @property
    def waiting(self) -> int:
        """Bytes of input that the command has not read."""
        return len(self._typed)

    def type(self, data: bytes) -> None:
        """Hand input to the command, when it reads."""
        self._typed += data
        if self._typed:
            self._loop.add_writer(self._master, self._write)

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size; its foreground process gets SIGWINCH."""
        termios.tcsetwinsize(self._master, (rows, columns))

    async def end(self) -> None:
        """Hang up; whatever the command started ends with it, at the latest by SIGKILL a second later."""
        self._loop.remove_writer(self._master)
        os.close(self._master)
        await asyncio.to_thread(end_all, self._mark)
        await asyncio.to_thread(self._process.wait)

    def _write(self) -> None:
        try:
            written = os.write(self._master, self._typed)
        except BlockingIOError:
            return
        except OSError:
            written = len(self._typed)  # hung up: nobody will read it
        del self._typed[:written]
        if not self._typed:
            self._loop.remove_writer(self._master)

    async def _readable(self) -> None:
        readable: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(self._master, _settle(readable))
        try:
            await readable
        finally:
            self._loop.remove_reader(self._master)


def _settle(future: asyncio.Future[None]) -> Callable[[], None]:
    return lambda: None if future.done() else future.set_result(None)


def end_all(mark: str) -> None:
    """End every process that carries a mark: SIGHUP, and SIGKILL for what is left after a second. Blocks.

    A mark in the environment, because the end of a terminal reaches not everything: `podman exec` leaves its command
    alone when it is hung up, and a command may have begun a session of its own.
    """
    _signal_all(f"{MARK}={mark}".encode(), signal.SIGHUP)
    # What dies may have begun another process meanwhile, so look again until nobody is left.
    for _ in range(_ROUNDS):
        if not _signal_all(f"{MARK}={mark}".encode(), signal.SIGKILL):
            return


def _signal_all(mark: bytes, number: signal.Signals) -> int:
    """Signal them, and wait a moment for their ends; how many there were."""
    handles = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # it has just ended, or is not ours to look at
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                handle = os.pidfd_open(int(entry.name))
                handles.append(handle)
                signal.pidfd_send_signal(handle, number)
    deadline = time.monotonic() + _GRACE
    for handle in handles:
        select.select([handle], [], [], max(0.0, deadline - time.monotonic()))
        os.close(handle)
    return len(handles)
