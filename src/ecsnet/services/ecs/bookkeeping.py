"""What a service remembers about its tasks' starts: the throttle and the deployment circuit breaker count them."""

from __future__ import annotations

import msgspec

from ecsnet.model.ecs import Deployment, Service, Task
from ecsnet.model.tables import SERVICES
from ecsnet.services.call import Call


def count_failed_start(call: Call, task: Task) -> None:
    """A task stopped without having run."""
    service = _service(call, task)
    if service is not None:
        service = with_failed_task(service, task.deployment)
        _throttle(call, service)


def count_brief_run(call: Call, task: Task) -> None:
    """A task ended right after its start: the next starts are throttled, the circuit breaker does not count it."""
    service = _service(call, task)
    if service is not None:
        _throttle(call, service)


def count_successful_start(call: Call, task: Task) -> None:
    """A task reached RUNNING. The throttle stays until a task has run for a while (`end_throttle`)."""
    service = _service(call, task)
    breaker = service.circuit_breaker if service is not None else None
    if service is not None and breaker is not None and breaker.reset_on_healthy:
        deployments = tuple(
            msgspec.structs.replace(one, failed_tasks=0) if one.id == task.deployment else one
            for one in service.deployments
        )
        call.tx.put(SERVICES, msgspec.structs.replace(service, deployments=deployments))


def with_failed_task(service: Service, deployment: str | None) -> Service:
    """The service with one more failed task of a deployment."""
    return msgspec.structs.replace(
        service,
        deployments=tuple(_failed(one) if one.id == deployment else one for one in service.deployments),
    )


def _failed(deployment: Deployment) -> Deployment:
    return msgspec.structs.replace(deployment, failed_tasks=deployment.failed_tasks + 1)


def _throttle(call: Call, service: Service) -> None:
    call.tx.put(
        SERVICES,
        msgspec.structs.replace(service, failed_starts=service.failed_starts + 1, last_failed_start=call.now),
    )


def _service(call: Call, task: Task) -> Service | None:
    return call.tx.get(SERVICES, task.service) if task.service is not None else None
