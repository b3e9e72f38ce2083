"""Auto Scaling groups: how many instances there shall be, of what, and where."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from ecsnet.model.autoscaling import AutoScalingGroup, GroupInstance
from ecsnet.model.base import scope
from ecsnet.model.tables import (
    AUTO_SCALING_GROUPS,
    AUTO_SCALING_GROUPS_BY_SCOPE,
    GROUP_INSTANCES_BY_GROUP,
    LIFECYCLE_HOOKS,
    LIFECYCLE_HOOKS_BY_GROUP,
    SCALING_ACTIVITIES,
    SCALING_ACTIVITIES_BY_GROUP,
    SUBNETS,
    SUBNETS_BY_VPC,
    TARGET_GROUPS,
)
from ecsnet.services.autoscaling import errors, lifecycle_hook, members, source, tags
from ecsnet.services.autoscaling.lookup import find_group, page, require_group
from ecsnet.services.call import Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ec2 import ops as ec2_ops

_NOT_BUILT = ("InstanceId", "LoadBalancerNames", "TrafficSources", "CapacityReservationSpecification")
_KEPT = (
    "CapacityRebalance",
    "Context",
    "DefaultInstanceWarmup",
    "DesiredCapacityType",
    "InstanceMaintenancePolicy",
    "MaxInstanceLifetime",
    "PlacementGroup",
    "ServiceLinkedRoleARN",
)
"""Members that are shown again and change nothing here."""


def create_auto_scaling_group(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, CreateAutoScalingGroup. Raises AlreadyExists, ValidationError.

    The instances follow: a controller launches them.
    """
    name = request["AutoScalingGroupName"]
    for member in _NOT_BUILT:
        if request.get(member):
            raise not_implemented("CreateAutoScalingGroup", member)
    if find_group(call, name) is not None:
        raise errors.exists(
            f"AutoScalingGroup by this name already exists - A group with the name {name} already exists"
        )
    chosen = source.of_request(call, request)
    if chosen is None:
        raise errors.validation(
            "Valid requests must contain either LaunchTemplate, LaunchConfigurationName, InstanceId or "
            "MixedInstancesPolicy parameter."
        )
    minimum, maximum = int(request["MinSize"]), int(request["MaxSize"])
    subnets = _subnets(call, request)
    row = AutoScalingGroup(
        arn=f"arn:aws:autoscaling:{call.region}:{call.account}:autoScalingGroup:{call.ids.uuid()}"
        f":autoScalingGroupName/{name}",
        account=call.account,
        region=call.region,
        name=name,
        source=chosen,
        mixed=json.dumps(request["MixedInstancesPolicy"]) if request.get("MixedInstancesPolicy") else None,
        minimum=minimum,
        maximum=maximum,
        desired=int(request.get("DesiredCapacity", minimum)),
        subnets=subnets,
        zones=_zones(call, subnets),
        target_groups=check_target_groups(call, request.get("TargetGroupARNs") or ()),
        health_check_type=request.get("HealthCheckType") or "EC2",
        health_check_grace=int(request.get("HealthCheckGracePeriod") or 0),
        cooldown=int(request.get("DefaultCooldown") or 300),
        termination_policies=tuple(request.get("TerminationPolicies") or ("Default",)),
        protect_new=bool(request.get("NewInstancesProtectedFromScaleIn")),
        kept=_kept(request, {}),
        created=call.now,
        tags=tags.given(name, request.get("Tags") or ()),
    )
    _check_sizes(row)
    call.tx.put(AUTO_SCALING_GROUPS, row)
    for hook in request.get("LifecycleHookSpecificationList") or ():
        lifecycle_hook.put(call, row, hook)
    return {}


def update_auto_scaling_group(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, UpdateAutoScalingGroup. A new launch source is for instances launched from now on."""
    row = require_group(call, request["AutoScalingGroupName"])
    for member in ("TrafficSources", "CapacityReservationSpecification"):
        if request.get(member):
            raise not_implemented("UpdateAutoScalingGroup", member)
    minimum = int(request.get("MinSize", row.minimum))
    maximum = int(request.get("MaxSize", row.maximum))
    desired = request.get("DesiredCapacity")
    if desired is None:
        desired = max(minimum, min(row.desired, maximum))
    moved = request.get("VPCZoneIdentifier") is not None or request.get("AvailabilityZones") is not None
    subnets = _subnets(call, request) if moved else row.subnets
    chosen = source.of_request(call, request)
    mixed = request.get("MixedInstancesPolicy")
    row = msgspec.structs.replace(
        row,
        source=chosen or row.source,
        mixed=(json.dumps(mixed) if mixed else None) if chosen is not None else row.mixed,
        minimum=minimum,
        maximum=maximum,
        desired=int(desired),
        subnets=subnets,
        zones=_zones(call, subnets),
        health_check_type=request.get("HealthCheckType", row.health_check_type),
        health_check_grace=int(request.get("HealthCheckGracePeriod", row.health_check_grace)),
        cooldown=int(request.get("DefaultCooldown", row.cooldown)),
        termination_policies=tuple(request.get("TerminationPolicies") or row.termination_policies),
        protect_new=bool(request.get("NewInstancesProtectedFromScaleIn", row.protect_new)),
        kept=_kept(request, json.loads(row.kept)),
        failures=0 if chosen or moved else row.failures,
        retry_at=0.0 if chosen or moved else row.retry_at,
    )
    _check_sizes(row)
    call.tx.put(AUTO_SCALING_GROUPS, row)
    return {}


def set_desired_capacity(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, SetDesiredCapacity. Cooldowns are not kept, as nothing scales by alarms here."""
    row = require_group(call, request["AutoScalingGroupName"])
    wanted = int(request["DesiredCapacity"])
    _check_desired(wanted, row)
    call.tx.put(AUTO_SCALING_GROUPS, msgspec.structs.replace(row, desired=wanted))
    return {}


def delete_auto_scaling_group(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, DeleteAutoScalingGroup. Raises ResourceInUse while it has instances.

    With ForceDelete its instances are terminated at once, without lifecycle hooks; the group is listed as being
    deleted until they are gone.
    """
    row = require_group(call, request["AutoScalingGroupName"])
    found = list(call.tx.find(GROUP_INSTANCES_BY_GROUP, row.arn))
    if found and not request.get("ForceDelete"):
        raise errors.in_use(
            "You cannot delete an AutoScalingGroup while there are instances or pending Spot instance request(s) still "
            "in the group."
        )
    for hook in list(call.tx.find(LIFECYCLE_HOOKS_BY_GROUP, row.arn)):
        call.tx.delete(LIFECYCLE_HOOKS, f"{row.arn}|{hook.name}")
    row = call.tx.put(
        AUTO_SCALING_GROUPS,
        msgspec.structs.replace(row, minimum=0, maximum=0, desired=0, deleting=True),
    )
    cause = f"{members.stamp(call.now)} a user request deleted the AutoScalingGroup with force."
    for member in found:
        members.begin_end(call, member, cause)
    if not found:
        forget(call, row)
    return {}


def forget(call: Call, row: AutoScalingGroup) -> None:
    """Drop a group without instances and what it did."""
    for activity in list(call.tx.find(SCALING_ACTIVITIES_BY_GROUP, row.arn)):
        call.tx.delete(SCALING_ACTIVITIES, activity.id)
    call.tx.delete(AUTO_SCALING_GROUPS, row.arn)


# ── what the request says ────────────────────────────────────────────────────────────────────────────────────────────


def _check_sizes(row: AutoScalingGroup) -> None:
    if row.minimum > row.maximum:
        raise errors.validation("Max bound, must be greater than or equal to min bound")
    _check_desired(row.desired, row)


def _check_desired(desired: int, row: AutoScalingGroup) -> None:
    if desired < row.minimum:
        raise errors.validation(
            f"New SetDesiredCapacity value {desired} is below min value {row.minimum} for the AutoScalingGroup."
        )
    if desired > row.maximum:
        raise errors.validation(
            f"New SetDesiredCapacity value {desired} is above max value {row.maximum} for the AutoScalingGroup."
        )


def _subnets(call: Call, request: Request) -> tuple[str, ...]:
    """The subnets of VPCZoneIdentifier, or the default VPC's in the zones named. Raises ValidationError."""
    named = [part.strip() for part in (request.get("VPCZoneIdentifier") or "").split(",") if part.strip()]
    zones = request.get("AvailabilityZones") or ()
    if named:
        for subnet in named:
            row = call.tx.get(SUBNETS, subnet)
            if row is None or (row.account, row.region) != (call.account, call.region):
                raise errors.validation(f"The subnet ID '{subnet}' does not exist")
        homes = {row.az for subnet in named if (row := call.tx.get(SUBNETS, subnet)) is not None}
        if zones and not homes.issubset(zones):
            raise errors.validation(
                "The availability zones of the specified subnets and the AutoScalingGroup do not match"
            )
        return tuple(named)
    if not zones:
        raise errors.validation("At least one Availability Zone or VPC Subnet is required.")
    vpc = ec2_ops.find_default_vpc(call)
    rows = call.tx.find(SUBNETS_BY_VPC, vpc.id) if vpc is not None else ()
    found = {row.az: row.id for row in rows if row.default_for_az}
    missing = [zone for zone in zones if zone not in found]
    if missing:
        raise errors.validation(f"No default subnet for availability zone: '{missing[0]}'.")
    return tuple(found[zone] for zone in zones)


def _zones(call: Call, subnets: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted({row.az for subnet in subnets if (row := call.tx.get(SUBNETS, subnet)) is not None}))


def check_target_groups(call: Call, arns: Any) -> tuple[str, ...]:
    """The target groups, each once. Raises ValidationError for one that cannot hold instances."""
    for arn in arns:
        row = call.tx.get(TARGET_GROUPS, arn)
        if row is None:
            raise errors.validation(
                f"Provided Target Groups may not be valid. Please ensure they exist and try again. ({arn})"
            )
        if row.target_type != "instance":
            raise errors.validation(
                f"Provided Target Groups may not be valid: {arn} has targets of type {row.target_type}, not instance."
            )
    return tuple(dict.fromkeys(arns))


def _kept(request: Request, before: Mapping[str, Any]) -> str:
    return json.dumps({**before, **{name: request[name] for name in _KEPT if request.get(name) is not None}})


# ── listings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def describe_auto_scaling_groups(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, DescribeAutoScalingGroups. Unknown names are left out."""
    found = {row.name: row for row in call.tx.find(AUTO_SCALING_GROUPS_BY_SCOPE, scope(call.account, call.region))}
    names = request.get("AutoScalingGroupNames")
    chosen = sorted(
        name
        for name, row in found.items()
        if (not names or name in names) and tags.matches(row, request.get("Filters") or ())
    )
    keys, token = page(request, chosen)
    reply: dict[str, Any] = {"AutoScalingGroups": [_item(call, found[key]) for key in keys]}
    return reply if token is None else {**reply, "NextToken": token}


def _item(call: Call, row: AutoScalingGroup) -> Mapping[str, Any]:
    """The wire form (Auto Scaling API, shape AutoScalingGroup)."""
    found = sorted(call.tx.find(GROUP_INSTANCES_BY_GROUP, row.arn), key=lambda member: member.instance)
    item: dict[str, Any] = {
        "AutoScalingGroupName": row.name,
        "AutoScalingGroupARN": row.arn,
        **({"MixedInstancesPolicy": json.loads(row.mixed)} if row.mixed else source.shown(call, row.source)),
        "MinSize": row.minimum,
        "MaxSize": row.maximum,
        "DesiredCapacity": row.desired,
        "DefaultCooldown": row.cooldown,
        "AvailabilityZones": list(row.zones),
        "LoadBalancerNames": [],
        "TargetGroupARNs": list(row.target_groups),
        "HealthCheckType": row.health_check_type,
        "HealthCheckGracePeriod": row.health_check_grace,
        "Instances": [member_item(call, member) for member in found],
        "CreatedTime": row.created,
        "SuspendedProcesses": [{"ProcessName": name, "SuspensionReason": "User suspended"} for name in row.suspended],
        "VPCZoneIdentifier": ",".join(row.subnets),
        "EnabledMetrics": [],
        "Tags": tags.wire(row),
        "TerminationPolicies": list(row.termination_policies),
        "NewInstancesProtectedFromScaleIn": row.protect_new,
        "TrafficSources": [{"Identifier": arn, "Type": "elbv2"} for arn in row.target_groups],
        **json.loads(row.kept),
    }
    return {**item, "Status": "Delete in progress"} if row.deleting else item


def member_item(call: Call, member: GroupInstance) -> dict[str, Any]:
    """The wire form (Auto Scaling API, shape Instance)."""
    return {
        "InstanceId": member.instance,
        "InstanceType": member.type,
        "AvailabilityZone": member.az,
        "LifecycleState": member.state.value,
        "HealthStatus": "Healthy" if member.healthy else "Unhealthy",
        "ProtectedFromScaleIn": member.protected,
        **source.shown(call, member.source),
    }


OPERATIONS: tuple[Operation, ...] = (
    write("CreateAutoScalingGroup", create_auto_scaling_group),
    write("UpdateAutoScalingGroup", update_auto_scaling_group),
    write("SetDesiredCapacity", set_desired_capacity),
    write("DeleteAutoScalingGroup", delete_auto_scaling_group),
    read("DescribeAutoScalingGroups", describe_auto_scaling_groups),
)
