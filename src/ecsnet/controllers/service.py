"""The service scheduler: keeps the desired count, rolls deployments out, replaces what fails (Developer Guide, "Amazon
ECS services").

Each step looks at the tasks of one service, decides by `rollout.decide`, and carries that out.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from ecsnet.controllers import deployments, members
from ecsnet.controllers.containers import BRIEF_RUN
from ecsnet.controllers.rollout import Decision, Member, decide
from ecsnet.model.base import Tags
from ecsnet.model.ecs import Deployment, Service, Task, TaskStatus
from ecsnet.model.tables import CLUSTERS, SERVICES, TASK_DEFINITIONS, UNSTOPPED_TASKS_BY_SERVICE
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
    primary = service.deployments[0]
    if primary.awsvpc is None or primary.platform_version is None:
        if service.scheduling == "REPLICA" and service.desired > 0:
            events.warn(call, service, events.NO_INSTANCES)
        return None
    tasks = {task.arn: task for task in call.tx.find(UNSTOPPED_TASKS_BY_SERVICE, service.arn)}
    wanted = [task for task in tasks.values() if task.desired_status == "RUNNING"]
    seen = [members.look(call, service, task) for task in wanted]
    found = [one.member for one in seen]
    decision = decide(service.desired, service.minimum_healthy_percent, service.maximum_percent, found)
    due = min((one.due for one in seen if one.due is not None), default=None)

    for one in seen:
        if one.failure is not None:
            task = tasks[one.member.task]
            service = events.warn(call, service, events.unhealthy(task.id, *one.failure))
    service = _stop_all(call, service, decision, seen, tasks)
    start, retry = _allowed(call, service, decision.start, wanted)
    if retry is not None:
        service = events.warn(call, service, events.IMPAIRED)
        due = retry if due is None else min(due, retry)
    if start:
        service = _start(call, service, primary, start, wanted)
    if decision.blocked:
        service = events.warn(call, service, events.BLOCKED)
    if not decision.stop and not start and _at_rest(service, found):
        service = deployments.complete(call, service)
    elif service.steady and (decision.stop or start):
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
    call: Call, service: Service, decision: Decision, seen: list[members.Seen], tasks: dict[str, Task]
) -> Service:
    """Ask the chosen tasks to stop, say why, and count what failed its health checks."""
    by_task = {one.member.task: one for one in seen}
    for arn in decision.stop:
        failure = by_task[arn].failure
        reason = f"Scaling activity initiated by (deployment {service.deployments[0].id})"
        if failure is not None:
            reason = f"Task failed ELB health checks in (target-group {failure[1]})"
            service = _put(call, ecs_ops.with_failed_task(service, tasks[arn].deployment))
        ecs_ops.request_stop(call, tasks[arn], code="ServiceSchedulerInitiated", reason=reason)
    if decision.stop:
        service = events.add(call, service, events.stopped([tasks[arn].id for arn in decision.stop]))
    return service


def _allowed(call: Call, service: Service, wanted: int, tasks: list[Task]) -> tuple[int, float | None]:
    """How many of the wanted starts may happen now, and when to try again if starts are throttled."""
    if wanted == 0 or service.deployments[0].rollout == "FAILED":
        return 0, None
    if service.failed_starts < _FREE_FAILURES or service.last_failed_start is None or _has_run(call, tasks):
        return min(wanted, LARGEST_BATCH), None
    delay = min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** min(service.failed_starts - _FREE_FAILURES, 10))
    earliest = service.last_failed_start + delay / call.settings.speed
    return (min(wanted, LARGEST_BATCH), None) if call.now >= earliest else (0, earliest)


def _has_run(call: Call, tasks: list[Task]) -> bool:
    """Whether a task has been running for longer than a brief run."""
    return any(
        task.last_status is TaskStatus.RUNNING
        and task.started is not None
        and call.now - task.started >= BRIEF_RUN / call.settings.speed
        for task in tasks
    )


def _start(call: Call, service: Service, primary: Deployment, count: int, present: list[Task]) -> Service:
    cluster, definition = call.tx.get(CLUSTERS, service.cluster), call.tx.get(TASK_DEFINITIONS, primary.task_definition)
    if cluster is None or definition is None or primary.awsvpc is None or primary.platform_version is None:
        return service
    body = msgspec.json.decode(service.body)
    managed: Tags = ()
    if body.get("enableECSManagedTags"):
        managed = ecs_ops.managed_tags(cluster.name, service.name)
    inherited = {"SERVICE": service.tags, "TASK_DEFINITION": definition.tags}.get(body.get("propagateTags", ""), ())
    what = ecs_ops.Launch(
        cluster=cluster,
        definition=definition,
        network=primary.awsvpc,
        group=f"service:{service.name}",
        platform_version=primary.platform_version,
        service=service.arn,
        deployment=primary.id,
        started_by=primary.id,
        overrides=ecs_ops.no_overrides(definition),
        execute_command=bool(body.get("enableExecuteCommand")),
        tags=inherited + managed,
        interface_tags=managed,
    )
    siblings = [task for task in present if task.deployment == primary.id]
    filled, taken = (
        Counter(task.subnet or "" for task in siblings),
        Counter(task.capacity_provider or "" for task in siblings),
    )
    started = []
    for _ in range(count):
        subnet = ecs_ops.spread(call.tx, primary.awsvpc.subnets, filled)
        provider = ecs_ops.next_provider(primary.capacity_strategy, taken)
        filled[subnet] += 1
        taken[provider or ""] += 1
        started.append(ecs_ops.launch(call, what, subnet=subnet, provider=provider).id)
    return events.add(call, service, events.started(started))


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
    call.tx.delete(SERVICES, service.arn)
    return None
