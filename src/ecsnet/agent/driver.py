"""What a driver is: the part of the agent that makes and keeps one sort of host object.

Drivers hold no truth. The converge loop owns what is desired; a driver looks at the machine (`observe`) and changes it
(`apply`). All calls come from the converge thread, one at a time; anything that takes longer than a few milliseconds
(starting a container, waiting for a proxy to acknowledge) is begun by `apply` and reported later through
`AgentContext.emit`. Must not import control's packages.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from ecsnet.hostplan.kernel import HostObject
from ecsnet.hostplan.messages import ToControl

AskHandler = Callable[[bytes], bytes]
"""Answers one ask: JSON argument in, JSON result out. Runs on a thread of its own; raises AskError to refuse."""


class AskError(Exception):
    """The ask cannot be answered; the text is one sentence for the user."""


class Driver(Protocol):
    """Makes and keeps the host objects of `kinds`."""

    @property
    def kinds(self) -> tuple[type[HostObject], ...]:
        """The host object types that this driver is responsible for; no two drivers share one."""

    def observe(self, desired: Mapping[str, HostObject]) -> Mapping[str, HostObject | None]:
        """Look at the machine and say what exists, by key, without changing anything.

        `desired` holds the wanted objects of this driver's kinds. For what exists and is in effect equal to the wanted
        object, return that object; for anything else that ecsnet owns, another object or None ("there, but not as
        wanted"). Foreign things are left out. Called on start before the first change, after a failure, and slowly
        by a timer, so it must not trust the driver's own memory.
        """

    def apply(self, put: Sequence[HostObject], remove: Sequence[str]) -> Mapping[str, str]:
        """Make or replace objects and remove keys; the answer names what failed: key → one sentence.

        Everything that `put` needs is in force or in `put` itself. Putting what already is in force and removing what
        is not there succeed without effect. What fails is tried again later with back-off.
        """

    def close(self) -> None:
        """Release sockets and threads; everything made stays (the next agent adopts it)."""


@runtime_checkable
class Patrolled(Protocol):
    """A driver whose part of the machine can be watched beside the converge thread."""

    def suspects(self, desired: Mapping[str, HostObject]) -> Collection[str]:
        """Keys that may not be as wanted (or not wanted at all). Runs on the patrol's thread, at the same time as
        `apply`: it only reads, and a false suspicion costs a look. `desired` is a copy, of this driver's kinds."""


def differences(found: Mapping[str, HostObject | None], desired: Mapping[str, HostObject]) -> set[str]:
    """The keys of what is missing, of what is there without being wanted, and of what is there but not as wanted."""
    return {key for key in found.keys() | desired.keys() if found.get(key) != desired.get(key) or key not in found}


class Namespaces(Protocol):
    """Access to the network namespaces of this world by name."""

    def inside(self, name: str) -> AbstractContextManager[None]:
        """Run the calling thread inside the namespace: `with namespaces.inside("r0123456789ab"): socket.socket(…)`.

        Sockets made inside stay there. Only the calling thread moves. Raises FileNotFoundError when it does not exist.
        """

    def path(self, name: str) -> Path:
        """The file that pins the namespace (for `nsenter --net=`, Envoy's and podman's network namespace path)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentContext:
    """What the agent gives to every driver at construction."""

    state: Path
    """The state directory on disk (sockets, logs, files of detached processes)."""
    namespaces: Namespaces
    emit: Callable[[ToControl], None]
    """Sends an observation to control (any thread). While control is away the newest per key is kept for it."""
    wake: Callable[[], None]
    """Asks for a full read-back soon (any thread), for example because a process died that should live."""
    now: Callable[[], float]
    """Seconds since the epoch."""
    speed: Callable[[], float]
    """The factor by which control-plane timers are divided."""
    rootless: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one driver module contributes to the agent: its driver and the asks that it answers."""

    driver: Driver
    asks: Mapping[str, AskHandler]
    told: Callable[[], Sequence[ToControl]] = tuple
    """What it has told control and still holds; told again to a control that connects anew (any thread)."""


PartFactory = Callable[[AgentContext], Part]
