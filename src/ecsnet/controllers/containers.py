"""What the observations of a task's containers mean for the task."""

from __future__ import annotations

import msgspec

from ecsnet.model.ecs import Container, ObservedContainer, Task, TaskDefinition
from ecsnet.model.tables import OBSERVED_CONTAINERS, OBSERVED_CONTAINERS_BY_TASK, TASK_DEFINITIONS, TASKS, container_key
from ecsnet.services.call import Call
from ecsnet.services.ecs import ops as ecs_ops
from ecsnet.store.snapshot import Reader

BRIEF_RUN = 30.0
"""Seconds. A task that ends sooner counts as a failed start when starts are throttled.

AWS throttles only tasks that never ran, but there every start takes as long as this by itself; here a container that
exits at once would otherwise be started hundreds of times a minute.
"""


def observe(call: Call, task: Task) -> Task:
    """The task with its containers as they were last seen."""
    seen = {row.container: row for row in call.tx.find(OBSERVED_CONTAINERS_BY_TASK, task.arn)}
    if not seen:
        return task
    containers = tuple(_merged(one, seen[one.name]) if one.name in seen else one for one in task.containers)
    return call.tx.put(TASKS, msgspec.structs.replace(task, containers=containers))


def _merged(container: Container, seen: ObservedContainer) -> Container:
    match seen.state:
        case "starting":
            status = "PENDING"
        case "running":
            status = "RUNNING"
        case "stopped" | "failed":
            status = "STOPPED"
    return msgspec.structs.replace(
        container,
        last_status=status,
        runtime=seen.runtime,
        runtime_id=seen.runtime_id or None,
        exit_code=seen.exit_code,
        reason=seen.reason,
        health=seen.health,
    )


def first_seen(call: Call, task: Task) -> float | None:
    """When the first container was seen (epoch seconds), None before."""
    return min((row.at for row in call.tx.find(OBSERVED_CONTAINERS_BY_TASK, task.arn)), default=None)


def all_started(task: Task, definition: TaskDefinition) -> bool:
    """Whether every container has run and the essential ones are running."""
    essential = {one.name for one in definition.containers if one.essential}
    return all(
        one.last_status == "RUNNING" or (one.last_status == "STOPPED" and one.name not in essential)
        for one in task.containers
    )


def any_running(task: Task) -> bool:
    return any(one.last_status == "RUNNING" for one in task.containers)


def all_stopped(reader: Reader, task: Task) -> bool:
    """Whether no process of the task is left: each container was seen stopped, or was never seen at all."""
    return all(
        one.last_status == "STOPPED" or reader.get(OBSERVED_CONTAINERS, container_key(task.arn, one.name)) is None
        for one in task.containers
    )


def failure(call: Call, task: Task) -> Task | None:
    """The task, told to stop because of a container that ended or could not start; None when there is no reason to."""
    definition = call.tx.get(TASK_DEFINITIONS, task.task_definition)
    if task.desired_status == "STOPPED" or definition is None:
        return None
    for one in definition.containers:
        seen = call.tx.get(OBSERVED_CONTAINERS, container_key(task.arn, one.name))
        if seen is None or not one.essential:
            continue
        if seen.state == "failed":
            return fail(call, task, code="TaskFailedToStart", reason=seen.reason or "Task failed to start")
        if seen.state == "stopped":
            return fail(call, task, code="EssentialContainerExited", reason="Essential container in task exited")
    if _waits_in_vain(task, definition):
        return fail(call, task, code="TaskFailedToStart", reason="Task failed to start")
    return None


def _waits_in_vain(task: Task, definition: TaskDefinition) -> bool:
    """Whether a container that has not run yet waits for one that can no longer satisfy its condition."""
    states = {one.name: one for one in task.containers}
    for one in definition.containers:
        if states[one.name].last_status != "PENDING":
            continue
        for name, condition in one.depends_on:
            other = states[name]
            ended = other.last_status == "STOPPED"
            if ended and (condition == "HEALTHY" or (condition == "SUCCESS" and other.exit_code != 0)):
                return True
    return False


def fail(call: Call, task: Task, *, code: str, reason: str) -> Task:
    """The task, told to stop for a reason of its own; a service that it belongs to takes note."""
    task = ecs_ops.request_stop(call, task, code=code, reason=reason)
    if task.started is None:
        ecs_ops.count_failed_start(call, task)
    elif call.now - task.started < BRIEF_RUN / call.settings.speed:
        ecs_ops.count_brief_run(call, task)
    return task
