"""The driver of containers: chooses the runtime, starts and stops on worker threads, reports what was seen.

A container that runs (or has ended) is never replaced: ECS tasks are immutable, so a changed `Workload` under the same
key (say, a resolver address after the VPC's attributes changed) takes effect with the next task, as on AWS.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from ecsnet.agent.runtimes.faults import complain
from ecsnet.agent.runtimes.health import Health, HealthChecks
from ecsnet.agent.runtimes.runtime import Entry, Found, Runtime, RuntimeName, WorkloadError
from ecsnet.agent.runtimes.tail import LogTail
from ecsnet.hostplan.kernel import HostObject
from ecsnet.hostplan.messages import ContainerSeen
from ecsnet.hostplan.workload import Workload

WORKERS = 16
"""Containers that may be started or stopped at once; a real one takes 40 ms, most of it waiting."""

Emit = Callable[[ContainerSeen], None]


class WorkloadDriver:
    """Keeps the containers of this host. `choose` gives the runtime's name for a workload whose runtime is auto."""

    kinds: tuple[type[HostObject], ...] = (Workload,)

    def __init__(
        self,
        runtimes: Mapping[RuntimeName, Runtime],
        *,
        choose: Callable[[Workload], RuntimeName],
        emit: Emit,
        now: Callable[[], float],
        speed: Callable[[], float] = lambda: 1.0,
        tail: LogTail | None = None,
    ) -> None:
        self._runtimes = runtimes
        self._choose = choose
        self._emit = emit
        self._now = now
        self._tail = tail
        self._workers = ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="workload")
        self._lock = threading.Lock()
        self._queues: dict[str, deque[Callable[[], None]]] = {}
        """What is still to be done, by key; a key is present while a worker is at it."""
        self._where: dict[str, RuntimeName] = {}
        self._wanted: dict[str, Workload] = {}
        self._seen: dict[str, ContainerSeen] = {}
        self._speed = speed
        self._life = now()
        self._restarts: dict[str, int] = {}
        self._began: dict[str, float] = {}
        """When a container was last started, or first seen."""
        self._checks = HealthChecks(self._healthy, now=time.monotonic, speed=speed)

    def observe(self, desired: Mapping[str, HostObject]) -> Mapping[str, HostObject | None]:
        with self._lock:
            busy = set(self._queues)
            failed = {key for key, seen in self._seen.items() if seen.state == "failed"}
        there: dict[str, HostObject | None] = {}
        for name, runtime in self._runtimes.items():
            try:
                holds = runtime.found()
            except WorkloadError:
                # Unknown is not gone: starting a second copy would be worse than noticing a loss later.
                there.update({key: desired.get(key) for key, where in self._where.items() if where == name})
                continue
            for found in holds:
                there[found.key] = desired.get(found.key)
                self._where.setdefault(found.key, name)
                workload = desired.get(found.key)
                if isinstance(workload, Workload):
                    self._wanted[found.key] = workload
                    if self._tail is not None:
                        self._tail.follow(workload, from_end=True)
                if found.key not in busy:
                    self._began.setdefault(found.key, self._now())
                    if found.ended:
                        self.ended(name, found)
                    else:
                        self._report(found, name)
        # One that is being started is there; one that failed to start is not tried again: ECS replaces the task.
        for key in busy | failed:
            if key in desired:
                there[key] = desired[key]
        return there

    def apply(self, put: Sequence[HostObject], remove: Sequence[str]) -> Mapping[str, str]:
        for workload in put:
            assert isinstance(workload, Workload)
            self._wanted[workload.key] = workload
            self._enqueue(workload.key, lambda workload=workload: self._start(workload))  # type: ignore[misc]
        for key in remove:
            timeout = float(self._wanted[key].stop_timeout) if key in self._wanted else 30.0
            self._wanted.pop(key, None)
            self._enqueue(key, lambda key=key, timeout=timeout: self._stop(key, timeout))  # type: ignore[misc]
        return {}

    def close(self) -> None:
        self._checks.close()
        self._workers.shutdown(wait=False, cancel_futures=True)
        if self._tail is not None:
            self._tail.close()
        for runtime in self._runtimes.values():
            runtime.close()

    def ended(self, name: RuntimeName, found: Found) -> None:
        """Told by a runtime (any thread): a container has ended by itself."""
        # In the container's own order, so that a very short life is not told backwards.
        self._enqueue(found.key, lambda: self._end(found, name))

    def _end(self, found: Found, name: RuntimeName) -> None:
        """Start a container again where its restart policy says so, else report its end.

        ECS API, ContainerRestartPolicy: the agent does it by itself, the task goes on meanwhile. What another agent
        started counts as started when this one first saw it.
        """
        workload = self._wanted.get(found.key)
        rule = workload.restart if workload is not None else None
        seen = self._seen.get(found.key)
        if workload is None or rule is None or (seen is not None and seen.state == "stopped"):
            self._report(found, name)
            return
        # Told twice, by the runtime and by a look at the machine: the second time it may run again.
        if not any(one.key == found.key and one.ended for one in self._runtimes[name].found()):
            return
        ran = self._now() - self._began.get(found.key, self._now())
        if found.exit_code in rule.ignored_codes or ran < rule.period / self._speed():
            self._report(found, name)
            return
        self._checks.leave(found.key)
        try:
            self._runtimes[name].stop(found.key, 0.0)
            runtime_id = self._runtimes[name].start(workload)
        except WorkloadError as error:
            self._say(found.key, "stopped", name, found.runtime_id, exit_code=found.exit_code, reason=str(error))
            return
        self._began[found.key] = self._now()
        self._restarts[found.key] = self._restarts.get(found.key, 0) + 1
        self._say(found.key, "running", name, runtime_id)
        self._check(found.key, name)

    def told(self) -> list[ContainerSeen]:
        """The newest report about every container that is here (any thread)."""
        return list(self._seen.values())

    def runtime_of(self, key: str) -> RuntimeName | None:
        """The runtime that holds a container; None while it is not known."""
        return self._where.get(key)

    def enter(self, key: str, command: Sequence[str], variables: Mapping[str, str]) -> Entry:
        """How to run a command with a terminal and these variables in a container (any thread).

        Raises WorkloadError unless the container runs.
        """
        workload, name, seen = self._wanted.get(key), self._where.get(key), self._seen.get(key)
        if workload is None or name is None or seen is None or seen.state != "running":
            raise WorkloadError("the container does not run")
        # As AWS's agent sets them: what pseudo-terminals default to leaves the screens of editors behind.
        extra = {**variables, "TERM": "xterm-256color"}
        if not any(variable == "LANG" for variable, _ in workload.environment):
            extra["LANG"] = "C.UTF-8"
        return self._runtimes[name].enter(workload, command, extra)

    def _enqueue(self, key: str, action: Callable[[], None]) -> None:
        """Actions on one container happen in order, on different containers side by side."""
        with self._lock:
            if key in self._queues:
                self._queues[key].append(action)
                return
            self._queues[key] = deque((action,))
        self._workers.submit(self._drain, key).add_done_callback(complain)

    def _drain(self, key: str) -> None:
        while True:
            with self._lock:
                queue = self._queues[key]
                if not queue:
                    del self._queues[key]
                    return
                action = queue.popleft()
            try:
                action()
            except BaseException:
                with self._lock:
                    del self._queues[key]
                raise

    def _start(self, workload: Workload) -> None:
        key = workload.key
        if key in self._where and any(found.key == key for found in self._runtimes[self._where[key]].found()):
            return
        name: RuntimeName = self._choose(workload) if workload.runtime == "auto" else workload.runtime
        self._say(key, "starting", name, "")
        if self._tail is not None:
            self._tail.follow(workload, from_end=True)
        try:
            runtime_id = self._runtimes[name].start(workload)
        except WorkloadError as error:
            self._say(key, "failed", name, "", reason=str(error))
            return
        self._where[key] = name
        self._began[key] = self._now()
        self._say(key, "running", name, runtime_id)

    def _stop(self, key: str, timeout: float) -> None:
        name = self._where.get(key)
        if name is not None:
            try:
                found = self._runtimes[name].stop(key, timeout)
            except WorkloadError as error:
                seen = self._seen.get(key)
                self._say(key, "failed", name, seen.runtime_id if seen else "", reason=str(error))
                return
            if found is not None:
                self._report(found, name)
        if self._tail is not None:
            self._tail.leave(key)
        self._checks.leave(key)
        self._where.pop(key, None)
        self._began.pop(key, None)
        self._restarts.pop(key, None)
        self._seen.pop(key, None)

    def _report(self, found: Found, name: RuntimeName) -> None:
        if found.ended:
            self._say(found.key, "stopped", name, found.runtime_id, exit_code=found.exit_code, reason=found.reason)
        else:
            self._say(found.key, "running", name, found.runtime_id)

    def _check(self, key: str, name: RuntimeName) -> None:
        """Begin with the health checks of a container that runs, if it has any."""
        workload = self._wanted.get(key)
        if workload is not None and workload.health is not None and not self._checks.watches(key):
            runtime, check = self._runtimes[name], workload.health
            self._checks.watch(key, check, lambda timeout: runtime.probe(workload, check, timeout))

    def _healthy(self, key: str, health: Health) -> None:
        self._enqueue(key, lambda: self._say_health(key, health))

    def _say_health(self, key: str, health: Health) -> None:
        seen = self._seen.get(key)
        if seen is not None and seen.state == "running":
            self._seen[key] = msgspec.structs.replace(seen, health=health, at=self._now())
            self._emit(self._seen[key])

    def _say(
        self,
        key: str,
        state: str,
        name: RuntimeName,
        runtime_id: str,
        *,
        exit_code: int | None = None,
        reason: str | None = None,
    ) -> None:
        before = self._seen.get(key)
        restarts = self._restarts.get(key, 0)
        same = before is not None and (before.state, before.runtime_id, before.exit_code, before.restarts) == (
            state,
            runtime_id,
            exit_code,
            restarts,
        )
        # Once ended, always ended: a look at the machine that began earlier may still call it running.
        if same or (before is not None and before.state == "stopped"):
            return
        seen = ContainerSeen(
            key=key,
            state=state,  # type: ignore[arg-type]
            runtime=name,
            runtime_id=runtime_id,
            exit_code=exit_code,
            reason=reason,
            restarts=restarts,
            counted_from=self._life,
            at=self._now(),
        )
        self._seen[key] = seen
        self._emit(seen)
        if state == "running":
            self._check(key, name)
        else:
            self._checks.leave(key)
