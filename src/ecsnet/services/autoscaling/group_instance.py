"""The instances of groups, one by one."""

from __future__ import annotations

from typing import Any

import msgspec

from ecsnet.model.autoscaling import LEAVING, AutoScalingGroup, GroupInstance
from ecsnet.model.base import scope
from ecsnet.model.tables import (
    AUTO_SCALING_GROUPS,
    AUTO_SCALING_GROUPS_BY_SCOPE,
    GROUP_INSTANCES,
    GROUP_INSTANCES_BY_GROUP,
    SCALING_ACTIVITIES,
)
from ecsnet.services.autoscaling import activity, errors, members
from ecsnet.services.autoscaling.group import member_item
from ecsnet.services.autoscaling.lookup import page, require_group
from ecsnet.services.call import Call, Operation, Reply, Request, not_implemented, read, write


def describe_auto_scaling_instances(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, DescribeAutoScalingInstances. Unknown ids are left out."""
    found = {}
    for group in call.tx.find(AUTO_SCALING_GROUPS_BY_SCOPE, scope(call.account, call.region)):
        for member in call.tx.find(GROUP_INSTANCES_BY_GROUP, group.arn):
            found[member.instance] = (group, member)
    wanted = request.get("InstanceIds")
    keys, token = page(request, sorted(key for key in found if not wanted or key in wanted))
    items = []
    for key in keys:
        group, member = found[key]
        item = member_item(call, member)
        # This shape says HEALTHY where the group's own list says Healthy.
        items.append({**item, "AutoScalingGroupName": group.name, "HealthStatus": item["HealthStatus"].upper()})
    reply: dict[str, Any] = {"AutoScalingInstances": items}
    return reply if token is None else {**reply, "NextToken": token}


def terminate_instance_in_auto_scaling_group(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, TerminateInstanceInAutoScalingGroup."""
    if request.get("InstanceIds"):
        raise not_implemented("TerminateInstanceInAutoScalingGroup", "InstanceIds")
    group, member = _member(call, request.get("InstanceId") or "")
    shrinks = bool(request.get("ShouldDecrementDesiredCapacity"))
    if shrinks:
        if group.desired <= group.minimum:
            raise errors.validation(
                f"Currently, desiredSize equals minSize ({group.minimum}). Terminating instance without replacement "
                "will violate group's min size constraint. Either set shouldDecrementDesiredCapacity flag to false or "
                "lower group's min size."
            )
        group = call.tx.put(AUTO_SCALING_GROUPS, msgspec.structs.replace(group, desired=group.desired - 1))
    change = f", shrinking the capacity from {group.desired + 1} to {group.desired}" if shrinks else ""
    cause = (
        f"{members.stamp(call.now)} instance {member.instance} was taken out of service in response to a user "
        f"request{change}."
    )
    if member.state in LEAVING:
        raise errors.validation(f"The instance {member.instance} is being terminated already.")
    member = members.begin_end(call, member, cause)
    row = call.tx.get(SCALING_ACTIVITIES, member.activity)
    assert row is not None
    return {"Activity": activity.item(group, row)}


def set_instance_protection(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, SetInstanceProtection."""
    group = require_group(call, request["AutoScalingGroupName"])
    for instance in request["InstanceIds"]:
        owner, member = _member(call, instance)
        if owner.arn != group.arn:
            raise errors.validation(f"The instance {instance} is not part of Auto Scaling group {group.name}.")
        protected = bool(request["ProtectedFromScaleIn"])
        call.tx.put(GROUP_INSTANCES, msgspec.structs.replace(member, protected=protected))
    return {}


def set_instance_health(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, SetInstanceHealth. An instance said to be unhealthy is replaced."""
    _, member = _member(call, request["InstanceId"])
    status = request["HealthStatus"]
    if status not in ("Healthy", "Unhealthy"):
        raise errors.validation(f"The health status '{status}' is neither Healthy nor Unhealthy.")
    call.tx.put(GROUP_INSTANCES, msgspec.structs.replace(member, healthy=status == "Healthy"))
    return {}


def _member(call: Call, instance: str) -> tuple[AutoScalingGroup, GroupInstance]:
    member = call.tx.get(GROUP_INSTANCES, instance)
    group = call.tx.get(AUTO_SCALING_GROUPS, member.group) if member is not None else None
    if member is None or group is None or (group.account, group.region) != (call.account, call.region):
        raise errors.validation(f"Instance Id not found - No managed instance found for instance ID: {instance}")
    return group, member


OPERATIONS: tuple[Operation, ...] = (
    read("DescribeAutoScalingInstances", describe_auto_scaling_instances),
    write("TerminateInstanceInAutoScalingGroup", terminate_instance_in_auto_scaling_group),
    write("SetInstanceProtection", set_instance_protection),
    write("SetInstanceHealth", set_instance_health),
)
