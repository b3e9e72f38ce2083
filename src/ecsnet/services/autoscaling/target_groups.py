"""Target groups of a group: its instances in service are their targets, at the target group's own port."""

from __future__ import annotations

from typing import Any

import msgspec

from ecsnet.model.autoscaling import AutoScalingGroup, Lifecycle
from ecsnet.model.tables import AUTO_SCALING_GROUPS, GROUP_INSTANCES_BY_GROUP, TARGET_GROUPS
from ecsnet.services.autoscaling import group as groups
from ecsnet.services.autoscaling.lookup import require_group
from ecsnet.services.call import Call, Operation, Reply, Request, read, write
from ecsnet.services.elbv2 import ops as elbv2_ops


def attach(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, AttachLoadBalancerTargetGroups."""
    row = require_group(call, request["AutoScalingGroupName"])
    groups.check_target_groups(call, request["TargetGroupARNs"])
    added = tuple(dict.fromkeys((*row.target_groups, *request["TargetGroupARNs"])))
    row = call.tx.put(AUTO_SCALING_GROUPS, msgspec.structs.replace(row, target_groups=added))
    for instance in in_service(call, row):
        register(call, row, instance)
    return {}


def detach(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, DetachLoadBalancerTargetGroups: the instances begin to drain."""
    row = require_group(call, request["AutoScalingGroupName"])
    gone = set(request["TargetGroupARNs"])
    left = tuple(arn for arn in row.target_groups if arn not in gone)
    call.tx.put(AUTO_SCALING_GROUPS, msgspec.structs.replace(row, target_groups=left))
    for arn in gone & set(row.target_groups):
        for instance in in_service(call, row):
            deregister(call, arn, instance)
    return {}


def describe(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, DescribeLoadBalancerTargetGroups."""
    row = require_group(call, request["AutoScalingGroupName"])
    state = "InService" if in_service(call, row) else "Added"
    found: list[dict[str, Any]] = [{"LoadBalancerTargetGroupARN": arn, "State": state} for arn in row.target_groups]
    return {"LoadBalancerTargetGroups": found}


def in_service(call: Call, row: AutoScalingGroup) -> list[str]:
    members = call.tx.find(GROUP_INSTANCES_BY_GROUP, row.arn)
    return [member.instance for member in members if member.state is Lifecycle.IN_SERVICE]


def register(call: Call, row: AutoScalingGroup, instance: str) -> None:
    """Make an instance a target of the group's target groups; one that was deleted meanwhile is passed over."""
    for arn in row.target_groups:
        target_group = call.tx.get(TARGET_GROUPS, arn)
        if target_group is not None and target_group.port is not None:
            elbv2_ops.register_target(call, arn, instance, target_group.port)


def deregister(call: Call, arn: str, instance: str) -> None:
    target_group = call.tx.get(TARGET_GROUPS, arn)
    if target_group is not None and target_group.port is not None:
        elbv2_ops.deregister_target(call, arn, instance, target_group.port)


OPERATIONS: tuple[Operation, ...] = (
    write("AttachLoadBalancerTargetGroups", attach),
    write("DetachLoadBalancerTargetGroups", detach),
    read("DescribeLoadBalancerTargetGroups", describe),
)
