"""Container instances: ecsnet has none, and says so the way ECS does for an empty cluster."""

from __future__ import annotations

from ecsnet.services.call import Call, Operation, Reply, Request, read, write
from ecsnet.services.ecs import cluster, errors, names


def list_container_instances(call: Call, request: Request) -> Reply:
    cluster.find(call, request.get("cluster"))
    return {"containerInstanceArns": []}


def describe_container_instances(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    wanted = request["containerInstances"]
    if not wanted:
        raise errors.client("Container Instances cannot be empty.")
    prefix = f"container-instance/{where.name}/"
    arns = [given if given.startswith("arn:") else names.arn(call, prefix + given) for given in wanted]
    return {"containerInstances": [], "failures": [{"arn": arn, "reason": "MISSING"} for arn in arns]}


def start_task(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    prefix = f"container-instance/{where.name}/"
    wanted = request["containerInstances"]
    arns = [given if given.startswith("arn:") else names.arn(call, prefix + given) for given in wanted]
    return {"tasks": [], "failures": [{"arn": arn, "reason": "MISSING"} for arn in arns]}


OPERATIONS: tuple[Operation, ...] = (
    read("ListContainerInstances", list_container_instances),
    read("DescribeContainerInstances", describe_container_instances),
    write("StartTask", start_task),
)
