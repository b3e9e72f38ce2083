"""Host commands as containers: the definition's command, in the task's network namespace with the host's files.

Chosen only by name (the docker label `ecsnet.runtime: process`), because the command then runs with the rights of
ecsnet itself.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic, sleep
from typing import TypeVar

import msgspec

from ecsnet.agent.driver import Namespaces
from ecsnet.agent.runtimes import logfile
from ecsnet.agent.runtimes.exits import ExitWatch
from ecsnet.agent.runtimes.room import environment_of, room_of
from ecsnet.agent.runtimes.runtime import Ended, Entry, Found, RuntimeName, WorkloadError
from ecsnet.agent.runtimes.supervise import Ending, Running, Specification
from ecsnet.agent.runtimes.visit import Visit, command_line
from ecsnet.hostplan.workload import HealthCheck, Workload

T = TypeVar("T", bound=msgspec.Struct)

_SETTLE = 5.0
"""Seconds that the supervisor has to write the exit code once the command is gone."""


class ProcessRuntime:
    """One directory per container below `directory`, with a supervisor that outlives the agent."""

    def __init__(self, directory: Path, logs: Path, namespaces: Namespaces, *, ended: Ended) -> None:
        self._directory = directory
        self._logs = logs
        self._namespaces = namespaces
        self._ended = ended
        self._exits = ExitWatch()
        self._watched: set[str] = set()
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def name(self) -> RuntimeName:
        return "process"

    def start(self, workload: Workload) -> str:
        arguments = (*workload.entry_point, *workload.command)
        if not arguments:
            raise WorkloadError(
                f"container {workload.container} has neither entryPoint nor command to run as a process"
            )
        if workload.user:
            raise WorkloadError(f"user {workload.user!r}: the process runtime cannot change the user; use podman")
        place = self._place(workload.key)
        left = self._left_by_a_former_agent(workload.key)
        if left is not None:
            return _runtime_id(left)
        try:
            place.mkdir(parents=True)
            log = logfile.workload_log(self._logs, workload)
            log.parent.mkdir(parents=True, exist_ok=True)
            given = Specification(
                key=workload.key,
                room=room_of(workload, self._namespaces),
                arguments=arguments,
                environment=environment_of(workload),
                directory=workload.working_directory or "/",
                log=str(log),
            )
            (place / "spec").write_bytes(msgspec.msgpack.encode(given))
            with (place / "lock").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                supervisor = subprocess.Popen(
                    [sys.executable, "-m", "ecsnet.agent.runtimes.supervise", str(place), str(lock.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    start_new_session=True,
                    cwd="/",
                    pass_fds=(lock.fileno(),),
                )
        except OSError as error:
            raise WorkloadError(f"the process cannot be prepared: {error}") from error
        assert supervisor.stdout is not None
        with supervisor.stdout as words:
            said = words.read().decode("utf-8", "replace").strip()
        running = _read(place / "state", Running)
        if running is None:
            supervisor.wait()
            shutil.rmtree(place, ignore_errors=True)
            raise WorkloadError(said or "the supervisor of the process ended at once")
        self._children[workload.key] = supervisor
        self._watch(workload.key, running)
        return _runtime_id(running)

    def stop(self, key: str, timeout: float) -> Found | None:
        place = self._place(key)
        running = _read(place / "state", Running)
        if running is None:
            return None
        if _alive(place) and _read(place / "exit", Ending) is None:
            handle = os.pidfd_open(running.supervisor)
            with os.fdopen(handle, "rb"):
                _signal(running.process, signal.SIGTERM)
                if not _wait(handle, timeout):
                    _signal(running.process, signal.SIGKILL)
                    _wait(handle, _SETTLE)
        found = self._describe(key, running)
        self._watched.discard(key)
        child = self._children.pop(key, None)
        if child is not None:
            child.poll()
        shutil.rmtree(place, ignore_errors=True)
        return found

    def probe(self, workload: Workload, check: HealthCheck, timeout: float) -> bool:
        running = _read(self._place(workload.key) / "state", Running)
        if running is None:
            return False
        entered = [*_inside(running), *check.arguments]
        environment, nothing = environment_of(workload), subprocess.DEVNULL
        try:
            done = subprocess.run(
                entered, env=environment, stdin=nothing, stdout=nothing, stderr=nothing, timeout=timeout, cwd="/"
            )
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0

    def enter(self, workload: Workload, command: Sequence[str], extra: Mapping[str, str]) -> Entry:
        running = _read(self._place(workload.key) / "state", Running)
        if running is None:
            raise WorkloadError(f"container {workload.container} does not run")
        visit = Visit(environment={**environment_of(workload), **extra})
        arguments, environment = command_line(visit, command)
        return Entry(arguments=(*_inside(running), *arguments), environment=environment)

    def found(self) -> Sequence[Found]:
        result = []
        for place in self._directory.glob("*/spec"):
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                key = msgspec.msgpack.decode(place.read_bytes(), type=Specification).key
                running = _read(place.parent / "state", Running)
                if running is not None:
                    found = self._describe(key, running)
                    if not found.ended:
                        self._watch(key, running)
                    result.append(found)
        return tuple(result)

    def close(self) -> None:
        self._exits.close()

    def _left_by_a_former_agent(self, key: str) -> Running | None:
        """What an agent that died while it started this container has begun: adopted if it comes up, else cleared."""
        place = self._place(key)
        deadline = monotonic() + _SETTLE
        while (running := _read(place / "state", Running)) is None and _alive(place) and monotonic() < deadline:
            sleep(0.02)
        if running is not None:
            self._watch(key, running)
            return running
        shutil.rmtree(place, ignore_errors=True)
        return None

    def _place(self, key: str) -> Path:
        return self._directory / hashlib.sha256(key.encode()).hexdigest()[:24]

    def _watch(self, key: str, running: Running) -> None:
        if key not in self._watched:
            self._watched.add(key)
            self._exits.watch(running.supervisor, lambda: self._report(key, running))

    def _report(self, key: str, running: Running) -> None:
        if key in self._watched:
            self._ended(self._describe(key, running, over=True))

    def _describe(self, key: str, running: Running, *, over: bool = False) -> Found:
        ending = _read(self._place(key) / "exit", Ending)
        if ending is not None:
            return Found(key=key, runtime_id=_runtime_id(running), ended=True, exit_code=ending.code)
        if not over and _alive(self._place(key)):
            return Found(key=key, runtime_id=_runtime_id(running))
        # Without its supervisor nobody would learn of its end, so it does not go on alone.
        _signal(running.process, signal.SIGKILL)
        reason = "the supervisor of the process was killed, so its exit code is not known"
        return Found(key=key, runtime_id=_runtime_id(running), ended=True, reason=reason)


def _alive(place: Path) -> bool:
    """Whether the supervisor lives: it holds the lock until its end."""
    try:
        with (place / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True


def _runtime_id(running: Running) -> str:
    return f"process:{running.process}"


def _signal(process: int, number: signal.Signals) -> None:
    """To the command's whole session: it was made its leader."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process, number)


def _wait(handle: int, timeout: float) -> bool:

    return bool(select.select([handle], [], [], timeout)[0])


def _inside(running: Running) -> list[str]:
    """The beginning of a command line that is run where a container's process is."""
    return ["nsenter", "--target", str(running.process), "--net", "--mount", "--uts", "--wd", "--"]


def _read(path: Path, kind: type[T]) -> T | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
