"""RunTask and StartTask (Developer Guide, "Amazon ECS standalone tasks")."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ecsnet.model.base import Tags
from ecsnet.model.ecs import AwsvpcConfiguration, Cluster, Task, TaskDefinition
from ecsnet.model.tables import CONTAINER_INSTANCES, TASKS_BY_CLIENT_TOKEN
from ecsnet.services.call import Call, Operation, Reply, Request, not_implemented, write
from ecsnet.services.ecs import (
    cluster,
    errors,
    launch_type,
    network,
    overrides,
    placement_request,
    placing,
    render,
    tags,
    task_definition,
)
from ecsnet.services.ecs.container_instance import instance_arn
from ecsnet.services.ecs.launch import Launch, launch, launch_on, need_of, next_provider, place
from ecsnet.services.ecs.placement import refusal
from ecsnet.services.ecs.task import managed_tags

_LARGEST_COUNT = 10
_MOST_INSTANCES = 10


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
    compute = launch_type.chosen(call, where, definition, request)
    chosen = network.configuration(call, definition, request.get("networkConfiguration"), fargate=compute.fargate)
    platform = launch_type.platform_version(compute, request)
    if compute.fargate and (request.get("placementConstraints") or request.get("placementStrategy")):
        raise errors.invalid("Placement strategies and constraints are not supported with FARGATE launch type.")
    what = Launch(
        cluster=where,
        definition=definition,
        network=chosen,
        group=request.get("group") or f"family:{definition.family}",
        launch_type=compute.kind,
        platform_version=platform,
        constraints=() if compute.fargate else placement_request.constraints(definition, request),
        strategies=() if compute.fargate else placement_request.strategies(request),
        started_by=request.get("startedBy"),
        overrides=overrides.checked(definition, request.get("overrides")),
        client_token=request.get("clientToken"),
        execute_command=bool(request.get("enableExecuteCommand")),
        tags=_tags(where, definition, request),
        interface_tags=managed_tags(where.name) if request.get("enableECSManagedTags") else (),
    )
    failures: list[dict[str, str]] = []
    if chosen is not None and compute.fargate:
        started = _launch_all(call, what, chosen, compute, count)
    else:
        started, failures = _place_all(call, what, compute, count)
    return {"tasks": render.tasks(call.tx, started, with_tags=True), "failures": failures}


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


def _place_all(
    call: Call, what: Launch, compute: launch_type.Compute, count: int
) -> tuple[list[Task], list[dict[str, str]]]:
    """As many of `count` tasks as find a container instance, and why the next one did not (API RunTask, `failures`).

    Raises InvalidParameterException when the cluster has no instance at all and nothing would add one.
    """
    started: list[Task] = []
    taken: Counter[str] = Counter()
    for _ in range(count):
        provider = next_provider(compute.strategy, taken)
        taken[provider or ""] += 1
        found = place(call, what, provider=provider)
        if isinstance(found, tuple):
            if not found and not started:
                raise errors.no_container_instances()
            return started, placing.failures(found)
        started.append(found)
    return started, []


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


def start_task(call: Call, request: Request) -> Reply:
    """One task on each of the given instances; the scheduler is not asked, but what does not fit is refused."""
    where = cluster.find(call, request.get("cluster"))
    wanted = request["containerInstances"]
    if not 1 <= len(wanted) <= _MOST_INSTANCES:
        raise errors.invalid(f"Container Instances must have 1 to {_MOST_INSTANCES} items.")
    if request.get("volumeConfigurations"):
        raise not_implemented("StartTask", "volumeConfigurations")
    definition = task_definition.usable(call, request["taskDefinition"])
    chosen = network.configuration(call, definition, request.get("networkConfiguration"), fargate=False)
    checked = overrides.checked(definition, request.get("overrides"))
    started: list[Task] = []
    failures: list[dict[str, Any]] = []
    for given in wanted:
        arn = instance_arn(call, where, given)
        row = call.tx.get(CONTAINER_INSTANCES, arn)
        if row is None or row.status != "ACTIVE":
            failures.append({"arn": arn, "reason": "MISSING" if row is None else "INACTIVE"})
            continue
        what = Launch(
            cluster=where,
            definition=definition,
            network=chosen,
            group=request.get("group") or f"family:{definition.family}",
            launch_type="EXTERNAL" if row.external else "EC2",
            platform_version=None,
            started_by=request.get("startedBy"),
            overrides=checked,
            execute_command=bool(request.get("enableExecuteCommand")),
            tags=_tags(where, definition, request),
            interface_tags=managed_tags(where.name) if request.get("enableECSManagedTags") else (),
        )
        against = refusal(need_of(call, what), placing.candidate(call.tx, row), what.constraints)
        if against is not None:
            failures += placing.failures([against])
        else:
            started.append(launch_on(call, what, row))
    return {"tasks": render.tasks(call.tx, started, with_tags=True), "failures": failures}


OPERATIONS: tuple[Operation, ...] = (write("RunTask", run_task), write("StartTask", start_task))
