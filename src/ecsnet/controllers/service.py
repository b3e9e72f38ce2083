"""The service scheduler: keeps the desired count, rolls deployments out, replaces what fails (Developer Guide, "Amazon
ECS services").

Each step looks at the tasks of one service, decides by `rollout.decide`, and carries that out.
"""

from __future__ import annotations

import msgspec

from ecsnet.controllers import daemon, deployments, keeping, members, starts, task_sets
from ecsnet.controllers.rollout import Member, decide, decide_daemon
from ecsnet.model.ecs import Service
from ecsnet.model.tables import SERVICES, UNSTOPPED_TASKS_BY_SERVICE
from ecsnet.services.call import Call
from ecsnet.services.ecs import events
from ecsnet.services.ecs import ops as ecs_ops

INACTIVE_KEPT = 3600.0
"""Seconds for which a deleted service can be described."""


def step(call: Call, arn: str) -> float | None:
    """Bring one service closer to what it wants; answers when it must be looked at although nothing changes."""
    service = call.tx.get(SERVICES, arn)
    if service is None:
        return None
    match service.status:
        case "ACTIVE" if service.controller == "EXTERNAL":
            return task_sets.keep(call, service)
        case "ACTIVE":
            return _keep(call, service)
        case "DRAINING":
            return _drain(call, service)
        case "INACTIVE":
            return _expire(call, service)


def _keep(call: Call, service: Service) -> float | None:
    service = _put(call, deployments.check_breaker(call, service))
    primary = service.deployments[0]
    tasks = {task.arn: task for task in call.tx.find(UNSTOPPED_TASKS_BY_SERVICE, service.arn)}
    wanted = [task for task in tasks.values() if task.desired_status == "RUNNING"]
    seen = [members.look(call, service, task, primary=primary.id) for task in wanted]
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
    service = keeping.stop_all(call, service, primary.id, stop, seen, tasks)
    start, retry = keeping.allowed(call, service, service.deployments[0], count, wanted)
    if retry is not None:
        service = events.warn(call, service, events.IMPAIRED)
        due = retry if due is None else min(due, retry)
    if service.scheduling == "DAEMON":
        service = starts.daemons(call, service, daemons.start[:start])
    else:
        service = starts.replicas(call, service, service.deployments[0], start, wanted)
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


def _drain(call: Call, service: Service) -> float | None:
    """Stop every task of a deleted service; INACTIVE once none is left."""
    tasks = list(call.tx.find(UNSTOPPED_TASKS_BY_SERVICE, service.arn))
    running = [task for task in tasks if task.desired_status == "RUNNING"]
    for task in running:
        reason = keeping.scaling(service, service.deployments[0].id if service.deployments else task.deployment or "")
        ecs_ops.request_stop(call, task, code="ServiceSchedulerInitiated", reason=reason)
    if running:
        service = events.add(call, service, events.stopped([task.id for task in running]))
    if not tasks:
        _put(call, msgspec.structs.replace(service, status="INACTIVE", task_sets=(), inactive_since=call.now))
    return None


def _expire(call: Call, service: Service) -> float | None:
    due = (service.inactive_since or call.now) + INACTIVE_KEPT / call.settings.speed
    if call.now < due:
        return due
    ecs_ops.forget_deployments(call, service.arn)
    call.tx.delete(SERVICES, service.arn)
    return None
