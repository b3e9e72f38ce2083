"""Deployments of a service: completion and the circuit breaker (Developer Guide, "Deployment circuit breaker")."""

from __future__ import annotations

from typing import Any

import msgspec

from ecsnet.model.ecs import CircuitBreaker, Deployment, Service
from ecsnet.services.call import Call
from ecsnet.services.ecs import events
from ecsnet.services.ecs import ops as ecs_ops

_FAILED = "ECS deployment circuit breaker: tasks failed to start."

_SMALLEST, _LARGEST = 3, 200
"""Bounds of the default threshold."""


def threshold(breaker: CircuitBreaker, desired: int) -> int:
    """The failed tasks at which a deployment has failed."""
    match breaker.kind:
        case "COUNT":
            return breaker.value
        case "UNBOUNDED_PERCENT":
            return max(1, _share(desired, breaker.value))
        case "BOUNDED_PERCENT":
            return min(max(_share(desired, breaker.value), _SMALLEST), _LARGEST)


def _share(desired: int, percent: int) -> int:
    return -(-desired * percent // 100)


def check_breaker(call: Call, service: Service) -> Service:
    """Fail the PRIMARY deployment when too many of its tasks failed, and roll back if asked to and possible."""
    primary, breaker = service.deployments[0], service.circuit_breaker
    if breaker is None or not breaker.enable or primary.rollout != "IN_PROGRESS":
        return service
    if primary.failed_tasks < threshold(breaker, service.desired):
        return service
    service = events.add(call, service, events.FAILED)
    failed = _changed(
        call,
        primary,
        rollout="FAILED",
        rollout_reason=_FAILED,
    )
    earlier = next((one for one in service.deployments[1:] if one.was_completed), None)
    if not breaker.rollback or earlier is None:
        ecs_ops.finish_deployment(call, service, primary, "STOPPED", reason=_FAILED)
        return msgspec.structs.replace(service, deployments=(failed, *service.deployments[1:]))
    ecs_ops.finish_deployment(call, service, primary, "ROLLBACK_IN_PROGRESS", reason=_FAILED, back_to=earlier)
    again = _changed(
        call,
        earlier,
        status="PRIMARY",
        desired=service.desired,
        rollout="IN_PROGRESS",
        rollout_reason=f"ECS deployment circuit breaker: rolling back to deploymentId {earlier.id}.",
        failed_tasks=0,
    )
    others = tuple(one for one in service.deployments[1:] if one.id != earlier.id)
    service = events.add(call, service, f"rolling back to deployment {earlier.id}.")
    return msgspec.structs.replace(
        service,
        deployments=(again, _changed(call, failed, status="ACTIVE", desired=0), *others),
        load_balancers=again.load_balancers,
        failed_starts=0,
        last_failed_start=None,
    )


def complete(call: Call, service: Service) -> Service:
    """Every task of PRIMARY runs and nothing else does: the deployment is completed and older ones are dropped."""
    primary = service.deployments[0]
    if primary.rollout == "IN_PROGRESS":
        primary = _changed(
            call,
            primary,
            rollout="COMPLETED",
            rollout_reason=f"ECS deployment {primary.id} completed.",
            was_completed=True,
        )
        service = events.add(call, service, events.completed(primary.id))
        ecs_ops.deployment_completed(call, msgspec.structs.replace(service, deployments=(primary,)))
    if not service.steady:
        service = events.add(call, service, events.STEADY)
    return msgspec.structs.replace(service, deployments=(primary,), steady=True)


def _changed(call: Call, deployment: Deployment, **fields: Any) -> Deployment:
    return msgspec.structs.replace(deployment, updated=call.now, **fields)
