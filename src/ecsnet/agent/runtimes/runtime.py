"""What a runtime is: one way to run a container. Calls block; the workload driver makes them on worker threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ecsnet.hostplan.workload import HealthCheck, Workload

RuntimeName = Literal["stand-in", "podman", "process"]


class WorkloadError(Exception):
    """A container could not be started or stopped; the text is one sentence for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A container that the runtime holds. `exit_code` and `reason` are set once it has ended."""

    key: str
    runtime_id: str
    ended: bool = False
    exit_code: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A command line that runs something in a container, and the variables it needs; to be run inside the world."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]


Ended = Callable[[Found], None]


class Runtime(Protocol):
    @property
    def name(self) -> RuntimeName: ...

    def start(self, workload: Workload) -> str:
        """Start a container and return the runtime's id for it. Raises WorkloadError."""

    def stop(self, key: str, timeout: float) -> Found | None:
        """End a container (politely for `timeout` seconds) and forget it; what it was, or None if there was none.

        Raises WorkloadError when it could not be removed.
        """

    def probe(self, workload: Workload, check: HealthCheck, timeout: float) -> bool:
        """Run a health check inside a running container, for `timeout` seconds at most; whether it passed."""

    def enter(self, workload: Workload, command: Sequence[str], extra: Mapping[str, str]) -> Entry:
        """How to run a command in a running container with a terminal, with `extra` variables in its environment.

        Raises WorkloadError.
        """

    def found(self) -> Sequence[Found]:
        """Everything the runtime holds now, ended containers included, as the machine says. Raises WorkloadError."""

    def close(self) -> None:
        """Release threads and sockets; containers go on."""
