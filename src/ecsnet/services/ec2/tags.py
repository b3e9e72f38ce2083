"""Tags of all EC2 resources."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import Record, Tags
from ecsnet.model.tables import GROUP_RULES, RULES_BY_GROUP
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, read, write
from ecsnet.services.ec2 import families
from ecsnet.services.ec2.family import Family
from ecsnet.services.ec2.filters import Filters
from ecsnet.services.ec2.listing import drop_empty
from ecsnet.services.ec2.paging import page
from ecsnet.services.ec2.security_group_rule import RULE_NOUN, visible_rule
from ecsnet.services.ec2.tagging import checked, merged, pairs

_BY_PREFIX: dict[str, Family[Any]] = {family.prefix: family for family in families.ALL}
_RULE_PREFIX = "sgr"


class _Tag(Record, frozen=True, kw_only=True, gc=False):
    resource: str
    kind: str
    key: str
    value: str


def change_tags(call: Call, resource: str, change: Callable[[Tags], Tags]) -> None:
    """Rewrite the tags of one resource. Raises the NotFound error of its family, InvalidID for an unknown prefix."""
    prefix = resource.partition("-")[0]
    if prefix == _RULE_PREFIX:
        rule = visible_rule(call, resource)
        call.tx.put(GROUP_RULES, msgspec.structs.replace(rule, tags=change(rule.tags)))
        return
    family = _BY_PREFIX.get(prefix)
    if family is None:
        raise AwsError("InvalidID", f"The ID '{resource}' is not valid")
    row = family.require(call, resource)
    call.tx.put(family.table, family.with_tags(call, row, change(family.tags(call, row))))


def set_tags(call: Call, resource: str, tags: Iterable[tuple[str, str]]) -> None:
    """Write tags over those that are there, reserved `aws:` keys included: for services that own the resource."""
    new = tuple(tags)
    change_tags(call, resource, lambda old: merged(old, new))


def create_tags(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateTags. Raises InvalidParameterValue, TagLimitExceeded, the resource's NotFound error."""
    new = checked(pairs(request["Tags"]))
    for resource in request["Resources"]:
        set_tags(call, resource, new)
    return {}


def delete_tags(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DeleteTags. A tag without a value goes whatever its value is; without tags, all go."""
    given = [(tag.get("Key"), tag.get("Value")) for tag in request.get("Tags") or ()]
    for resource in request["Resources"]:
        change_tags(call, resource, lambda old: _without(old, given))
    return {}


def _without(old: Tags, given: Sequence[tuple[str | None, str | None]]) -> Tags:
    if not given:
        return tuple((key, value) for key, value in old if key.startswith("aws:"))
    return tuple(
        (key, value)
        for key, value in old
        if not any(key == name and (wanted is None or value == wanted) for name, wanted in given)
    )


_FILTERS: Filters[_Tag] = Filters(
    fields={
        "key": lambda call, r: (r.key,),
        "resource-id": lambda call, r: (r.resource,),
        "resource-type": lambda call, r: (r.kind,),
        "value": lambda call, r: (r.value,),
    },
    tags=lambda r: ((r.key, r.value),),
)


def describe_tags(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeTags."""
    tests = _FILTERS.parse(request)
    named = next((test.exact for test in tests if test.name == "resource-id" and not test.patterns), None)
    rows = _all(call) if named is None else _of(call, named)
    chosen = {f"{row.resource}/{row.key}": row for row in rows if all(test.matches(call, row) for test in tests)}
    keys, token = page(request, sorted(chosen))
    return drop_empty(
        {
            "Tags": [
                {"ResourceId": row.resource, "ResourceType": row.kind, "Key": row.key, "Value": row.value}
                for row in (chosen[key] for key in keys)
            ],
            "NextToken": token,
        }
    )


def _all(call: Call) -> Iterator[_Tag]:
    for family in families.ALL:
        for row in family.all(call):
            yield from _tags(family.table.key(row), family.noun, family.tags(call, row))
    for group in families.GROUP.all(call):
        for rule in call.tx.find(RULES_BY_GROUP, group.id):
            yield from _tags(rule.id, RULE_NOUN, rule.tags)


def _of(call: Call, resources: Iterable[str]) -> Iterator[_Tag]:
    for resource in resources:
        prefix = resource.partition("-")[0]
        family = _BY_PREFIX.get(prefix)
        row: Any = None if family is None else family.find(call, resource)
        if family is not None and row is not None:
            yield from _tags(resource, family.noun, family.tags(call, row))
        elif prefix == _RULE_PREFIX:
            rule: ec2.SecurityGroupRule | None = call.tx.get(GROUP_RULES, resource)
            if rule is not None and families.GROUP.find(call, rule.group) is not None:
                yield from _tags(resource, RULE_NOUN, rule.tags)


def _tags(resource: str, kind: str, tags: Tags) -> Iterator[_Tag]:
    return (_Tag(resource=resource, kind=kind, key=key, value=value) for key, value in tags)


OPERATIONS: tuple[Operation, ...] = (
    write("CreateTags", create_tags),
    write("DeleteTags", delete_tags),
    read("DescribeTags", describe_tags),
)
