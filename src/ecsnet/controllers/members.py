"""What one task of a service is worth to the scheduler: running, healthy, failing; and when that changes by itself."""

from __future__ import annotations

from dataclasses import dataclass

from ecsnet.controllers.rollout import Member
from ecsnet.model.ecs import Service, Task, TaskStatus
from ecsnet.services.call import Call
from ecsnet.services.elbv2 import ops as elbv2_ops

SETTLING = 40.0
"""Seconds after RUNNING until a task without load balancer and container health checks counts as healthy (ECS API,
`minimumHealthyPercent`)."""

Failure = tuple[int, str, str]
"""(port, target group ARN, description)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    member: Member
    failure: Failure | None = None
    due: float | None = None
    """When the member changes although nothing else does (end of the settling time or of the grace period)."""


def look(call: Call, service: Service, task: Task) -> Seen:
    """Judge one task that is to run."""
    running = task.last_status is TaskStatus.RUNNING and task.started is not None
    if not running:
        return Seen(member=_member(service, task, running=False, healthy=False, failing=False))
    assert task.started is not None
    if not task.registrations:
        settled = task.started + SETTLING / call.settings.speed
        healthy = call.now >= settled
        member = _member(service, task, running=True, healthy=healthy, failing=False)
        return Seen(member=member, due=None if healthy else settled)
    failure = _failure(call, task)
    if failure is None:
        member = _member(service, task, running=True, healthy=_all_healthy(call, task), failing=False)
        return Seen(member=member)
    grace_ends = task.started + (service.health_check_grace_seconds or 0) / call.settings.speed
    if call.now < grace_ends:
        return Seen(member=_member(service, task, running=True, healthy=False, failing=False), due=grace_ends)
    return Seen(member=_member(service, task, running=True, healthy=False, failing=True), failure=failure)


def _member(service: Service, task: Task, *, running: bool, healthy: bool, failing: bool) -> Member:
    return Member(
        task=task.arn,
        primary=task.deployment == service.deployments[0].id,
        running=running,
        healthy=healthy,
        failing=failing,
        az=task.az,
        created=task.created,
    )


def _all_healthy(call: Call, task: Task) -> bool:
    return all(
        elbv2_ops.target_state(call.tx, one.target_group, str(task.private_ip), one.port) == "healthy"
        for one in task.registrations
    )


def _failure(call: Call, task: Task) -> Failure | None:
    """The first target of the task that its load balancer does not accept.

    A target in a zone that is not enabled for the load balancer fails like an unhealthy one (Elastic Load Balancing,
    `Target.NotInUse`); a target group that no listener uses any more does not make its tasks fail.
    """
    for one in task.registrations:
        health = elbv2_ops.target_health(call.tx, one.target_group, str(task.private_ip), one.port)
        outside = health.reason == "Target.NotInUse" and "Availability Zone" in (health.description or "")
        if health.state == "unhealthy" or outside or health.reason == "Target.NotRegistered":
            return one.port, one.target_group, health.description or "Health checks failed"
    return None
