"""Auto Scaling groups: keep the number of instances, and take each instance through its life in the group.

`group_step` looks only at the group unless its number is wrong; `member_step` at one instance. An instance is
InService when EC2 saw it running (and no launch hook holds it); it leaves when its targets have drained, its tasks have
gone (managed draining), no hook holds it, and EC2 saw it terminated.
"""

from __future__ import annotations

import msgspec

from ecsnet.controllers.group_size import Member, places, surplus
from ecsnet.model.autoscaling import AutoScalingGroup, GroupInstance, Lifecycle
from ecsnet.model.base import scope
from ecsnet.model.tables import (
    AUTO_SCALING_GROUPS,
    CAPACITY_PROVIDERS_BY_GROUP,
    GROUP_INSTANCES,
    GROUP_INSTANCES_BY_GROUP,
    INSTANCES,
    LIFECYCLE_HOOKS,
    STAYING_INSTANCES_BY_GROUP,
    SUBNETS,
    TARGET_GROUPS,
    TARGETS,
    TASKS_BY_CONTAINER_INSTANCE,
    lifecycle_hook_key,
    target_key,
)
from ecsnet.services.autoscaling import ops
from ecsnet.services.call import AwsError, Call
from ecsnet.services.ec2 import ops as ec2_ops
from ecsnet.services.ecs import ops as ecs_ops
from ecsnet.services.elbv2 import ops as elbv2_ops

_AT_ONCE = 20
"""Instances that one step launches; the group's own change brings the next step."""


def group_step(call: Call, key: str) -> float | None:
    """Launch what is missing and end what is too many; answers when a refused launch is tried again."""
    group = call.tx.get(AUTO_SCALING_GROUPS, key)
    if group is None:
        return None
    if group.deleting and not call.tx.keys(GROUP_INSTANCES_BY_GROUP, key):
        ops.forget_group(call, group)
        return None
    difference = group.desired - len(call.tx.keys(STAYING_INSTANCES_BY_GROUP, key))
    if difference > 0 and "Launch" not in group.suspended:
        return _grow(call, group, difference)
    if difference < 0 and "Terminate" not in group.suspended:
        _shrink(call, group, -difference)
    return None


def _grow(call: Call, group: AutoScalingGroup, number: int) -> float | None:
    if call.now < group.retry_at:
        return group.retry_at
    subnets = {subnet: row.az for subnet in group.subnets if (row := call.tx.get(SUBNETS, subnet)) is not None}
    have = group.desired - number
    cause = (
        f"{ops.stamp(call.now)} an instance was started in response to a difference between desired and actual "
        f"capacity, increasing the capacity from {have} to {group.desired}."
    )
    chosen = places(_members(call, group), subnets, min(number, _AT_ONCE)) if subnets else []
    try:
        if not chosen:
            raise AwsError("InvalidSubnetID.NotFound", "None of the group's subnets exists.")
        for subnet in chosen:
            ops.launch(call, group, subnet, cause)
    except AwsError as error:
        return ops.launch_failed(call, group, error, cause).retry_at
    present = call.tx.get(AUTO_SCALING_GROUPS, group.arn)
    assert present is not None
    call.tx.put(AUTO_SCALING_GROUPS, msgspec.structs.replace(present, failures=0, retry_at=0.0))
    return call.now if number > len(chosen) else None


def _shrink(call: Call, group: AutoScalingGroup, number: int) -> None:
    cause = (
        f"{ops.stamp(call.now)} an instance was taken out of service in response to a difference between desired and "
        f"actual capacity, shrinking the capacity from {group.desired + number} to {group.desired}."
    )
    for instance in surplus(_members(call, group), number, group.termination_policies):
        member = call.tx.get(GROUP_INSTANCES, instance)
        assert member is not None
        ops.begin_end(call, member, cause)


def _members(call: Call, group: AutoScalingGroup) -> list[Member]:
    try:
        present = ops.settled(call, group.source)
    except AwsError:
        present = group.source  # its template is gone: nothing is of the present one
    busy = _protects_busy(call, group)
    return [
        Member(
            instance=row.instance,
            subnet=row.subnet,
            az=row.az,
            protected=_is_busy(call, row.instance) if busy else row.protected,
            healthy=row.healthy,
            current=row.source == present,
            launched=row.launched,
        )
        for row in sorted(call.tx.find(STAYING_INSTANCES_BY_GROUP, group.arn), key=lambda row: row.instance)
    ]


def _protects_busy(call: Call, group: AutoScalingGroup) -> bool:
    """Managed termination protection: ECS protects the instances that run tasks, and only them."""
    return any(one.termination_protection for one in call.tx.find(CAPACITY_PROVIDERS_BY_GROUP, _key(group)))


def _drains(call: Call, group: AutoScalingGroup) -> bool:
    return any(one.draining for one in call.tx.find(CAPACITY_PROVIDERS_BY_GROUP, _key(group)))


def _key(group: AutoScalingGroup) -> str:
    return f"{scope(group.account, group.region)}/{group.name}"


def _is_busy(call: Call, instance: str) -> bool:
    row = ecs_ops.find_by_instance(call, instance)
    return row is not None and bool(call.tx.keys(TASKS_BY_CONTAINER_INSTANCE, row.arn))


# ── one instance ─────────────────────────────────────────────────────────────────────────────────────────────────────


def member_step(call: Call, key: str) -> float | None:
    """Take one instance on as far as it goes; answers when a hook's time or a grace period ends."""
    due = None
    while (member := call.tx.get(GROUP_INSTANCES, key)) is not None:
        group = call.tx.get(AUTO_SCALING_GROUPS, member.group)
        if group is None:
            call.tx.delete(GROUP_INSTANCES, key)
            return None
        due = _advance(call, group, member)
        after = call.tx.get(GROUP_INSTANCES, key)
        if after is not None and after.state is member.state:
            return due
    return None


def _advance(call: Call, group: AutoScalingGroup, member: GroupInstance) -> float | None:
    match member.state:
        case Lifecycle.PENDING:
            return _arrive(call, member)
        case Lifecycle.PENDING_WAIT:
            return _wait(call, member, Lifecycle.PENDING_PROCEED)
        case Lifecycle.PENDING_PROCEED:
            if member.abandoned:
                ops.begin_end(call, member, f"{ops.stamp(call.now)} a lifecycle hook abandoned the launch.")
            else:
                _enter(call, group, member)
            return None
        case Lifecycle.IN_SERVICE:
            return _check_health(call, group, member)
        case Lifecycle.TERMINATING:
            return _leave(call, group, member)
        case Lifecycle.TERMINATING_WAIT:
            return _wait(call, member, Lifecycle.TERMINATING_PROCEED)
        case Lifecycle.TERMINATING_PROCEED:
            return _terminate(call, member)


def _arrive(call: Call, member: GroupInstance) -> float | None:
    instance = call.tx.get(INSTANCES, member.instance)
    if instance is None or instance.state in ("shutting-down", "terminated", "stopping", "stopped"):
        ops.begin_end(call, member, f"{ops.stamp(call.now)} the instance was ended before it was in service.")
    elif instance.state == "running":
        held = ops.waits_for(call, ops.hooks(call, member.group, ops.LAUNCHING))
        ops.move(call, member, Lifecycle.PENDING_WAIT, waits=held)
    return None


def _wait(call: Call, member: GroupInstance, then: Lifecycle) -> float | None:
    """Hold the instance while lifecycle actions are open; one whose time is over ends with its default result."""
    for wait in member.waits:
        if wait.until <= call.now:
            hook = call.tx.get(LIFECYCLE_HOOKS, lifecycle_hook_key(member.group, wait.hook))
            member = ops.complete(call, member, wait.hook, hook.default_result if hook is not None else "ABANDON")
    if member.waits:
        return min(wait.until for wait in member.waits)
    ops.move(call, member, then)
    return None


def _enter(call: Call, group: AutoScalingGroup, member: GroupInstance) -> None:
    ops.end_activity(call, member.activity, "Successful")
    ops.move(call, member, Lifecycle.IN_SERVICE)
    if "AddToLoadBalancer" not in group.suspended:
        ops.register(call, group, member.instance)


def _check_health(call: Call, group: AutoScalingGroup, member: GroupInstance) -> float | None:
    """An instance that stopped, or that its load balancer finds unhealthy after the grace period, is replaced."""
    if "ReplaceUnhealthy" in group.suspended:
        return None
    instance = call.tx.get(INSTANCES, member.instance)
    why = ""
    due = None
    if not member.healthy:
        why = "an instance was taken out of service in response to a user health-check."
    elif instance is None or instance.state != "running":
        why = "an instance was taken out of service in response to an EC2 health check indicating it has been "
        why += "terminated or stopped."
    elif "HealthCheck" not in group.suspended and _target_unhealthy(call, group, member):
        due = member.since + group.health_check_grace / call.settings.speed
        if call.now >= due:
            why = "an instance was taken out of service in response to an ELB system health check failure."
    if why:
        member = call.tx.put(GROUP_INSTANCES, msgspec.structs.replace(member, healthy=False))
        ops.begin_end(call, member, f"{ops.stamp(call.now)} {why}")
        return None
    return due


def _target_unhealthy(call: Call, group: AutoScalingGroup, member: GroupInstance) -> bool:
    """Only groups that ask for it (HealthCheckType ELB) listen to their load balancers."""
    for arn in group.target_groups if "ELB" in group.health_check_type else ():
        row = call.tx.get(TARGET_GROUPS, arn)
        if row is not None and elbv2_ops.target_state(call.tx, arn, member.instance, row.port) == "unhealthy":
            return True
    return False


def _leave(call: Call, group: AutoScalingGroup, member: GroupInstance) -> float | None:
    """Drain: targets until their deregistration delay is over, tasks until they have gone."""
    instance = call.tx.get(INSTANCES, member.instance)
    runs = instance is not None and instance.state == "running"
    if runs and not group.deleting and not _drained(call, group, member.instance):
        return None
    held = ops.waits_for(call, ops.hooks(call, member.group, ops.TERMINATING)) if runs else ()
    ops.move(call, member, Lifecycle.TERMINATING_WAIT, waits=held)
    return None


def _drained(call: Call, group: AutoScalingGroup, instance: str) -> bool:
    drained = True
    for arn in group.target_groups:
        ops.deregister(call, arn, instance)
        row = call.tx.get(TARGET_GROUPS, arn)
        if row is not None and call.tx.get(TARGETS, target_key(arn, instance, row.port)) is not None:
            drained = False
    place = ecs_ops.find_by_instance(call, instance)
    if place is not None and _drains(call, group):
        if place.status == "ACTIVE":
            ecs_ops.set_status(call, place, "DRAINING")
        if call.tx.keys(TASKS_BY_CONTAINER_INSTANCE, place.arn):
            drained = False
    return drained


def _terminate(call: Call, member: GroupInstance) -> float | None:
    instance = call.tx.get(INSTANCES, member.instance)
    if instance is None or instance.state == "terminated":
        ops.forget(call, member)
    else:
        ec2_ops.begin_terminate(call, instance, forced=True)
    return None
