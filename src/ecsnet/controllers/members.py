"""What one task of a service is worth to the scheduler: running, healthy, failing; and when that changes by itself."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ecsnet.controllers.rollout import Member
from ecsnet.model.ecs import Service, Task, TaskStatus
from ecsnet.model.tables import CONTAINER_INSTANCES
from ecsnet.services.call import Call
from ecsnet.services.ecs import events
from ecsnet.services.elbv2 import ops as elbv2_ops

SETTLING = 40.0
"""Seconds after RUNNING until a task without load balancer and container health checks counts as healthy (ECS API,
`minimumHealthyPercent`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a task is to be replaced: what its service says of it, and the stoppedReason."""

    event: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    member: Member
    failure: Failure | None = None
    due: float | None = None
    """When the member changes although nothing else does (end of the settling time or of the grace period)."""


def look(call: Call, service: Service, task: Task, *, primary: str) -> Seen:
    """Judge one task that is to run. `primary` is the id of the deployment whose tasks are wanted."""
    seen = _judge(call, service, task, primary)
    leaves = _drains(call, task)
    protected = task.protected_until is not None and call.now < task.protected_until
    due = min((at for at in (seen.due, task.protected_until if protected else None) if at is not None), default=None)
    member = dataclasses.replace(seen.member, primary=seen.member.primary and not leaves, protected=protected)
    return dataclasses.replace(seen, member=member, due=due)


def _drains(call: Call, task: Task) -> bool:
    """A task on a draining instance is replaced as if it were of an older deployment (Developer Guide, "Draining")."""
    row = call.tx.get(CONTAINER_INSTANCES, task.container_instance) if task.container_instance else None
    return row is not None and row.status == "DRAINING"


def _judge(call: Call, service: Service, task: Task, primary: str) -> Seen:
    running = task.last_status is TaskStatus.RUNNING and task.started is not None
    if not running:
        return Seen(member=_member(primary, task, running=False, healthy=False, failing=False))
    assert task.started is not None
    grace_ends = task.started + (service.health_check_grace_seconds or 0) / call.settings.speed
    if any(one.health == "UNHEALTHY" for one in task.containers):
        failing = call.now >= grace_ends
        member = _member(primary, task, running=True, healthy=False, failing=failing)
        failure = Failure(event=None, reason="Task failed container health checks")
        return Seen(member=member, failure=failure) if failing else Seen(member=member, due=grace_ends)
    if not task.registrations:
        settled = task.started + SETTLING / call.settings.speed
        healthy = call.now >= settled or any(one.health == "HEALTHY" for one in task.containers)
        member = _member(primary, task, running=True, healthy=healthy, failing=False)
        return Seen(member=member, due=None if healthy else settled)
    failed = _failure(call, task)
    if failed is None:
        member = _member(primary, task, running=True, healthy=_all_healthy(call, task), failing=False)
        return Seen(member=member)
    if call.now < grace_ends:
        return Seen(member=_member(primary, task, running=True, healthy=False, failing=False), due=grace_ends)
    return Seen(member=_member(primary, task, running=True, healthy=False, failing=True), failure=failed)


def _member(primary: str, task: Task, *, running: bool, healthy: bool, failing: bool) -> Member:
    return Member(
        task=task.arn,
        primary=task.deployment == primary,
        running=running,
        healthy=healthy,
        failing=failing,
        az=task.az,
        place=task.container_instance,
        created=task.created,
    )


def _all_healthy(call: Call, task: Task) -> bool:
    return all(
        elbv2_ops.target_state(call.tx, one.target_group, one.id, one.port) == "healthy" for one in task.registrations
    )


def _failure(call: Call, task: Task) -> Failure | None:
    """The first target of the task that its load balancer does not accept.

    A target in a zone that is not enabled for the load balancer fails like an unhealthy one (Elastic Load Balancing,
    `Target.NotInUse`); a target group that no listener uses any more does not make its tasks fail.
    """
    for one in task.registrations:
        health = elbv2_ops.target_health(call.tx, one.target_group, one.id, one.port)
        outside = health.reason == "Target.NotInUse" and "Availability Zone" in (health.description or "")
        if health.state == "unhealthy" or outside or health.reason == "Target.NotRegistered":
            description = health.description or "Health checks failed"
            return Failure(
                event=events.unhealthy(task.id, one.port, one.target_group, description),
                reason=f"Task failed ELB health checks in (target-group {one.target_group})",
            )
    return None
