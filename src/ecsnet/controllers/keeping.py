"""What keeps the tasks of a deployment or of a task set at their number: stopping, and how fast to start."""

from __future__ import annotations

from collections.abc import Sequence

from ecsnet.controllers import members
from ecsnet.controllers.containers import BRIEF_RUN
from ecsnet.model.ecs import Deployment, Service, Task, TaskStatus
from ecsnet.model.tables import SERVICES
from ecsnet.services.call import Call
from ecsnet.services.ecs import events
from ecsnet.services.ecs import ops as ecs_ops

LARGEST_BATCH = 25
"""Tasks started in one step, so that no transaction grows with the desired count."""

_FREE_FAILURES = 3
_FIRST_DELAY = 10.0
_LONGEST_DELAY = 900.0
"""Tasks that keep failing to start are started at growing intervals of up to 15 minutes (Developer Guide, "Service
throttle logic"). The guide gives only the end of the scale; here it begins after three failures, at ten seconds, and
doubles."""


def stop_all(
    call: Call,
    service: Service,
    deployment: str,
    stop: Sequence[str],
    seen: Sequence[members.Seen],
    tasks: dict[str, Task],
) -> Service:
    """Ask the chosen tasks to stop, say why, and count what failed its health checks. `tasks` are the service's."""
    by_task = {one.member.task: one for one in seen}
    for arn in stop:
        failure = by_task[arn].failure
        reason = scaling(service, deployment)
        if failure is not None:
            reason = failure.reason
            service = call.tx.put(SERVICES, ecs_ops.with_failed_task(service, tasks[arn].deployment))
        ecs_ops.request_stop(call, tasks[arn], code="ServiceSchedulerInitiated", reason=reason)
    if stop:
        text = events.stopped([tasks[arn].id for arn in stop])
        service = events.add(call, service, text, deployment=events.task_set(service, deployment))
    return service


def scaling(service: Service, deployment: str) -> str:
    """The stoppedReason of a task that its service no longer wants."""
    who = "taskSet" if service.controller == "EXTERNAL" else "deployment"
    return f"Scaling activity initiated by ({who} {deployment})"


def allowed(
    call: Call, service: Service, deployment: Deployment, wanted: int, tasks: Sequence[Task]
) -> tuple[int, float | None]:
    """How many of the wanted starts may happen now, and when to try again if starts are throttled."""
    if wanted == 0 or deployment.rollout == "FAILED":
        return 0, None
    throttled = service.failed_starts >= _FREE_FAILURES and service.last_failed_start is not None
    if not throttled or _has_run(call, deployment, tasks):
        return min(wanted, LARGEST_BATCH), None
    assert service.last_failed_start is not None
    delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(service.failed_starts - _FREE_FAILURES, 10))
    earliest = service.last_failed_start + delay / call.settings.speed
    return (min(wanted, LARGEST_BATCH), None) if call.now >= earliest else (0, earliest)


def _has_run(call: Call, deployment: Deployment, tasks: Sequence[Task]) -> bool:
    """Whether a task of the deployment has been running for longer than a brief run.

    One of an older deployment says nothing about the definition that fails.
    """
    return any(
        task.deployment == deployment.id
        and task.last_status is TaskStatus.RUNNING
        and task.started is not None
        and call.now - task.started >= BRIEF_RUN / call.settings.speed
        for task in tasks
    )
