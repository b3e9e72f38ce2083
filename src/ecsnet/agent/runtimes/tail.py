"""Follows the log files of containers with an awslogs driver and hands new lines to control.

All runtimes write files, so lines survive while control or agent are away; a fresh agent goes on at the end of what is
there. Files are looked at twice a second: 500 of them cost about a millisecond.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ecsnet.agent.runtimes.logfile import workload_log
from ecsnet.hostplan.messages import LogLine, LogLines
from ecsnet.hostplan.workload import Workload

INTERVAL = 0.5
"""Seconds between looks."""
LONGEST = 1 << 20
"""Bytes read from one file at once."""
LINGER = 4
"""Looks after the end of a container, for what it wrote last."""

_CONMON = re.compile(r"\S+ (?:stdout|stderr) [FP] (.*)", re.DOTALL)
"""A line as conmon writes it (k8s-file): time, stream, full or partial, text."""


@dataclass(slots=True, kw_only=True)
class _Followed:
    workload: Workload
    path: Path
    offset: int
    rest: bytes = b""
    looks_left: int | None = None


class LogTail:
    """One thread, started with the first file."""

    def __init__(self, logs: Path, emit: Callable[[LogLines], None], now: Callable[[], float]) -> None:
        self._logs = logs
        self._emit = emit
        self._now = now
        self._lock = threading.Lock()
        self._followed: dict[str, _Followed] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def follow(self, workload: Workload, *, from_end: bool) -> None:
        """Follow a container's log, if it is to go anywhere; `from_end` skips what is there already."""
        if workload.log_group is None:
            return
        path = workload_log(self._logs, workload)
        with self._lock:
            if workload.key in self._followed:
                return
            offset = path.stat().st_size if from_end and path.exists() else 0
            self._followed[workload.key] = _Followed(workload=workload, path=path, offset=offset)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
                self._thread.start()

    def leave(self, key: str) -> None:
        """The container is gone: look a few more times, then no longer."""
        with self._lock:
            if key in self._followed:
                self._followed[key].looks_left = LINGER

    def close(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL):
            with self._lock:
                followed = tuple(self._followed.values())
            for one in followed:
                self._look(one)
                if one.looks_left is not None:
                    one.looks_left -= 1
                    if one.looks_left < 0:
                        with self._lock:
                            self._followed.pop(one.workload.key, None)

    def _look(self, one: _Followed) -> None:
        try:
            size = one.path.stat().st_size
            if size == one.offset:
                return
            if size < one.offset:  # it was moved aside and begun anew
                one.offset, one.rest = 0, b""
            with one.path.open("rb") as file:
                file.seek(one.offset)
                data = file.read(LONGEST)
        except OSError:
            return  # not there yet
        one.offset += len(data)
        *whole, one.rest = (one.rest + data).split(b"\n")
        at = self._now()
        lines = tuple(LogLine(at=at, text=_text(line)) for line in whole if line)
        workload = one.workload
        if lines and workload.log_group and workload.log_stream and workload.log_region:
            self._emit(
                LogLines(
                    account=workload.owner.split(":")[4],
                    region=workload.log_region,
                    group=workload.log_group,
                    stream=workload.log_stream,
                    lines=lines,
                )
            )


def _text(line: bytes) -> str:
    text = line.decode("utf-8", "replace")
    match = _CONMON.fullmatch(text)
    return match.group(1) if match else text
