"""Task sets: what a deployment controller of the user's own makes and scales (Developer Guide, "Third-party
deployments"; ECS API, TaskSet).

A task set is part of its service's record, and its id is the `deployment` of its tasks. The controllers keep its tasks
at its computed desired count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from ecsnet.model.ecs import Cluster, Deployment, Service, TaskSet
from ecsnet.model.tables import SERVICES, UNSTOPPED_TASKS_BY_SERVICE
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ecs import (
    cluster,
    errors,
    launch_type,
    names,
    network,
    placement_request,
    service_render,
    service_settings,
    tags,
    task_definition,
)
from ecsnet.store.snapshot import Reader

_MOST = 5
"""Task sets of a service (Developer Guide, "Amazon ECS service quotas": "Task sets per service")."""


def with_task_set(service: Service, which: TaskSet) -> Service:
    """The service with a task set in its place, or added; the computed counts and load balancers follow."""
    present = any(one.arn == which.arn for one in service.task_sets)
    sets = tuple(which if one.arn == which.arn else one for one in service.task_sets)
    return _settled(msgspec.structs.replace(service, task_sets=sets if present else (*sets, which)))


def without_task_set(service: Service, which: TaskSet) -> Service:
    return _settled(
        msgspec.structs.replace(service, task_sets=tuple(one for one in service.task_sets if one.arn != which.arn))
    )


def _settled(service: Service) -> Service:
    """The service with the counts and load balancers that follow from its task sets."""
    sets = tuple(
        msgspec.structs.replace(one, deployment=msgspec.structs.replace(one.deployment, desired=_count(service, one)))
        for one in service.task_sets
    )
    balancers = dict.fromkeys(lb for one in sets for lb in one.deployment.load_balancers)
    return msgspec.structs.replace(service, task_sets=sets, load_balancers=tuple(balancers))


def _count(service: Service, which: TaskSet) -> int:
    """computedDesiredCount: always rounded up (ECS API, TaskSet)."""
    return 0 if which.status == "DRAINING" else math.ceil(service.desired * which.scale / 100)


def scaled(service: Service, desired: int) -> Service:
    """The service with another desired count, and so have its task sets."""
    return _settled(msgspec.structs.replace(service, desired=desired))


def create_task_set(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    service = _service(call, where, request, "CreateTaskSet")
    token = request.get("clientToken")
    again = next((one for one in service.task_sets if token and one.client_token == token), None)
    if again is not None:
        return {"taskSet": render(call.tx, service, again, with_tags=True)}
    if len(service.task_sets) >= _MOST:
        raise AwsError("LimitExceededException", f"A service can have at most {_MOST} task sets.")
    if request.get("serviceRegistries"):
        raise not_implemented("CreateTaskSet", "serviceRegistries")
    definition = task_definition.usable(call, request["taskDefinition"])
    compute = launch_type.chosen(call, where, definition, request)
    balancers = service_settings.load_balancers(call, definition, request.get("loadBalancers") or ())
    if compute.kind == "EXTERNAL" and balancers:
        raise errors.invalid("Load balancers are not supported with the EXTERNAL launch type.")
    placement = placement_request.of_service(service)
    id = f"ecs-svc/{10**18 + int(call.ids.hex(16), 16) % (9 * 10**18)}"
    deployment = Deployment(
        id=id,
        status="ACTIVE",
        task_definition=definition.arn,
        desired=0,
        awsvpc=network.configuration(call, definition, request.get("networkConfiguration"), fargate=compute.fargate),
        launch_type=compute.launch_type,
        platform_version=launch_type.platform_version(compute, request),
        capacity_strategy=compute.strategy,
        load_balancers=balancers,
        constraints=() if compute.fargate else placement_request.constraints(definition, placement),
        strategies=() if compute.fargate else placement_request.strategies(placement),
        created=call.now,
        updated=call.now,
    )
    made = TaskSet(
        arn=names.arn(call, f"task-set/{where.name}/{service.name}/{id}"),
        deployment=deployment,
        scale=_scale(request.get("scale")),
        external_id=request.get("externalId"),
        client_token=token,
        steady_since=call.now,
        tags=tags.given(request),
    )
    service = call.tx.put(SERVICES, with_task_set(service, made))
    return {"taskSet": render(call.tx, service, service.task_sets[-1], with_tags=True)}


def _scale(given: Mapping[str, Any] | None) -> float:
    """Percent; 0 when nothing is said. Raises InvalidParameterException."""
    value = float((given or {}).get("value", 0.0))
    if not 0 <= value <= 100:
        raise errors.invalid("The scale value must be between 0 and 100.")
    return value


def update_task_set(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    service = _service(call, where, request, "UpdateTaskSet")
    which = _find(call, service, request["taskSet"])
    if which.status == "DRAINING":
        raise errors.invalid("A task set that is DRAINING cannot be updated.")
    return _put(call, service, msgspec.structs.replace(which, scale=_scale(request["scale"]), steady=False))


def update_service_primary_task_set(call: Call, request: Request) -> Reply:
    """The one that production traffic is meant for; whatever was PRIMARY becomes ACTIVE."""
    where = cluster.find(call, request.get("cluster"))
    service = _service(call, where, request, "UpdateServicePrimaryTaskSet")
    which = _find(call, service, request["primaryTaskSet"])
    if which.status == "DRAINING":
        raise errors.invalid("A task set that is DRAINING cannot be the primary one.")
    for one in service.task_sets:
        if one.status == "PRIMARY" and one.arn != which.arn:
            service = with_task_set(service, _updated(call, msgspec.structs.replace(one, status="ACTIVE")))
    return _put(call, service, msgspec.structs.replace(which, status="PRIMARY"))


def delete_task_set(call: Call, request: Request) -> Reply:
    """DRAINING until its tasks are gone, then forgotten."""
    where = cluster.find(call, request.get("cluster"))
    service = _service(call, where, request, "DeleteTaskSet")
    which = _find(call, service, request["taskSet"])
    if which.scale > 0 and not request.get("force"):
        raise errors.invalid("The task set cannot be deleted while it is scaled above 0.")
    return _put(call, service, msgspec.structs.replace(which, status="DRAINING", scale=0.0, steady=False))


def describe_task_sets(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    service = _service(call, where, request, "DescribeTaskSets")
    with_tags = "TAGS" in (request.get("include") or ())
    wanted = request.get("taskSets") or [one.arn for one in service.task_sets]
    found, failures = [], []
    for given in wanted:
        which = _lookup(call, service, given)
        if which is None:
            failures.append({"arn": _arn(call, service, given), "reason": "MISSING"})
        else:
            found.append(render(call.tx, service, which, with_tags=with_tags))
    return {"taskSets": found, "failures": failures}


def _put(call: Call, service: Service, which: TaskSet) -> Reply:
    service = call.tx.put(SERVICES, with_task_set(service, _updated(call, which)))
    changed = next(one for one in service.task_sets if one.arn == which.arn)
    return {"taskSet": render(call.tx, service, changed, with_tags=True)}


def _updated(call: Call, which: TaskSet) -> TaskSet:
    return msgspec.structs.replace(which, deployment=msgspec.structs.replace(which.deployment, updated=call.now))


def _service(call: Call, where: Cluster, request: Request, operation: str) -> Service:
    service = call.tx.get(SERVICES, names.service_arn(call, where.arn, request["service"]))
    if service is None:
        raise errors.service_not_found()
    if service.status != "ACTIVE":
        raise errors.service_not_active()
    if service.controller != "EXTERNAL":
        raise errors.invalid(f"{operation} needs a service with the deployment controller EXTERNAL.")
    return service


def _arn(call: Call, service: Service, given: str) -> str:
    """A task set's ARN; users may write its id alone, with or without the "ecs-svc/" in front."""
    if given.startswith("arn:"):
        return given
    return names.arn(
        call, f"task-set/{names.last_part(service.cluster)}/{service.name}/ecs-svc/{names.last_part(given)}"
    )


def _lookup(call: Call, service: Service, given: str) -> TaskSet | None:
    wanted = _arn(call, service, given)
    return next((one for one in service.task_sets if one.arn == wanted), None)


def _find(call: Call, service: Service, given: str) -> TaskSet:
    which = _lookup(call, service, given)
    if which is None:
        raise AwsError(
            "TaskSetNotFoundException",
            "The specified task set wasn't found. You can view your available task sets with DescribeTaskSets. Task "
            "sets are specific to each cluster, service and Region.",
        )
    return which


def render(reader: Reader, service: Service, which: TaskSet, *, with_tags: bool) -> Mapping[str, Any]:
    """A task set as DescribeTaskSets answers it."""
    one = which.deployment
    tasks = [task for task in reader.find(UNSTOPPED_TASKS_BY_SERVICE, service.arn) if task.deployment == one.id]
    return service_render.task_set(service, which, tasks, with_tags=with_tags)


OPERATIONS: tuple[Operation, ...] = (
    write("CreateTaskSet", create_task_set),
    write("UpdateTaskSet", update_task_set),
    write("DeleteTaskSet", delete_task_set),
    read("DescribeTaskSets", describe_task_sets),
    write("UpdateServicePrimaryTaskSet", update_service_primary_task_set),
)
