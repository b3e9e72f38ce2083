"""The service scheduler: keeps the desired count, rolls deployments out, replaces what fails (Developer Guide, "Amazon
ECS services").

Each step looks at the tasks of one service, decides by `rollout.decide`, and carries that out.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ecsnet.controllers import daemon, deployments, members, starts
from ecsnet.controllers.containers import BRIEF_RUN
from ecsnet.controllers.rollout import Member, decide, decide_daemon
from ecsnet.model.ecs import Service, Task, TaskStatus
from ecsnet.model.tables import SERVICES, UNSTOPPED_TASKS_BY_SERVICE
from ecsnet.services.call import Call
from ecsnet.services.ecs import events
from ecsnet.services.ecs import ops as ecs_ops

INACTIVE_KEPT = 3600.0
"""Seconds for which a deleted service can be described."""

LARGEST_BATCH = 25
"""Tasks started in one step, so that no transaction grows with the desired count."""

_FREE_FAILURES = 3
_FIRST_DELAY = 10.0
_LONGEST_DELAY = 900.0
"""Tasks that keep failing to start are started at growing intervals of up to 15 minutes (Developer Guide, "Service
throttle logic"). The guide gives only the end of the scale; here it begins after three failures, at ten seconds, and
doubles."""


def step(call: Call, arn: str) -> float | None:
    """Bring one service closer to what it wants; answers when it must be looked at although nothing changes."""
    service = call.tx.get(SERVICES, arn)
    if service is None:
        return None
    match service.status:
        case "ACTIVE":
            return _keep(call, service)
        case "DRAINING":
            return _drain(call, service)
        case "INACTIVE":
            return _expire(call, service)


def _keep(call: Call, service: Service) -> float | None:
    service = _put(call, deployments.check_breaker(call, service))
    tasks = {task.arn: task for task in call.tx.find(UNSTOPPED_TASKS_BY_SERVICE, service.arn)}
    wanted = [task for task in tasks.values() if task.desired_status == "RUNNING"]
    seen = [members.look(call, service, task) for task in wanted]
    found = [one.member for one in seen]
    due = min((one.due for one in seen if one.due is not None), default=None)
    for one in seen:
        if one.failure is not None and one.failure.event is not None:
            service = events.warn(call, service, one.failure.event)

    if service.scheduling == "DAEMON":
        service, places = daemon.places(call, service)
        daemons = decide_daemon(places, service.minimum_healthy_percent, found)
        stop, count = daemons.stop, len(daemons.start)
    else:
        decision = decide(service.desired, service.minimum_healthy_percent, service.maximum_percent, found)
        stop, count = decision.stop, decision.start
        if decision.blocked:
            service = events.warn(call, service, events.BLOCKED)
    service = _stop_all(call, service, stop, seen, tasks)
    start, retry = _allowed(call, service, count, wanted)
    if retry is not None:
        service = events.warn(call, service, events.IMPAIRED)
        due = retry if due is None else min(due, retry)
    if service.scheduling == "DAEMON":
        service = starts.daemons(call, service, daemons.start[:start])
    else:
        service = starts.replicas(call, service, start, wanted)
    if not stop and not start and _at_rest(service, found):
        service = deployments.complete(call, service)
    elif service.steady and (stop or start):
        service = msgspec.structs.replace(service, steady=False)
    _put(call, service)
    return due


def _put(call: Call, service: Service) -> Service:
    return call.tx.put(SERVICES, service)


def _at_rest(service: Service, found: list[Member]) -> bool:
    """Whether exactly the desired tasks of PRIMARY run, and pass the load balancer's checks if there is one."""
    if len(found) != service.desired or service.deployments[0].rollout == "FAILED":
        return False
    return all(one.primary and one.running and not one.failing for one in found) and (
        not service.load_balancers or all(one.healthy for one in found)
    )


def _stop_all(
    call: Call, service: Service, stop: Sequence[str], seen: list[members.Seen], tasks: dict[str, Task]
) -> Service:
    """Ask the chosen tasks to stop, say why, and count what failed its health checks."""
    by_task = {one.member.task: one for one in seen}
    for arn in stop:
        failure = by_task[arn].failure
        reason = f"Scaling activity initiated by (deployment {service.deployments[0].id})"
        if failure is not None:
            reason = failure.reason
            service = _put(call, ecs_ops.with_failed_task(service, tasks[arn].deployment))
        ecs_ops.request_stop(call, tasks[arn], code="ServiceSchedulerInitiated", reason=reason)
    if stop:
        service = events.add(call, service, events.stopped([tasks[arn].id for arn in stop]))
    return service


def _allowed(call: Call, service: Service, wanted: int, tasks: list[Task]) -> tuple[int, float | None]:
    """How many of the wanted starts may happen now, and when to try again if starts are throttled."""
    if wanted == 0 or service.deployments[0].rollout == "FAILED":
        return 0, None
    if service.failed_starts < _FREE_FAILURES or service.last_failed_start is None or _has_run(call, service, tasks):
        return min(wanted, LARGEST_BATCH), None
    delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(service.failed_starts - _FREE_FAILURES, 10))
    earliest = service.last_failed_start + delay / call.settings.speed
    return (min(wanted, LARGEST_BATCH), None) if call.now >= earliest else (0, earliest)


def _has_run(call: Call, service: Service, tasks: list[Task]) -> bool:
    """Whether a task of the PRIMARY deployment has been running for longer than a brief run.

    One of an older deployment says nothing about the definition that fails.
    """
    return any(
        task.deployment == service.deployments[0].id
        and task.last_status is TaskStatus.RUNNING
        and task.started is not None
        and call.now - task.started >= BRIEF_RUN / call.settings.speed
        for task in tasks
    )


def _drain(call: Call, service: Service) -> float | None:
    """Stop every task of a deleted service; INACTIVE once none is left."""
    tasks = list(call.tx.find(UNSTOPPED_TASKS_BY_SERVICE, service.arn))
    running = [task for task in tasks if task.desired_status == "RUNNING"]
    reason = f"Scaling activity initiated by (deployment {service.deployments[0].id})"
    for task in running:
        ecs_ops.request_stop(call, task, code="ServiceSchedulerInitiated", reason=reason)
    if running:
        service = events.add(call, service, events.stopped([task.id for task in running]))
    if not tasks:
        _put(call, msgspec.structs.replace(service, status="INACTIVE", inactive_since=call.now))
    return None


def _expire(call: Call, service: Service) -> float | None:
    due = (service.inactive_since or call.now) + INACTIVE_KEPT / call.settings.speed
    if call.now < due:
        return due
    ecs_ops.forget_deployments(call, service.arn)
    call.tx.delete(SERVICES, service.arn)
    return None
