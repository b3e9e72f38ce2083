"""PutAttributes, DeleteAttributes and ListAttributes (Developer Guide, "Container instance attributes")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ecsnet.model.capacity import ContainerInstance, attribute_values
from ecsnet.model.ecs import Cluster
from ecsnet.model.tables import CONTAINER_INSTANCES, CONTAINER_INSTANCES_BY_CLUSTER
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, read, write
from ecsnet.services.ecs import cluster, errors, paging
from ecsnet.services.ecs.container_instance import instance_arn

_NAME = re.compile(r"[A-Za-z0-9_./\\-]{1,128}\Z")
_VALUE = re.compile(r"(?! )[A-Za-z0-9_./\\@: -]{1,128}(?<! )\Z")
_MOST_GIVEN = 10
_MOST_CUSTOM = 10


def _target(call: Call, where: Cluster, given: Mapping[str, Any]) -> ContainerInstance:
    row = call.tx.get(CONTAINER_INSTANCES, instance_arn(call, where, given.get("targetId") or ""))
    if row is None or row.status == "INACTIVE":
        raise AwsError("TargetNotFoundException", "Unable to find the specified target.")
    return row


def _given(request: Request) -> list[Mapping[str, Any]]:
    given: list[Mapping[str, Any]] = list(request["attributes"])
    if not 1 <= len(given) <= _MOST_GIVEN:
        raise errors.invalid(f"Attributes must have 1 to {_MOST_GIVEN} items.")
    for one in given:
        if not one.get("targetId"):
            raise errors.invalid("targetId must be specified for each attribute.")
        if not _NAME.match(one["name"]):
            raise errors.invalid(f"Attribute name {one['name']!r} is invalid.")
        if one.get("value") and not _VALUE.match(one["value"]):
            raise errors.invalid(f"The value of attribute {one['name']!r} is invalid.")
    return given


def put_attributes(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    done = []
    for one in _given(request):
        row = _target(call, where, one)
        if one["name"] in dict(row.attributes):
            raise errors.invalid(f"Attribute {one['name']!r} is set by the container agent and cannot be changed.")
        custom = {**dict(row.custom_attributes), one["name"]: one.get("value") or None}
        if len(custom) > _MOST_CUSTOM:
            raise AwsError(
                "AttributeLimitExceededException", f"A resource may have at most {_MOST_CUSTOM} custom attributes."
            )
        row = msgspec.structs.replace(row, custom_attributes=tuple(sorted(custom.items())), version=row.version + 1)
        call.tx.put(CONTAINER_INSTANCES, row)
        done.append(_wire(row, one["name"], one.get("value") or None))
    return {"attributes": done}


def delete_attributes(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    done = []
    for one in _given(request):
        row = _target(call, where, one)
        custom = dict(row.custom_attributes)
        if one["name"] not in custom:
            continue
        value = custom.pop(one["name"])
        row = msgspec.structs.replace(row, custom_attributes=tuple(sorted(custom.items())), version=row.version + 1)
        call.tx.put(CONTAINER_INSTANCES, row)
        done.append(_wire(row, one["name"], value))
    return {"attributes": done}


def list_attributes(call: Call, request: Request) -> Reply:
    """One entry for each instance that has the attribute."""
    where = cluster.find(call, request.get("cluster"))
    name, value = request.get("attributeName"), request.get("attributeValue")
    if value and not name:
        raise errors.invalid("attributeName must be specified with attributeValue.")
    found = {
        f"{row.arn}|{one}": _wire(row, one, held)
        for row in call.tx.find(CONTAINER_INSTANCES_BY_CLUSTER, where.arn)
        for one, held in attribute_values(row).items()
        if name in (None, "", one) and value in (None, "", held)
    }
    chosen, token = paging.page(request, sorted(found))
    return {"attributes": [found[key] for key in chosen]} | ({"nextToken": token} if token else {})


def _wire(row: ContainerInstance, name: str, value: str | None) -> Mapping[str, str]:
    return {"name": name, "targetId": row.arn} | ({"value": value} if value is not None else {})


OPERATIONS: tuple[Operation, ...] = (
    write("PutAttributes", put_attributes),
    write("DeleteAttributes", delete_attributes),
    read("ListAttributes", list_attributes),
)
