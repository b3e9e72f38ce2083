"""StopTask, DescribeTasks and ListTasks (Developer Guide, "Amazon ECS standalone tasks")."""

from __future__ import annotations

from ecsnet.model.base import Tags
from ecsnet.model.ecs import Task, TaskStatus
from ecsnet.model.tables import (
    CONTAINER_INSTANCES,
    SERVICES,
    TASK_DEFINITIONS,
    TASKS,
    TASKS_BY_CLUSTER,
    TASKS_BY_CONTAINER_INSTANCE,
    TASKS_BY_SERVICE,
)
from ecsnet.services.call import Call, Operation, Reply, Request, read, write
from ecsnet.services.ecs import cluster, errors, names, paging, render
from ecsnet.services.ecs.stopping import request_stop

_LARGEST_DESCRIBE = 100


def managed_tags(cluster_name: str, service_name: str | None = None) -> Tags:
    """The tags that enableECSManagedTags adds (Developer Guide, "Tagging Amazon ECS resources")."""
    service: Tags = (("aws:ecs:serviceName", service_name),) if service_name is not None else ()
    return (("aws:ecs:clusterName", cluster_name), *service)


def stop_task(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    task = call.tx.get(TASKS, names.task_arn(call, where.arn, request["task"]))
    if task is None:
        raise errors.task_not_found()
    task = request_stop(call, task, code="UserInitiated", reason=request.get("reason") or "Task stopped by user")
    return {"task": render.task(task, call.tx.get(TASK_DEFINITIONS, task.task_definition), with_tags=True)}


def describe_tasks(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    wanted = request["tasks"]
    if not wanted:
        raise errors.invalid("Tasks cannot be empty.")
    if len(wanted) > _LARGEST_DESCRIBE:
        raise errors.invalid(f"Tasks can have at most {_LARGEST_DESCRIBE} items.")
    found, failures = [], []
    for given in wanted:
        arn = names.task_arn(call, where.arn, given)
        task = call.tx.get(TASKS, arn)
        if task is None:
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            found.append(task)
    with_tags = "TAGS" in (request.get("include") or ())
    return {"tasks": render.tasks(call.tx, found, with_tags=with_tags), "failures": failures}


def list_tasks(call: Call, request: Request) -> Reply:
    """Without desiredStatus only tasks that are to run are listed (API ListTasks, `desiredStatus`)."""
    where = cluster.find(call, request.get("cluster"))
    desired = request.get("desiredStatus") or "RUNNING"
    if request.get("containerInstance"):
        instance = names.arn(call, f"container-instance/{where.name}/{names.last_part(request['containerInstance'])}")
        if call.tx.get(CONTAINER_INSTANCES, instance) is None:
            raise errors.instance_not_found()
        rows = call.tx.find(TASKS_BY_CONTAINER_INSTANCE, instance)
    elif request.get("serviceName"):
        service = names.service_arn(call, where.arn, request["serviceName"])
        if call.tx.get(SERVICES, service) is None:
            raise errors.service_not_found()
        rows = call.tx.find(TASKS_BY_SERVICE, service)
    else:
        rows = call.tx.find(TASKS_BY_CLUSTER, where.arn)
    if any(request.get(name) for name in ("family", "startedBy", "launchType")):
        rows = (task for task in rows if _matches(task, request))
    arns = sorted(task.arn for task in rows if task.desired_status == desired)
    chosen, token = paging.page(request, arns)
    return {"taskArns": list(chosen)} | ({"nextToken": token} if token else {})


def _matches(task: Task, request: Request) -> bool:
    family = names.last_part(task.task_definition).partition(":")[0]
    wanted = (
        (request.get("family"), family),
        (request.get("startedBy"), task.started_by),
        (request.get("launchType"), task.launch_type),
    )
    return all(asked in (None, "", actual) for asked, actual in wanted)


def is_waiting(task: Task) -> bool:
    """Whether the task counts as pending in a service or cluster."""
    return task.desired_status == "RUNNING" and task.last_status in (
        TaskStatus.PROVISIONING,
        TaskStatus.PENDING,
        TaskStatus.ACTIVATING,
    )


OPERATIONS: tuple[Operation, ...] = (
    write("StopTask", stop_task),
    read("DescribeTasks", describe_tasks),
    read("ListTasks", list_tasks),
)
