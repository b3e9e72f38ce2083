"""Real containers, by podman's API: the image's files and process, the task's network namespace.

Cgroups are off (`cgroups_mode` disabled): on cgroup v1 and hybrid machines crun refuses anything else inside the world,
so CPU and memory limits of a task definition are not enforced.
"""

from __future__ import annotations

import hashlib
import resource
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

from ecsnet.agent.driver import Namespaces
from ecsnet.agent.runtimes import logfile
from ecsnet.agent.runtimes.exits import ExitWatch
from ecsnet.agent.runtimes.podman_api import Listed, PodmanApi, PodmanError
from ecsnet.agent.runtimes.podman_store import SOCKET, Store
from ecsnet.agent.runtimes.runtime import Ended, Entry, Found, RuntimeName, WorkloadError
from ecsnet.hostplan.workload import HealthCheck, Workload

LABEL = "ecsnet.workload"
"""Its value is the workload's key: how a fresh agent recognises its containers."""

READY = 20.0
"""Seconds within which the API service must answer."""

MOST_FILES, MOST_PROCESSES = 65_536, 30_000
"""Limits of a container at most. Podman's own wishes (1,048,576 files) fail without CAP_SYS_RESOURCE."""


class PodmanRuntime:
    """Starts the API service when first needed; containers go on without it and without the agent."""

    def __init__(self, store: Store, logs: Path, log_path: Path, namespaces: Namespaces, *, ended: Ended) -> None:
        self._store = store
        self._logs = logs
        self._log_path = log_path
        self._namespaces = namespaces
        self._ended = ended
        self._api = PodmanApi(SOCKET)
        self._exits = ExitWatch()
        self._lock = threading.Lock()
        self._service: subprocess.Popen[bytes] | None = None
        self._watched: set[str] = set()

    @property
    def name(self) -> RuntimeName:
        return "podman"

    def start(self, workload: Workload) -> str:
        image = self._store.image(workload.image)
        if image is None:
            raise WorkloadError(
                f"the image {workload.image} is not present; ecsnet does not pull: load it with podman, "
                "or leave the runtime on auto to have a stand-in"
            )
        self._serve()
        container = container_name(workload.key)
        specification = _specification(workload, image, self._namespaces.path(workload.netns), self._log(workload))
        try:
            # What is left of an attempt that was interrupted.
            self._api.remove(container)
            identifier = self._api.create(specification)
            try:
                self._api.start(container)
                pid = int(self._api.inspect(container)["State"]["Pid"])
            except PodmanError:
                self._api.remove(container)
                raise
        except PodmanError as error:
            raise WorkloadError(str(error)) from error
        self._watch(workload.key, identifier, pid)
        return identifier

    def stop(self, key: str, timeout: float) -> Found | None:
        if not self._needed():
            return None
        self._serve()
        container = container_name(key)
        try:
            found = next((one for one in self._api.list(f"{LABEL}={key}")), None)
            if found is None:
                return None
            if found.state not in ("exited", "stopped"):
                self._api.stop(container, int(timeout))
            state = self._api.inspect(container)["State"]
            self._api.remove(container)
        except PodmanError as error:
            raise WorkloadError(str(error)) from error
        with self._lock:
            self._watched.discard(found.id)
        return Found(key=key, runtime_id=found.id, ended=True, exit_code=int(state["ExitCode"]), reason=_reason(state))

    def probe(self, workload: Workload, check: HealthCheck, timeout: float) -> bool:
        try:
            return self._api.run(container_name(workload.key), check.arguments, timeout) == 0
        except PodmanError:
            return False

    def enter(self, workload: Workload, command: Sequence[str], extra: Mapping[str, str]) -> Entry:
        variables = [f"--env={name}={value}" for name, value in extra.items()]
        name = container_name(workload.key)
        arguments = self._store.command("exec", "--interactive", "--tty", *variables, name, *command)
        return Entry(arguments=tuple(arguments), environment=self._store.variables())

    def found(self) -> Sequence[Found]:
        if not self._needed():
            return ()
        self._serve()
        try:
            listed = self._api.list(LABEL)
        except PodmanError as error:
            raise WorkloadError(str(error)) from error
        for one in listed:
            if one.pid:
                self._watch(one.labels[LABEL], one.id, one.pid)
        # One that was created but never started does not count: it is made anew.
        return tuple(_found(one) for one in listed if one.state not in ("created", "configured", "initialized"))

    def close(self) -> None:
        self._exits.close()

    def present(self, image: str) -> bool:
        """Whether an image is there to be run."""
        return self._store.image(image) is not None

    def _needed(self) -> bool:
        return self._service is not None or self._store.holds_containers()

    def _serve(self) -> None:
        """See to it that the API service answers. Raises WorkloadError."""
        with self._lock:
            if self._service is not None and self._service.poll() is None:
                return
            if self._api.alive():  # left by a former agent
                return
            try:
                self._store.prepare()
                with self._log_path.open("ab") as log:
                    self._service = subprocess.Popen(
                        self._store.command("system", "service", "--time", "0", f"unix://{SOCKET}"),
                        env=self._store.environment(),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                        cwd="/",
                    )
            except FileNotFoundError as error:
                raise WorkloadError("podman is not installed; it is needed to run real images") from error
            except OSError as error:
                raise WorkloadError(f"podman's files cannot be written: {error}") from error
            deadline = monotonic() + READY
            while not self._api.alive():
                try:
                    self._service.wait(0.02)
                except subprocess.TimeoutExpired:
                    if monotonic() < deadline:
                        continue
                raise WorkloadError(f"podman's API service does not start; see {self._log_path}")

    def _watch(self, key: str, identifier: str, pid: int) -> None:
        with self._lock:
            if identifier in self._watched:
                return
            self._watched.add(identifier)
        if pid:
            self._exits.watch(pid, lambda: self._later(lambda: self._report(key, identifier)))
        else:  # it has ended already
            self._later(lambda: self._report(key, identifier))

    def _later(self, call: Callable[[], None]) -> None:
        threading.Thread(target=call, name="podman-exit", daemon=True).start()

    def _report(self, key: str, identifier: str) -> None:
        """The process is gone; conmon writes the exit code a moment later, which `wait` waits for."""
        try:
            code = self._api.wait(identifier)
            reason = _reason(self._api.inspect(identifier)["State"])
        except PodmanError:
            return  # removed by `stop`, which has told its exit code
        with self._lock:
            still = identifier in self._watched
        if still:
            self._ended(Found(key=key, runtime_id=identifier, ended=True, exit_code=code, reason=reason))

    def _log(self, workload: Workload) -> Path:
        path = logfile.workload_log(self._logs, workload)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def container_name(key: str) -> str:
    """The name in podman: generated, so that user text never is one."""
    return "ecsnet-" + hashlib.sha256(key.encode()).hexdigest()[:24]


def _limit(kind: str, number: int, most: int) -> Mapping[str, Any]:
    hard = resource.getrlimit(number)[1]
    value = most if hard == resource.RLIM_INFINITY else min(most, hard)
    return {"type": kind, "hard": value, "soft": value}


def _specification(workload: Workload, image: str, netns: Path, log: Path) -> Mapping[str, Any]:
    given: dict[str, Any] = {
        "name": container_name(workload.key),
        "image": image,
        "labels": {LABEL: workload.key},
        "env": dict(workload.environment),
        "netns": {"nsmode": "path", "value": str(netns)},
        "cgroups_mode": "disabled",
        "r_limits": [
            _limit("nofile", resource.RLIMIT_NOFILE, MOST_FILES),
            _limit("nproc", resource.RLIMIT_NPROC, MOST_PROCESSES),
        ],
        "dns_search": list(workload.search),
        "hostadd": [f"{name}:{address}" for address, name in workload.hosts],
        "log_configuration": {"driver": "k8s-file", "path": str(log)},
        "stop_timeout": workload.stop_timeout,
    }
    optional = {
        "entrypoint": list(workload.entry_point),
        "command": list(workload.command),
        "work_dir": workload.working_directory,
        "user": workload.user,
        "hostname": workload.hostname,
        "dns_server": [workload.nameserver] if workload.nameserver else None,
    }
    given.update((name, value) for name, value in optional.items() if value)
    return given


def _reason(state: Mapping[str, Any]) -> str | None:
    return "OutOfMemoryError: Container killed due to memory usage" if state.get("OOMKilled") else None


def _found(one: Listed) -> Found:
    ended = one.state in ("exited", "stopped")
    return Found(key=one.labels[LABEL], runtime_id=one.id, ended=ended, exit_code=one.exit_code if ended else None)
