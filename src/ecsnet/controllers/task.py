"""The task lifecycle (Developer Guide, "Amazon ECS task lifecycle"): from PROVISIONING to STOPPED by observations.

`TASK_TRANSITIONS` is the table of states; each function below is one state and answers the task in its next state, or
None while nothing that was observed allows to go on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ecsnet.controllers import containers, targets
from ecsnet.model.ecs import TASK_TRANSITIONS, Task, TaskStatus
from ecsnet.model.tables import (
    INTERFACES,
    OBSERVED_CONTAINERS,
    OBSERVED_CONTAINERS_BY_TASK,
    OBSERVED_INTERFACES,
    TASK_DEFINITIONS,
    TASKS,
)
from ecsnet.services.call import Call
from ecsnet.services.ec2 import ops as ec2_ops
from ecsnet.services.ecs import ops as ecs_ops

CAPACITY_TIMEOUT = 1800.0
"""Seconds that a task waits for an instance of its capacity provider. AWS gives up after 10 to 30 minutes."""

INTERFACE_TIMEOUT = 180.0
"""Seconds that an interface may take (the container agent waits as long for the attachment)."""

STOPPED_KEPT = 3600.0
"""Seconds for which a stopped task can be described (API DescribeTasks)."""

_TIMED_OUT = "Timeout waiting for network interface provisioning to complete."


def step(call: Call, arn: str) -> float | None:
    """Move one task as far as the observations allow; answers when it must be looked at again."""
    task = call.tx.get(TASKS, arn)
    if task is None:
        return None
    task = containers.observe(call, task)
    while (following := _STATES[task.last_status](call, task)) is not None:
        if following.last_status is not task.last_status:
            assert following.last_status in TASK_TRANSITIONS[task.last_status]
            following = msgspec.structs.replace(following, version=task.version + 1)
        task = call.tx.put(TASKS, following)
    return _due(call, task)


def _due(call: Call, task: Task) -> float | None:
    match task.last_status:
        case TaskStatus.PROVISIONING:
            given_up = task.created + _patience(task) / call.settings.speed
            return given_up if task.attach_at is None else min(given_up, task.attach_at)
        case TaskStatus.STOPPED:
            expiry = (task.stopped or call.now) + STOPPED_KEPT / call.settings.speed
            if call.now < expiry:
                return expiry
            _forget(call, task)
    return None


def _forget(call: Call, task: Task) -> None:
    for key in list(call.tx.keys(OBSERVED_CONTAINERS_BY_TASK, task.arn)):
        call.tx.delete(OBSERVED_CONTAINERS, key)
    call.tx.delete(TASKS, task.arn)


def _to(task: Task, status: TaskStatus, **fields: Any) -> Task:
    return msgspec.structs.replace(task, last_status=status, **fields)


def _provisioning(call: Call, task: Task) -> Task | None:
    if task.wanted is not None:
        return _find_place(call, task)
    if task.interface is None:
        if task.stop_code == "TaskFailedToStart":
            ecs_ops.count_failed_start(call, task)
        return _to(task, TaskStatus.DEPROVISIONING)
    if task.desired_status == "STOPPED":
        return _to(task, TaskStatus.STOPPING)
    if call.tx.get(OBSERVED_INTERFACES, task.interface) is not None:
        return _to(task, TaskStatus.PENDING, attachment_status="ATTACHED", connected=call.now)
    if call.now >= task.created + INTERFACE_TIMEOUT / call.settings.speed:
        return containers.fail(call, task, code="TaskFailedToStart", reason=_TIMED_OUT)
    if task.attach_at is not None and call.now >= task.attach_at:
        return msgspec.structs.replace(task, attach_at=None)
    return None


def _patience(task: Task) -> float:
    return INTERFACE_TIMEOUT if task.wanted is None else CAPACITY_TIMEOUT


def _find_place(call: Call, task: Task) -> Task | None:
    """A task that waits for an instance of its capacity provider is placed as soon as one has room."""
    definition = call.tx.get(TASK_DEFINITIONS, task.task_definition)
    if definition is None:
        return None
    found = ecs_ops.place_waiting(call, task, definition)
    if isinstance(found, Task):
        return found
    if call.now < task.created + CAPACITY_TIMEOUT / call.settings.speed:
        return None
    reason = found[0].reason if found else "EMPTY CAPACITY PROVIDER"
    return ecs_ops.request_stop(call, task, code="TaskFailedToStart", reason=f"TaskFailedToStart: {reason}")


def _pending(call: Call, task: Task) -> Task | None:
    seen = containers.failure(call, task)
    if seen is not None:
        return seen
    if task.desired_status == "STOPPED":
        return _to(task, TaskStatus.STOPPING)
    begun = containers.first_seen(call, task)
    if begun is None:
        return None
    return _to(task, TaskStatus.ACTIVATING, pull_started=begun)


def _activating(call: Call, task: Task) -> Task | None:
    seen = containers.failure(call, task)
    if seen is not None:
        return seen
    if task.desired_status == "STOPPED":
        return targets.deregister(call, _to(task, TaskStatus.DEACTIVATING))
    definition = call.tx.get(TASK_DEFINITIONS, task.task_definition)
    if definition is None or not containers.all_started(task, definition):
        return None
    ecs_ops.count_successful_start(call, task)
    now = call.now
    # Registered only when its processes run: a probe of a port that nobody has opened yet would count as a failure.
    return targets.register(call, _to(task, TaskStatus.RUNNING, pull_stopped=task.pull_stopped or now, started=now))


def _running(call: Call, task: Task) -> Task | None:
    seen = containers.failure(call, task)
    if seen is not None:
        return seen
    if task.desired_status == "STOPPED":
        return targets.deregister(call, _to(task, TaskStatus.DEACTIVATING))
    return None


def _deactivating(call: Call, task: Task) -> Task | None:
    if containers.any_running(task) and targets.draining(call.tx, task):
        return None
    return _to(task, TaskStatus.STOPPING)


def _stopping(call: Call, task: Task) -> Task | None:
    if not containers.all_stopped(call.tx, task):
        return None
    detaching = "DETACHING" if task.attachment else None
    return _to(task, TaskStatus.DEPROVISIONING, execution_stopped=call.now, attachment_status=detaching)


def _deprovisioning(call: Call, task: Task) -> Task | None:
    """The row of the interface goes with this commit; STOPPED follows once its observation is gone as well.

    What the task held on its container instance is free from then on.
    """
    if task.interface is not None:
        ec2_ops.release_interface(call, task.interface)
        if call.tx.get(OBSERVED_INTERFACES, task.interface) is not None:
            return None
        assert call.tx.get(INTERFACES, task.interface) is None
    ecs_ops.release_resources(call, task)
    deleted = "DELETED" if task.attachment else None
    return _to(task, TaskStatus.STOPPED, attachment_status=deleted, stopped=call.now)


def _stopped(call: Call, task: Task) -> Task | None:
    return None


_STATES: Mapping[TaskStatus, Callable[[Call, Task], Task | None]] = {
    TaskStatus.PROVISIONING: _provisioning,
    TaskStatus.PENDING: _pending,
    TaskStatus.ACTIVATING: _activating,
    TaskStatus.RUNNING: _running,
    TaskStatus.DEACTIVATING: _deactivating,
    TaskStatus.STOPPING: _stopping,
    TaskStatus.DEPROVISIONING: _deprovisioning,
    TaskStatus.STOPPED: _stopped,
}
