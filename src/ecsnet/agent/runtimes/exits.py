"""Notices the end of processes that are not our children, by pidfd (0.2 to 0.5 ms after it happens)."""

from __future__ import annotations

import os
import selectors
import threading
from collections.abc import Callable


class ExitWatch:
    """One thread that waits for any number of processes."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._wake_reading, self._wake_writing = os.pipe()
        os.set_blocking(self._wake_reading, False)
        self._selector.register(self._wake_reading, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._new: list[tuple[int, Callable[[], None]]] = []
        self._closing = False
        self._thread: threading.Thread | None = None

    def watch(self, pid: int, ended: Callable[[], None]) -> None:
        """Call `ended` (on the watching thread, so briefly) when the process has ended; at once if it has already."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            ended()
            return
        with self._lock:
            self._new.append((descriptor, ended))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="exits", daemon=True)
                self._thread.start()
        os.write(self._wake_writing, b"x")

    def close(self) -> None:
        self._closing = True
        os.write(self._wake_writing, b"x")

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select():
                if key.fd == self._wake_reading:
                    os.read(self._wake_reading, 4096)
                    with self._lock:
                        new, self._new = self._new, []
                    for descriptor, ended in new:
                        self._selector.register(descriptor, selectors.EVENT_READ, ended)
                    continue
                self._selector.unregister(key.fd)
                os.close(key.fd)
                key.data()
