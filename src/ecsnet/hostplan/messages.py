"""What control and agent say to each other over a UNIX stream socket: length-prefixed msgpack messages.

A connection begins with `Sync` from control (the whole plan); the agent computes the difference to what it has. Then
control sends a `Delta` per revision. The agent answers `Applied` when everything of a revision is in force (or names
what is not), and sends observations whenever it sees something. Asks are request/response and may overlap.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from ecsnet.hostplan.plan import HostObjectUnion


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    pass


# ── control → agent ──────────────────────────────────────────────────────────────────────────────────────────────


class Sync(Message, frozen=True, kw_only=True, gc=False, tag=True):
    """The whole plan at a revision."""

    revision: int
    speed: float
    objects: tuple[HostObjectUnion, ...]


class Delta(Message, frozen=True, kw_only=True, gc=False, tag=True):
    """What changed up to a revision: objects to make or replace, keys to remove."""

    revision: int
    put: tuple[HostObjectUnion, ...]
    remove: tuple[str, ...]


class Ask(Message, frozen=True, kw_only=True, gc=False, tag=True):
    """A question to the agent; `topic` names the handler, `argument` is JSON text that it defines."""

    id: int
    topic: str
    argument: bytes = b"{}"


# ── agent → control ──────────────────────────────────────────────────────────────────────────────────────────────


class Hello(Message, frozen=True, kw_only=True, gc=False, tag=True):
    """First message of the agent: who it is and what this machine can do."""

    pid: int
    rootless: bool
    notes: tuple[str, ...] = ()
    """Plain sentences for `ecsnet status`, for example "cpu and memory limits are not enforced (cgroup v1)"."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    key: str
    text: str


class Applied(Message, frozen=True, kw_only=True, gc=False, tag=True):
    """Everything up to `revision` was attempted; what failed (or waits for something that failed) is listed."""

    revision: int
    failures: tuple[Failure, ...] = ()


class ContainerSeen(Message, frozen=True, kw_only=True, gc=False, tag=True):
    """A container's process was seen in this state. `key` is the Workload's key."""

    key: str
    state: Literal["starting", "running", "stopped", "failed"]
    runtime: Literal["stand-in", "podman", "process"]
    runtime_id: str
    exit_code: int | None = None
    reason: str | None = None
    health: Literal["HEALTHY", "UNHEALTHY"] | None = None
    """What its health check says; None where none is run, and before the first result."""
    restarts: int = 0
    """How often its restart policy has started it again since `counted_from`."""
    counted_from: float = 0.0
    """When the agent that says this began to live; it knows of no restart before."""
    at: float


class TargetSeen(Message, frozen=True, kw_only=True, gc=False, tag=True):
    """A load balancer's probe result changed. `group` is the target group's name in the plan (its owner ARN)."""

    group: str
    address: str
    port: int
    healthy: bool
    reason: str | None = None
    """AWS reason code (Target.Timeout, Target.ResponseCodeMismatch, Target.FailedHealthChecks)."""
    description: str | None = None
    at: float


class LogLine(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    at: float
    """Epoch seconds."""
    text: str


class LogLines(Message, frozen=True, kw_only=True, gc=False, tag=True):
    """Lines that a container wrote, for the log group that its awslogs driver names."""

    account: str
    region: str
    group: str
    stream: str
    lines: tuple[LogLine, ...]


class Answer(Message, frozen=True, kw_only=True, gc=False, tag=True):
    id: int
    ok: bool
    result: bytes
    """JSON; when not ok: {"error": sentence}."""


ToAgent = Sync | Delta | Ask
ToControl = Hello | Applied | ContainerSeen | TargetSeen | LogLines | Answer
