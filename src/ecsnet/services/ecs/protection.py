"""UpdateTaskProtection and GetTaskProtection (Developer Guide, "Protect your Amazon ECS tasks from being terminated by
scale-in events")."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ecsnet.model.ecs import Task
from ecsnet.model.tables import SERVICES, TASKS, TASKS_BY_CLUSTER
from ecsnet.services.call import Call, Operation, Reply, Request, read, write
from ecsnet.services.ecs import cluster, errors, names

_DEFAULT_MINUTES = 120
_MOST_MINUTES = 2880
_LARGEST_UPDATE = 10
_LARGEST_GET = 100


def _look_up(call: Call, cluster_arn: str, given: list[str]) -> Iterator[tuple[str, Task | None, str]]:
    """(ARN, the task when it may be protected, else why not): only running tasks of a REPLICA service may."""
    for one in given:
        arn = names.task_arn(call, cluster_arn, one)
        task = call.tx.get(TASKS, arn)
        service = call.tx.get(SERVICES, task.service) if task is not None and task.service is not None else None
        if task is None:
            yield arn, None, "MISSING"
        elif service is None or service.scheduling == "DAEMON" or task.desired_status == "STOPPED":
            yield arn, None, "TASK_NOT_VALID"
        else:
            yield arn, task, ""


def update_task_protection(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request["cluster"])
    enabled = request["protectionEnabled"]
    minutes = request.get("expiresInMinutes", _DEFAULT_MINUTES)
    if not 1 <= minutes <= _MOST_MINUTES:
        raise errors.invalid(f"expiresInMinutes must be between 1 and {_MOST_MINUTES}, but was {minutes}.")
    if not 1 <= len(request["tasks"]) <= _LARGEST_UPDATE:
        raise errors.invalid(f"Tasks must have 1 to {_LARGEST_UPDATE} items.")
    found, failures = [], []
    for arn, task, reason in _look_up(call, where.arn, request["tasks"]):
        if task is None:
            failures.append({"arn": arn, "reason": reason})
            continue
        until = call.now + minutes * 60 / call.settings.speed if enabled else None
        found.append(_wire(call, call.tx.put(TASKS, msgspec.structs.replace(task, protected_until=until))))
    return {"protectedTasks": found, "failures": failures}


def get_task_protection(call: Call, request: Request) -> Reply:
    """Without tasks, those of the whole cluster that belong to a service."""
    where = cluster.find(call, request["cluster"])
    wanted = list(request.get("tasks") or ())
    if len(wanted) > _LARGEST_GET:
        raise errors.invalid(f"Tasks can have at most {_LARGEST_GET} items.")
    if not wanted:
        rows = call.tx.find(TASKS_BY_CLUSTER, where.arn)
        wanted = sorted(row.arn for row in rows if row.service and row.desired_status == "RUNNING")[:_LARGEST_GET]
    found, failures = [], []
    for arn, task, reason in _look_up(call, where.arn, wanted):
        if task is None:
            failures.append({"arn": arn, "reason": reason})
        else:
            found.append(_wire(call, task))
    return {"protectedTasks": found, "failures": failures}


def _wire(call: Call, task: Task) -> Mapping[str, Any]:
    until = task.protected_until
    if until is None or until <= call.now:
        return {"taskArn": task.arn, "protectionEnabled": False}
    return {"taskArn": task.arn, "protectionEnabled": True, "expirationDate": until}


OPERATIONS: tuple[Operation, ...] = (
    write("UpdateTaskProtection", update_task_protection),
    read("GetTaskProtection", get_task_protection),
)
