"""Task definitions: register, describe, list, deregister, delete (Developer Guide, "Amazon ECS task definitions")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from ecsnet.model.base import scope
from ecsnet.model.ecs import TaskDefinition, TaskFamily
from ecsnet.model.tables import (
    TASK_DEFINITIONS,
    TASK_DEFINITIONS_BY_FAMILY,
    TASK_DEFINITIONS_BY_SCOPE,
    TASK_FAMILIES,
    TASK_FAMILIES_BY_SCOPE,
)
from ecsnet.services.call import Call, Operation, Reply, Request, read, write
from ecsnet.services.ecs import containers, errors, names, paging, placement_request, sizes, tags

Mode = Literal["bridge", "host", "awsvpc", "none"]

_ECR = re.compile(r"\d{12}\.dkr\.ecr\.")
_PASSED = (
    "taskRoleArn",
    "executionRoleArn",
    "pidMode",
    "ipcMode",
    "proxyConfiguration",
    "ephemeralStorage",
    "runtimePlatform",
    "enableFaultInjection",
)
_LARGEST_DELETE = 10
_ABSENT = "The specified task definition does not exist. Specify a valid account, family, revision and try again."
_STILL_ACTIVE = "The specified task definition is still in ACTIVE status. Please deregister the target and try again."


def register_task_definition(call: Call, request: Request) -> Reply:
    family = names.checked("family", request["family"])
    mode: Mode = request.get("networkMode") or "bridge"
    compatibilities = tuple(request.get("requiresCompatibilities") or ())
    cpu = sizes.cpu_units(request["cpu"]) if request.get("cpu") else None
    memory = sizes.memory_mib(request["memory"]) if request.get("memory") else None
    fargate = "FARGATE" in compatibilities
    if fargate:
        _check_fargate_task(request, mode)
        sizes.check_fargate(cpu, memory)
    if request.get("enableFaultInjection") and mode not in ("awsvpc", "host"):
        raise errors.client(f"{mode} mode is not supported. Please use either host or awsvpc mode.")
    placement_request.check_definition(request.get("placementConstraints") or ())
    definitions = containers.normalise(request["containerDefinitions"], mode, task_memory=memory is not None)
    if cpu is not None and sum(one["cpu"] for one in definitions) > cpu:
        raise errors.client("The sum of all container 'cpu' values cannot be greater than the value of the task 'cpu'.")
    if fargate:
        _check_fargate_containers(request, definitions)
    number = _next_number(call, family)
    arn = names.arn(call, f"task-definition/{family}:{number}")
    body: dict[str, Any] = {
        "taskDefinitionArn": arn,
        "containerDefinitions": definitions,
        "family": family,
        "networkMode": mode,
        "revision": number,
        "volumes": request.get("volumes") or [],
        "requiresAttributes": _required_attributes(request, definitions, mode),
        "placementConstraints": request.get("placementConstraints") or [],
        "compatibilities": _compatibilities(mode, fargate),
    }
    body |= {member: request[member] for member in _PASSED if request.get(member) is not None}
    if compatibilities:
        body["requiresCompatibilities"] = list(compatibilities)
    body |= {name: str(value) for name, value in (("cpu", cpu), ("memory", memory)) if value is not None}
    definition = call.tx.put(
        TASK_DEFINITIONS,
        TaskDefinition(
            arn=arn,
            account=call.account,
            region=call.region,
            family=family,
            number=number,
            network_mode=mode,
            containers=tuple(containers.stored(one, mode) for one in definitions),
            cpu=body.get("cpu"),
            memory=body.get("memory"),
            requires_compatibilities=compatibilities,
            body=msgspec.json.encode(body).decode(),
            registered=call.now,
            tags=tags.given(request),
        ),
    )
    return {"taskDefinition": render(definition), "tags": tags.wire(definition.tags)}


def _check_fargate_task(request: Request, mode: str) -> None:
    if mode != "awsvpc":
        raise errors.client("Fargate only supports network mode ‘awsvpc’.")
    if request.get("pidMode") not in (None, "task"):
        raise errors.client(
            f"Tasks using the Fargate launch type do not support pidMode '{request['pidMode']}'. The supported value "
            "for pidMode is 'task'."
        )
    if request.get("placementConstraints"):
        raise errors.client("Fargate compatible task definitions do not support placementConstraints.")
    if any((volume.get("host") or {}).get("sourcePath") for volume in request.get("volumes") or ()):
        raise errors.client("Fargate compatible task definitions do not support sourcePath")


def _check_fargate_containers(request: Request, definitions: list[dict[str, Any]]) -> None:
    for one in definitions:
        if one.get("privileged"):
            raise errors.client("Fargate compatible task definitions do not support privileged containers.")
        if request.get("executionRoleArn"):
            continue
        if _ECR.match(one["image"]):
            raise errors.client("Fargate requires task definition to have execution role ARN to support ECR images.")
        if (one.get("logConfiguration") or {}).get("logDriver") == "awslogs":
            raise errors.client(
                "Fargate requires task definition to have execution role ARN to support log driver awslogs."
            )


def _next_number(call: Call, family: str) -> int:
    row = call.tx.get(TASK_FAMILIES, f"{scope(call.account, call.region)}/{family}")
    number = row.last_number + 1 if row is not None else 1
    call.tx.put(TASK_FAMILIES, TaskFamily(account=call.account, region=call.region, name=family, last_number=number))
    return number


def _compatibilities(mode: str, fargate: bool) -> list[str]:
    if mode == "awsvpc":
        return ["EC2", "FARGATE"] if fargate else ["EC2"]
    return ["EXTERNAL", "EC2"]


def _required_attributes(request: Request, definitions: list[dict[str, Any]], mode: str) -> list[Mapping[str, str]]:
    """What a container instance must offer (Developer Guide, "Container agent attributes")."""
    drivers = {str(logs["logDriver"]) for one in definitions if (logs := one.get("logConfiguration"))}
    found = [f"com.amazonaws.ecs.capability.logging-driver.{driver}" for driver in sorted(drivers)]
    if request.get("executionRoleArn") and "awslogs" in drivers:
        found.append("ecs.capability.execution-role-awslogs")
    if any(_ECR.match(one["image"]) for one in definitions):
        found.append("com.amazonaws.ecs.capability.ecr-auth")
    if request.get("taskRoleArn"):
        found.append("com.amazonaws.ecs.capability.task-iam-role")
    if mode == "awsvpc":
        found.append("ecs.capability.task-eni")
    if any("containerPortRange" in mapping for one in definitions for mapping in one["portMappings"]):
        found.append("ecs.capability.network.container-port-range")
    return [{"name": name} for name in found]


def lookup(call: Call, given: str) -> TaskDefinition | None:
    """The definition that a family (its newest ACTIVE revision), family:revision or ARN means.

    Raises InvalidParameterException for a revision that is no number.
    """
    if given.startswith("arn:") and given.split(":")[3:5] != [call.region, call.account]:
        return None
    family, colon, number = names.last_part(given).partition(":")
    if colon:
        if not number.isdecimal():
            raise errors.invalid(f"Invalid revision number. Number: {number}")
        return call.tx.get(TASK_DEFINITIONS, names.arn(call, f"task-definition/{family}:{int(number)}"))
    revisions = call.tx.find(TASK_DEFINITIONS_BY_FAMILY, f"{scope(call.account, call.region)}/{family}")
    active = [one for one in revisions if one.status == "ACTIVE"]
    return max(active, key=lambda one: one.number, default=None)


def usable(call: Call, given: str) -> TaskDefinition:
    """The ACTIVE definition for RunTask, CreateService and UpdateService. Raises ClientException."""
    definition = lookup(call, given)
    if definition is None or definition.status == "DELETE_IN_PROGRESS":
        raise errors.client("TaskDefinition not found.")
    if definition.status != "ACTIVE":
        raise errors.client("TaskDefinition is inactive")
    return definition


def describe_task_definition(call: Call, request: Request) -> Reply:
    definition = lookup(call, request["taskDefinition"])
    if definition is None:
        raise errors.definition_not_found()
    reply: dict[str, Any] = {"taskDefinition": render(definition)}
    if "TAGS" in (request.get("include") or ()):
        reply["tags"] = tags.wire(definition.tags)
    return reply


def deregister_task_definition(call: Call, request: Request) -> Reply:
    if ":" not in names.last_part(request["taskDefinition"]):
        raise errors.client("Revision is missing.")
    definition = lookup(call, request["taskDefinition"])
    if definition is None:
        raise errors.definition_not_found()
    if definition.status == "ACTIVE":
        definition = msgspec.structs.replace(definition, status="INACTIVE", deregistered=call.now)
        call.tx.put(TASK_DEFINITIONS, definition)
    return {"taskDefinition": render(definition)}


def delete_task_definitions(call: Call, request: Request) -> Reply:
    """Marks definitions for deletion; the controller removes them once no task and no service uses them."""
    wanted = request["taskDefinitions"]
    if not wanted:
        raise errors.invalid("size of TaskDefinition references list must be greater than 0")
    if len(wanted) > _LARGEST_DELETE:
        raise errors.invalid(f"Size of TaskDefinition references list cannot exceed {_LARGEST_DELETE}")
    deleted, failures = [], []
    for given in wanted:
        definition = lookup(call, given) if ":" in names.last_part(given) else None
        if definition is None:
            arn = given if given.startswith("arn:") else names.arn(call, f"task-definition/{given}")
            failures.append(
                {
                    "arn": arn,
                    "reason": _ABSENT,
                }
            )
        elif definition.status == "ACTIVE":
            failures.append(
                {
                    "arn": definition.arn,
                    "reason": _STILL_ACTIVE,
                }
            )
        else:
            if definition.status == "INACTIVE":
                definition = msgspec.structs.replace(definition, status="DELETE_IN_PROGRESS", delete_requested=call.now)
                call.tx.put(TASK_DEFINITIONS, definition)
            deleted.append(render(definition))
    return {"taskDefinitions": deleted, "failures": failures}


def list_task_definitions(call: Call, request: Request) -> Reply:
    status = request.get("status") or "ACTIVE"
    prefix = request.get("familyPrefix")
    home = scope(call.account, call.region)
    rows = (
        call.tx.find(TASK_DEFINITIONS_BY_FAMILY, f"{home}/{prefix}")
        if prefix
        else call.tx.find(TASK_DEFINITIONS_BY_SCOPE, home)
    )
    found = [one for one in rows if one.status == status]
    found.sort(key=lambda one: (one.family, one.number), reverse=request.get("sort") == "DESC")
    chosen, token = paging.page(request, [one.arn for one in found])
    return {"taskDefinitionArns": list(chosen)} | ({"nextToken": token} if token else {})


def list_task_definition_families(call: Call, request: Request) -> Reply:
    status = request.get("status") or "ACTIVE"
    prefix = request.get("familyPrefix") or ""
    home = scope(call.account, call.region)
    found = []
    for row in call.tx.find(TASK_FAMILIES_BY_SCOPE, home):
        if not row.name.startswith(prefix):
            continue
        states = {one.status for one in call.tx.find(TASK_DEFINITIONS_BY_FAMILY, f"{home}/{row.name}")}
        active = "ACTIVE" in states
        if states and (status == "ALL" or active == (status == "ACTIVE")):
            found.append(row.name)
    chosen, token = paging.page(request, sorted(found))
    return {"families": list(chosen)} | ({"nextToken": token} if token else {})


def render(definition: TaskDefinition) -> Mapping[str, Any]:
    """A task definition as DescribeTaskDefinition answers it."""
    body: dict[str, Any] = msgspec.json.decode(definition.body)
    body["status"] = definition.status
    body["registeredAt"] = definition.registered
    body["registeredBy"] = f"arn:{names.partition(definition.region)}:iam::{definition.account}:root"
    if definition.deregistered is not None:
        body["deregisteredAt"] = definition.deregistered
    if definition.delete_requested is not None:
        body["deleteRequestedAt"] = definition.delete_requested
    return body


OPERATIONS: tuple[Operation, ...] = (
    write("RegisterTaskDefinition", register_task_definition),
    read("DescribeTaskDefinition", describe_task_definition),
    write("DeregisterTaskDefinition", deregister_task_definition),
    write("DeleteTaskDefinitions", delete_task_definitions),
    read("ListTaskDefinitions", list_task_definitions),
    read("ListTaskDefinitionFamilies", list_task_definition_families),
)
