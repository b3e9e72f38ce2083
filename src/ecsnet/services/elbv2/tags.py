"""AddTags, RemoveTags and DescribeTags, and the tags given at creation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from ecsnet.model.base import Tags
from ecsnet.model.elbv2 import Listener, LoadBalancer, Rule, TargetGroup
from ecsnet.model.tables import LISTENER_RULES, LISTENERS, LOAD_BALANCERS, TARGET_GROUPS
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, read, write
from ecsnet.services.elbv2 import errors

_LIMIT = 50
_Tagged = LoadBalancer | TargetGroup | Listener | Rule


def parse(request: Request) -> Tags:
    """The `Tags` member as stored. Raises AwsError DuplicateTagKeys or TooManyTags."""
    given = tuple((tag["Key"], tag.get("Value", "")) for tag in request.get("Tags", ()))
    keys = [key for key, _ in given]
    if len(set(keys)) != len(keys):
        raise AwsError("DuplicateTagKeys", "A tag key was specified more than once.")
    if len(given) > _LIMIT:
        raise errors.too_many("Tags", _LIMIT)
    return given


def add_tags(call: Call, request: Request) -> Reply:
    given = parse(request)
    for record in _named(call, request["ResourceArns"]):
        merged = dict(record.tags) | dict(given)
        if len(merged) > _LIMIT:
            raise errors.too_many("Tags", _LIMIT)
        _store(call, record, tuple(merged.items()))
    return {}


def remove_tags(call: Call, request: Request) -> Reply:
    unwanted = set(request["TagKeys"])
    for record in _named(call, request["ResourceArns"]):
        _store(call, record, tuple(tag for tag in record.tags if tag[0] not in unwanted))
    return {}


def describe_tags(call: Call, request: Request) -> Reply:
    return {
        "TagDescriptions": [
            {"ResourceArn": record.arn, "Tags": [{"Key": key, "Value": value} for key, value in record.tags]}
            for record in _named(call, request["ResourceArns"])
        ]
    }


_MISSING: Mapping[str, AwsError] = {
    "loadbalancer": errors.load_balancer_not_found(),
    "targetgroup": errors.target_group_not_found(),
    "listener": errors.listener_not_found(),
    "listener-rule": errors.rule_not_found(),
}


def _named(call: Call, arns: Iterable[str]) -> list[_Tagged]:
    found: list[_Tagged] = []
    for arn in arns:
        kind = arn.split(":")[-1].split("/")[0]
        if kind not in _MISSING:
            raise errors.validation(f"'{arn}' is not a valid load balancer, target group, listener or rule ARN")
        record: _Tagged | None
        match kind:
            case "loadbalancer":
                record = call.tx.get(LOAD_BALANCERS, arn)
            case "targetgroup":
                record = call.tx.get(TARGET_GROUPS, arn)
            case "listener":
                record = call.tx.get(LISTENERS, arn)
            case _:
                record = call.tx.get(LISTENER_RULES, arn)
        if record is None:
            raise _MISSING[kind]
        found.append(record)
    return found


def _store(call: Call, record: _Tagged, tags: Tags) -> None:
    match record:
        case LoadBalancer():
            call.tx.put(LOAD_BALANCERS, msgspec.structs.replace(record, tags=tags))
        case TargetGroup():
            call.tx.put(TARGET_GROUPS, msgspec.structs.replace(record, tags=tags))
        case Listener():
            call.tx.put(LISTENERS, msgspec.structs.replace(record, tags=tags))
        case Rule():
            call.tx.put(LISTENER_RULES, msgspec.structs.replace(record, tags=tags))


OPERATIONS: tuple[Operation, ...] = (
    write("AddTags", add_tags),
    write("RemoveTags", remove_tags),
    read("DescribeTags", describe_tags),
)
