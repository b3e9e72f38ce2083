"""DescribeSecurityGroupReferences and DescribeStaleSecurityGroups: groups and rules on the two sides of a peering."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecsnet.model import ec2
from ecsnet.model.tables import GROUPS, GROUPS_BY_VPC, RULES_BY_GROUP, RULES_BY_REMOTE_GROUP
from ecsnet.services.call import Call, Operation, Reply, Request, read
from ecsnet.services.ec2 import families
from ecsnet.services.ec2.listing import drop_empty
from ecsnet.services.ec2.paging import page
from ecsnet.services.ec2.peered_groups import is_stale, link_of, references
from ecsnet.services.ec2.permissions import permission_items


def describe_security_group_references(call: Call, request: Request) -> Reply:
    """The peered VPCs whose rules name the given groups. Source: EC2 API, DescribeSecurityGroupReferences."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for key in request["GroupId"]:
        group = families.GROUP.require(call, key)
        for rule in call.tx.find(RULES_BY_REMOTE_GROUP, group.id):
            holder = call.tx.get(GROUPS, rule.group)
            link = None if holder is None else link_of(call.tx, rule, holder.vpc)
            if holder is not None and link is not None and not is_stale(call.tx, rule, holder.vpc):
                item = {"GroupId": group.id, "ReferencingVpcId": holder.vpc, "VpcPeeringConnectionId": link.id}
                found[group.id, holder.vpc] = item
    return {"SecurityGroupReferenceSet": [found[key] for key in sorted(found)]}


def describe_stale_security_groups(call: Call, request: Request) -> Reply:
    """The groups of a VPC with rules that admit nobody any more. Source: EC2 API, DescribeStaleSecurityGroups."""
    vpc = families.VPC.require(call, request["VpcId"])
    stale: dict[str, Mapping[str, Any]] = {}
    for group in call.tx.find(GROUPS_BY_VPC, vpc.id):
        rules = [rule for rule in call.tx.find(RULES_BY_GROUP, group.id) if is_stale(call.tx, rule, vpc.id)]
        if rules:
            stale[group.id] = _item(call, group, rules)
    keys, token = page(request, sorted(stale))
    return drop_empty({"StaleSecurityGroupSet": [stale[key] for key in keys], "NextToken": token})


def _item(call: Call, group: ec2.SecurityGroup, rules: list[ec2.SecurityGroupRule]) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape StaleSecurityGroup)."""
    shown = references(call.tx, group.vpc, rules)
    return {
        "GroupId": group.id,
        "GroupName": group.name,
        "Description": group.description,
        "VpcId": group.vpc,
        "StaleIpPermissions": [_permission(one) for one in permission_items(_of(rules, False), shown)],
        "StaleIpPermissionsEgress": [_permission(one) for one in permission_items(_of(rules, True), shown)],
    }


def _of(rules: list[ec2.SecurityGroupRule], egress: bool) -> list[ec2.SecurityGroupRule]:
    return [rule for rule in rules if rule.egress is egress]


def _permission(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """An IpPermission as a StaleIpPermission, which has no IPv6 ranges; stale rules name groups alone."""
    return {name: value for name, value in item.items() if name != "Ipv6Ranges"}


OPERATIONS: tuple[Operation, ...] = (
    read("DescribeSecurityGroupReferences", describe_security_group_references),
    read("DescribeStaleSecurityGroups", describe_stale_security_groups),
)
