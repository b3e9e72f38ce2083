"""Tags as ECS writes them, and TagResource, UntagResource, ListTagsForResource (Developer Guide, "Tagging")."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from ecsnet.model.base import Record, Tags
from ecsnet.model.capacity import CapacityProvider, ContainerInstance
from ecsnet.model.ecs import Cluster, Service, Task, TaskDefinition
from ecsnet.model.tables import (
    CAPACITY_PROVIDERS,
    CLUSTERS,
    CONTAINER_INSTANCES,
    SERVICES,
    TASK_DEFINITIONS,
    TASKS,
)
from ecsnet.services.call import Call, Operation, Reply, Request, read, write
from ecsnet.services.ecs import errors
from ecsnet.store.schema import Table

R = TypeVar("R", bound=Record)
Tagged = CapacityProvider | Cluster | ContainerInstance | Service | Task | TaskDefinition

_PER_RESOURCE = 50


def wire(tags: Tags) -> list[Mapping[str, str]]:
    return [{"key": key, "value": value} for key, value in tags]


def given(request: Request, member: str = "tags") -> Tags:
    """The tags of a request. Raises what `merged` raises."""
    return merged((), ((tag.get("key") or "", tag.get("value") or "") for tag in request.get(member) or ()))


def merged(old: Tags, new: Iterable[tuple[str, str]]) -> Tags:
    """`old` with `new` written over it. Raises InvalidParameterException for what a user may not set."""
    result = dict(old)
    for key, value in new:
        if not key or len(key) > 128:
            raise errors.invalid("Tag key must have a length of 1 to 128 characters.")
        if len(value) > 256:
            raise errors.invalid(f"The value of tag {key!r} is longer than 256 characters.")
        if key.lower().startswith("aws:"):
            raise errors.invalid(f"Tag key {key!r} begins with 'aws:', which is reserved for AWS use.")
        result[key] = value
    if sum(1 for key in result if not key.startswith("aws:")) > _PER_RESOURCE:
        raise errors.invalid(f"A resource may have at most {_PER_RESOURCE} tags.")
    return tuple(result.items())


def _find(call: Call, arn: str) -> tuple[Table[Any], Tagged]:
    kind = arn.split(":", 5)[-1].split("/", 1)[0]
    tables: Mapping[str, Table[Any]] = {
        "capacity-provider": CAPACITY_PROVIDERS,
        "cluster": CLUSTERS,
        "container-instance": CONTAINER_INSTANCES,
        "service": SERVICES,
        "task": TASKS,
        "task-definition": TASK_DEFINITIONS,
    }
    if not arn.startswith("arn:") or kind not in tables:
        raise errors.invalid("The ARN provided is invalid.")
    found: Tagged | None = call.tx.get(tables[kind], arn)
    if found is None or (found.account, found.region) != (call.account, call.region):
        raise errors.resource_not_found(arn)
    return tables[kind], found


def tag_resource(call: Call, request: Request) -> Reply:
    table, found = _find(call, request["resourceArn"])
    new = ((tag.get("key") or "", tag.get("value") or "") for tag in request["tags"])
    call.tx.put(table, msgspec.structs.replace(found, tags=merged(found.tags, new)))
    return {}


def untag_resource(call: Call, request: Request) -> Reply:
    table, found = _find(call, request["resourceArn"])
    gone = set(request["tagKeys"])
    call.tx.put(table, msgspec.structs.replace(found, tags=tuple(tag for tag in found.tags if tag[0] not in gone)))
    return {}


def list_tags_for_resource(call: Call, request: Request) -> Reply:
    _, found = _find(call, request["resourceArn"])
    return {"tags": wire(found.tags)}


OPERATIONS: tuple[Operation, ...] = (
    write("TagResource", tag_resource),
    write("UntagResource", untag_resource),
    read("ListTagsForResource", list_tags_for_resource),
)
