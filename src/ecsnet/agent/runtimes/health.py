"""Runs the health checks of containers: each at its interval, on worker threads, and tells when a result changes.

Source: ECS API, HealthCheck (interval, timeout, retries, startPeriod); docker counts failures of the start period only
after a first success. The first check comes one interval after the start.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

from ecsnet.agent.runtimes.faults import complain
from ecsnet.hostplan.workload import HealthCheck

WORKERS = 8
"""Checks that may run at once."""

Health = Literal["HEALTHY", "UNHEALTHY"]


@dataclass(slots=True, kw_only=True)
class _Watched:
    check: HealthCheck
    probe: Callable[[float], bool]
    started: float
    failures: int = 0
    health: Health | None = None


class HealthChecks:
    """`tell` is called (on a worker) with a container's key and its health whenever that changes.

    `now` gives seconds of a clock that only goes forward; `speed` divides interval and start period.
    """

    def __init__(
        self, tell: Callable[[str, Health], None], *, now: Callable[[], float], speed: Callable[[], float]
    ) -> None:
        self._tell = tell
        self._now = now
        self._speed = speed
        self._watched: dict[str, _Watched] = {}
        self._due: list[tuple[float, int, str, _Watched]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._workers = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="health")
        self._thread: threading.Thread | None = None
        self._closing = False

    def watch(self, key: str, check: HealthCheck, probe: Callable[[float], bool]) -> None:
        """Begin to check a container. `probe` runs its command once, for so many seconds at most (any thread)."""
        with self._changed:
            watched = _Watched(check=check, probe=probe, started=self._now())
            self._watched[key] = watched
            self._schedule(key, watched)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="health", daemon=True)
                self._thread.start()

    def leave(self, key: str) -> None:
        with self._changed:
            self._watched.pop(key, None)

    def watches(self, key: str) -> bool:
        return key in self._watched

    def close(self) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _schedule(self, key: str, watched: _Watched) -> None:
        due = self._now() + watched.check.interval / self._speed()
        heapq.heappush(self._due, (due, next(self._order), key, watched))
        self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while not self._closing:
                wait = self._due[0][0] - self._now() if self._due else None
                if wait is None or wait > 0:
                    self._changed.wait(wait)
                    continue
                _, _, key, watched = heapq.heappop(self._due)
                if self._watched.get(key) is watched:
                    self._workers.submit(self._check, key, watched).add_done_callback(complain)

    def _check(self, key: str, watched: _Watched) -> None:
        passed = watched.probe(watched.check.timeout)
        with self._changed:
            if self._closing or self._watched.get(key) is not watched:
                return
            changed = self._judge(watched, passed)
            self._schedule(key, watched)
        if changed is not None:
            self._tell(key, changed)

    def _judge(self, watched: _Watched, passed: bool) -> Health | None:
        before = watched.health
        starting = self._now() < watched.started + watched.check.start_period / self._speed()
        if passed:
            watched.failures, watched.health = 0, "HEALTHY"
        elif before is not None or not starting:
            watched.failures += 1
            if watched.failures >= watched.check.retries:
                watched.health = "UNHEALTHY"
        return watched.health if watched.health != before else None
