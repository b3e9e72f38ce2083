"""RunTask, StopTask, DescribeTasks and ListTasks (Developer Guide, "Amazon ECS standalone tasks")."""

from __future__ import annotations

from collections import Counter

import msgspec

from ecsnet.model.base import Tags
from ecsnet.model.ecs import AwsvpcConfiguration, Cluster, Task, TaskDefinition, TaskStatus
from ecsnet.model.tables import (
    SERVICES,
    TASK_DEFINITIONS,
    TASKS,
    TASKS_BY_CLIENT_TOKEN,
    TASKS_BY_CLUSTER,
    TASKS_BY_SERVICE,
)
from ecsnet.services.call import Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ecs import (
    cluster,
    errors,
    launch_type,
    names,
    network,
    overrides,
    paging,
    render,
    tags,
    task_definition,
)
from ecsnet.services.ecs.launch import Launch, launch, next_provider

_LARGEST_COUNT = 10
_LARGEST_DESCRIBE = 100


def run_task(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    earlier = _earlier(call, where, request)
    if earlier:
        return {"tasks": render.tasks(call.tx, earlier, with_tags=True), "failures": []}
    if request.get("volumeConfigurations"):
        raise not_implemented("RunTask", "volumeConfigurations")
    count = request.get("count", 1)
    if not 1 <= count <= _LARGEST_COUNT:
        raise errors.invalid(f"Count must be between 1 and {_LARGEST_COUNT}, but was {count}.")
    definition = task_definition.usable(call, request["taskDefinition"])
    compute = launch_type.chosen(where, definition, request)
    chosen = network.configuration(call, definition, request.get("networkConfiguration"), fargate=compute.fargate)
    platform = launch_type.platform_version(compute, request)
    if not compute.fargate or chosen is None or platform is None:
        raise errors.no_container_instances()
    if request.get("placementConstraints") or request.get("placementStrategy"):
        raise errors.invalid("Placement strategies and constraints are not supported with FARGATE launch type.")
    what = Launch(
        cluster=where,
        definition=definition,
        network=chosen,
        group=request.get("group") or f"family:{definition.family}",
        platform_version=platform,
        started_by=request.get("startedBy"),
        overrides=overrides.checked(definition, request.get("overrides")),
        client_token=request.get("clientToken"),
        execute_command=bool(request.get("enableExecuteCommand")),
        tags=_tags(where, definition, request),
        interface_tags=managed_tags(where.name) if request.get("enableECSManagedTags") else (),
    )
    started = _launch_all(call, what, chosen, compute, count)
    return {"tasks": render.tasks(call.tx, started, with_tags=True), "failures": []}


def _earlier(call: Call, where: Cluster, request: Request) -> list[Task]:
    token = request.get("clientToken")
    found = call.tx.find(TASKS_BY_CLIENT_TOKEN, f"{where.arn}/{token}") if token else ()
    return sorted(found, key=lambda task: task.arn)


def _launch_all(
    call: Call, what: Launch, chosen: AwsvpcConfiguration, compute: launch_type.Compute, count: int
) -> list[Task]:
    """`count` tasks over the subnets in turn, from a random one on (RunTask has no placement strategy of its own)."""
    first = int(call.ids.hex(4), 16)
    started: list[Task] = []
    taken: Counter[str] = Counter()
    for number in range(count):
        provider = next_provider(compute.strategy, taken)
        taken[provider or ""] += 1
        subnet = chosen.subnets[(first + number) % len(chosen.subnets)]
        started.append(launch(call, what, subnet=subnet, provider=provider))
    return started


def _tags(where: Cluster, definition: TaskDefinition, request: Request) -> Tags:
    match request.get("propagateTags"):
        case "TASK_DEFINITION":
            inherited = definition.tags
        case "SERVICE":
            raise errors.invalid("SERVICE is not a valid value of propagateTags for RunTask.")
        case _:
            inherited = ()
    given = tags.merged(inherited, tags.given(request))
    return given + (managed_tags(where.name) if request.get("enableECSManagedTags") else ())


def managed_tags(cluster_name: str, service_name: str | None = None) -> Tags:
    """The tags that enableECSManagedTags adds (Developer Guide, "Tagging Amazon ECS resources")."""
    service: Tags = (("aws:ecs:serviceName", service_name),) if service_name is not None else ()
    return (("aws:ecs:clusterName", cluster_name), *service)


def request_stop(call: Call, task: Task, *, code: str, reason: str) -> Task:
    """Ask a task to stop; the controller takes it down. The first request decides code and reason."""
    if task.desired_status == "STOPPED":
        return task
    return call.tx.put(
        TASKS,
        msgspec.structs.replace(
            task,
            desired_status="STOPPED",
            stopping=call.now,
            stop_code=code,
            stopped_reason=reason,
            version=task.version + 1,
        ),
    )


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
        raise errors.invalid("The referenced container instance was not found.")
    if request.get("serviceName"):
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
    write("RunTask", run_task),
    write("StopTask", stop_task),
    read("DescribeTasks", describe_tasks),
    read("ListTasks", list_tasks),
)
