"""Security groups themselves; their rules are in security_group_rule.py."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ecsnet.model import ec2
from ecsnet.model.base import scope
from ecsnet.model.tables import (
    GROUP_ASSOCIATIONS_BY_GROUP,
    GROUP_ASSOCIATIONS_BY_VPC,
    GROUPS_BY_VPC,
    INTERFACES_BY_GROUP,
    RULES_BY_GROUP,
    RULES_BY_PEER_GROUP,
    VPCS_BY_SCOPE,
)
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, read, write
from ecsnet.services.ec2 import errors, families
from ecsnet.services.ec2.default_vpc import find_default_vpc
from ecsnet.services.ec2.filters import Extract, Filters, some
from ecsnet.services.ec2.listing import Listing, drop_empty, each
from ecsnet.services.ec2.paging import page
from ecsnet.services.ec2.peered_groups import link_of, shown
from ecsnet.services.ec2.permissions import permission_items
from ecsnet.services.ec2.quotas import quota
from ecsnet.services.ec2.regions import arn
from ecsnet.services.ec2.security_groups import DEFAULT_NAME, add_group, group_by_name, remove_group
from ecsnet.services.ec2.tagging import specified, tag_set

_ALLOWED = re.compile(r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}")


def create_security_group(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateSecurityGroup; without a VPC it is made in the default one.

    Raises InvalidGroup.Duplicate, InvalidGroup.Reserved, InvalidParameterValue, VPCIdNotSpecified,
    SecurityGroupLimitExceeded.
    """
    name = str(request["GroupName"]).rstrip(" ")
    description = _checked("GroupDescription", str(request["Description"]))
    if name.lower() == DEFAULT_NAME:
        raise AwsError("InvalidGroup.Reserved", f"Cannot use reserved security group name: {DEFAULT_NAME}")
    if name.lower().startswith("sg-"):
        raise errors.invalid_value("groupName", name, "Group names may not be in the format sg-*.")
    _checked("groupName", name)
    vpc = families.VPC.require(call, request["VpcId"]) if request.get("VpcId") else _default_vpc(call)
    if group_by_name(call.tx, vpc.id, name) is not None:
        raise AwsError("InvalidGroup.Duplicate", f"The security group '{name}' already exists for VPC '{vpc.id}'")
    if families.GROUP.count(call) >= quota(call, "groups_per_region"):
        raise errors.limit_exceeded("SecurityGroupLimitExceeded", "security groups")
    tags = specified(request, families.GROUP.noun)
    group = add_group(call, vpc, name=name, description=description, tags=tags)
    return {"GroupId": group.id, "SecurityGroupArn": _arn(group), "Tags": tag_set(tags)}


def _checked(parameter: str, text: str) -> str:
    if not text:
        raise errors.missing_parameter(parameter)
    if _ALLOWED.fullmatch(text) is None:
        raise errors.invalid_value(
            parameter,
            text,
            "Use at most 255 characters from a-z, A-Z, 0-9, space and ._-:/()#,@[]+=&;{}!$*",
        )
    return text


def _default_vpc(call: Call) -> ec2.Vpc:
    vpc = find_default_vpc(call)
    if vpc is None:
        raise AwsError("VPCIdNotSpecified", "No default VPC for this user")
    return vpc


def named_group(call: Call, request: Request) -> ec2.SecurityGroup:
    """The group that GroupId names, or GroupName in the default VPC. Raises InvalidGroup.NotFound."""
    if request.get("GroupId"):
        return families.GROUP.require(call, request["GroupId"])
    name = request.get("GroupName")
    if not name:
        raise errors.missing_parameter("groupName or groupId")
    return _in_default_vpc(call, name)


def _in_default_vpc(call: Call, name: str) -> ec2.SecurityGroup:
    vpc = find_default_vpc(call)
    group = group_by_name(call.tx, vpc.id, name) if vpc is not None else None
    if group is None:
        raise AwsError("InvalidGroup.NotFound", f"The security group '{name}' does not exist in default VPC")
    return group


def delete_security_group(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DeleteSecurityGroup. Raises CannotDelete for the default group, DependencyViolation in use."""
    group = named_group(call, request)
    if group.name == DEFAULT_NAME:
        raise AwsError(
            "CannotDelete", f'the specified group: "{group.id}" name: "{group.name}" cannot be deleted by a user'
        )
    users = {*call.tx.keys(INTERFACES_BY_GROUP, group.id)}
    # A rule of a peered VPC becomes stale instead (VPC peering guide, "Identify stale security group rules").
    users.update(
        rule.group
        for rule in call.tx.find(RULES_BY_PEER_GROUP, group.id)
        if rule.group != group.id and rule.peer_vpc is None
    )
    users.update(one.vpc for one in call.tx.find(GROUP_ASSOCIATIONS_BY_GROUP, group.id))
    if users:
        raise AwsError("DependencyViolation", f"resource {group.id} has a dependent object" + errors.named(users))
    remove_group(call, group.id)
    return {"Return": True, "GroupId": group.id}


def _arn(group: ec2.SecurityGroup) -> str:
    return arn(group.region, group.account, f"security-group/{group.id}")


def _item(
    group: ec2.SecurityGroup, rules: Sequence[ec2.SecurityGroupRule], links: Sequence[ec2.VpcPeeringConnection | None]
) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape SecurityGroup)."""
    references = {rule.id: shown(rule, link) for rule, link in zip(rules, links, strict=True)}
    return {
        "GroupId": group.id,
        "GroupName": group.name,
        "Description": group.description,
        "OwnerId": group.account,
        "VpcId": group.vpc,
        "SecurityGroupArn": _arn(group),
        "IpPermissions": permission_items((rule for rule in rules if not rule.egress), references),
        "IpPermissionsEgress": permission_items((rule for rule in rules if rule.egress), references),
        "Tags": tag_set(group.tags),
    }


def _cached(call: Call, group: ec2.SecurityGroup) -> Cached:
    rules = tuple(call.tx.find(RULES_BY_GROUP, group.id))
    links = tuple(link_of(call.tx, rule, group.vpc) for rule in rules)
    return Cached(key=("sg", group.id), sources=(group, *rules, *links), build=partial(_item, group, rules, links))


def _of_rules(egress: bool, member: str) -> Extract[ec2.SecurityGroup]:
    def extract(call: Call, group: ec2.SecurityGroup) -> list[str]:
        values = (getattr(r, member) for r in call.tx.find(RULES_BY_GROUP, group.id) if r.egress is egress)
        return [str(value) for value in values if value is not None]

    return extract


def _rule_cidrs(egress: bool, version: int) -> Extract[ec2.SecurityGroup]:
    def extract(call: Call, group: ec2.SecurityGroup) -> list[str]:
        blocks = (r.cidr for r in call.tx.find(RULES_BY_GROUP, group.id) if r.egress is egress)
        return [str(block) for block in blocks if block is not None and block.version == version]

    return extract


def _peer_names(egress: bool) -> Extract[ec2.SecurityGroup]:
    def extract(call: Call, group: ec2.SecurityGroup) -> list[str]:
        rules = call.tx.find(RULES_BY_GROUP, group.id)
        peers = (families.GROUP.find(call, r.peer_group) for r in rules if r.peer_group and r.egress is egress)
        return [peer.name for peer in peers if peer is not None]

    return extract


def _permission_fields(prefix: str, egress: bool) -> dict[str, Extract[ec2.SecurityGroup]]:
    return {
        f"{prefix}.cidr": _rule_cidrs(egress, 4),
        f"{prefix}.from-port": _of_rules(egress, "from_port"),
        f"{prefix}.group-id": _of_rules(egress, "peer_group"),
        f"{prefix}.group-name": _peer_names(egress),
        f"{prefix}.ipv6-cidr": _rule_cidrs(egress, 6),
        f"{prefix}.prefix-list-id": _of_rules(egress, "prefix_list"),
        f"{prefix}.protocol": _of_rules(egress, "protocol"),
        f"{prefix}.to-port": _of_rules(egress, "to_port"),
        f"{prefix}.user-id": _of_rules(egress, "peer_account"),
    }


def _with_name(call: Call, name: str) -> Iterator[ec2.SecurityGroup]:
    for vpc in call.tx.keys(VPCS_BY_SCOPE, scope(call.account, call.region)):
        group = group_by_name(call.tx, vpc, name)
        if group is not None:
            yield group


_FILTERS: Filters[ec2.SecurityGroup] = Filters(
    fields={
        "description": lambda call, r: (r.description,),
        "group-id": lambda call, r: (r.id,),
        "group-name": lambda call, r: (r.name,),
        "owner-id": lambda call, r: (r.account,),
        "vpc-id": lambda call, r: some(r.vpc),
        **_permission_fields("ip-permission", False),
        **_permission_fields("egress.ip-permission", True),
    },
    indexes={"vpc-id": GROUPS_BY_VPC},
    lookups={"group-name": _with_name},
    keys=frozenset({"group-id"}),
    tags=lambda r: r.tags,
)
_LISTING = Listing(
    family=families.GROUP, filters=_FILTERS, ids="GroupIds", members="SecurityGroups", items=each(_cached)
)


def describe_security_groups(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeSecurityGroups; GroupNames name groups of the default VPC."""
    if request.get("GroupNames"):
        named = [_in_default_vpc(call, name).id for name in request["GroupNames"]]
        request = {**request, "GroupIds": [*(request.get("GroupIds") or ()), *named]}
    return _LISTING.describe(call, request)


def _for_vpc(call: Call, group: ec2.SecurityGroup) -> Cached:
    return Cached(key=("sg-for-vpc", group.id), sources=(group,), build=partial(_for_vpc_item, group))


def _for_vpc_item(group: ec2.SecurityGroup) -> Mapping[str, Any]:
    return {
        "GroupId": group.id,
        "GroupName": group.name,
        "Description": group.description,
        "OwnerId": group.account,
        "PrimaryVpcId": group.vpc,
        "Tags": tag_set(group.tags),
    }


_FOR_VPC: Filters[ec2.SecurityGroup] = Filters(
    fields={
        "description": lambda call, r: (r.description,),
        "group-id": lambda call, r: (r.id,),
        "group-name": lambda call, r: (r.name,),
        "owner-id": lambda call, r: (r.account,),
        "primary-vpc-id": lambda call, r: (r.vpc,),
    },
    tags=lambda r: r.tags,
)


def get_security_groups_for_vpc(call: Call, request: Request) -> Reply:
    """The VPC's own groups and those that are associated with it. Source: EC2 API, GetSecurityGroupsForVpc."""
    vpc = families.VPC.require(call, request["VpcId"])
    tests = _FOR_VPC.parse(request)
    usable = {*call.tx.keys(GROUPS_BY_VPC, vpc.id)}
    usable.update(one.group for one in call.tx.find(GROUP_ASSOCIATIONS_BY_VPC, vpc.id))
    groups = {key: families.GROUP.require(call, key) for key in usable}
    chosen = (key for key, group in groups.items() if all(test.matches(call, group) for test in tests))
    keys, token = page(request, sorted(chosen))
    return drop_empty({"SecurityGroupForVpcs": [_for_vpc(call, groups[key]) for key in keys], "NextToken": token})


OPERATIONS: tuple[Operation, ...] = (
    write("CreateSecurityGroup", create_security_group),
    write("DeleteSecurityGroup", delete_security_group),
    read("DescribeSecurityGroups", describe_security_groups),
    read("GetSecurityGroupsForVpc", get_security_groups_for_vpc),
)
