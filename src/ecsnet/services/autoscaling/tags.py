"""Tags of groups, with what new instances get of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ecsnet.model.autoscaling import AutoScalingGroup, GroupTag
from ecsnet.model.base import scope
from ecsnet.model.tables import AUTO_SCALING_GROUPS, AUTO_SCALING_GROUPS_BY_SCOPE
from ecsnet.services.autoscaling import errors
from ecsnet.services.autoscaling.lookup import find_group, page
from ecsnet.services.call import Call, Operation, Reply, Request, not_implemented, read, write


def given(group: str, tags: Iterable[Mapping[str, Any]]) -> tuple[GroupTag, ...]:
    """The tags of a request, those of `group` alone. Raises ValidationError for another group's."""
    found: dict[str, GroupTag] = {}
    for tag in tags:
        if tag.get("ResourceId") not in (None, group):
            raise errors.validation(f"The tag '{tag.get('Key')}' names another resource than '{group}'.")
        key = str(tag.get("Key") or "")
        if not key or key.lower().startswith("aws:"):
            raise errors.validation("Tag keys must not be empty or begin with 'aws:'.")
        found[key] = GroupTag(key=key, value=str(tag.get("Value") or ""), propagate=bool(tag.get("PropagateAtLaunch")))
    return tuple(found[key] for key in sorted(found))


def create_or_update_tags(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, CreateOrUpdateTags."""
    for tag in request["Tags"]:
        row = _group(call, tag)
        merged = {one.key: one for one in (*row.tags, *given(row.name, [tag]))}
        ordered = tuple(merged[key] for key in sorted(merged))
        call.tx.put(AUTO_SCALING_GROUPS, msgspec.structs.replace(row, tags=ordered))
    return {}


def delete_tags(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, DeleteTags."""
    for tag in request["Tags"]:
        row = _group(call, tag)
        kept = tuple(one for one in row.tags if one.key != tag["Key"])
        call.tx.put(AUTO_SCALING_GROUPS, msgspec.structs.replace(row, tags=kept))
    return {}


def _group(call: Call, tag: Mapping[str, Any]) -> AutoScalingGroup:
    row = find_group(call, tag.get("ResourceId") or "")
    if row is None:
        raise errors.validation(f"The resource '{tag.get('ResourceId')}' of a tag does not exist.")
    return row


def matches(row: AutoScalingGroup, filters: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a group has what DescribeAutoScalingGroups's Filters ask for (tag-key, tag-value, tag:<key>)."""
    for one in filters:
        name, values = str(one.get("Name")), set(one.get("Values") or ())
        if name == "tag-key":
            found = values & {tag.key for tag in row.tags}
        elif name == "tag-value":
            found = values & {tag.value for tag in row.tags}
        elif name.startswith("tag:"):
            found = values & {tag.value for tag in row.tags if tag.key == name.removeprefix("tag:")}
        else:
            raise not_implemented("DescribeAutoScalingGroups", f"the filter {name}")
        if not found:
            return False
    return True


def wire(row: AutoScalingGroup) -> list[dict[str, Any]]:
    return [
        {
            "ResourceId": row.name,
            "ResourceType": "auto-scaling-group",
            "Key": tag.key,
            "Value": tag.value,
            "PropagateAtLaunch": tag.propagate,
        }
        for tag in row.tags
    ]


_FIELDS = {
    "auto-scaling-group": "ResourceId",
    "key": "Key",
    "value": "Value",
    "propagate-at-launch": "PropagateAtLaunch",
}


def describe_tags(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, DescribeTags."""
    found = {}
    for row in call.tx.find(AUTO_SCALING_GROUPS_BY_SCOPE, scope(call.account, call.region)):
        for tag in wire(row):
            if all(_fits(tag, one) for one in request.get("Filters") or ()):
                found[f"{row.name}/{tag['Key']}"] = tag
    keys, token = page(request, sorted(found))
    reply: dict[str, Any] = {"Tags": [found[key] for key in keys]}
    return reply if token is None else {**reply, "NextToken": token}


def _fits(tag: Mapping[str, Any], one: Mapping[str, Any]) -> bool:
    field = _FIELDS.get(str(one.get("Name")))
    if field is None:
        raise errors.validation(f"The filter '{one.get('Name')}' is not valid.")
    value = tag[field]
    return (str(value).lower() if isinstance(value, bool) else value) in (one.get("Values") or ())


OPERATIONS: tuple[Operation, ...] = (
    write("CreateOrUpdateTags", create_or_update_tags),
    write("DeleteTags", delete_tags),
    read("DescribeTags", describe_tags),
)
