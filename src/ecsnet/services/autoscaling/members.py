"""The life of a group's instances, as verbs for the operations and the controllers, in their transaction."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec

from ecsnet.model.autoscaling import (
    ARRIVING,
    LEAVING,
    LIFECYCLE_TRANSITIONS,
    Activity,
    AutoScalingGroup,
    GroupInstance,
    HookWait,
    Lifecycle,
    LifecycleHook,
    propagated,
)
from ecsnet.model.tables import (
    AUTO_SCALING_GROUPS,
    GROUP_INSTANCES,
    LIFECYCLE_HOOKS_BY_GROUP,
    SCALING_ACTIVITIES,
    SCALING_ACTIVITIES_BY_GROUP,
)
from ecsnet.services.autoscaling import source
from ecsnet.services.call import AwsError, Call
from ecsnet.services.ec2 import ops as ec2_ops

LAUNCHING = "autoscaling:EC2_INSTANCE_LAUNCHING"
TERMINATING = "autoscaling:EC2_INSTANCE_TERMINATING"

_KEPT_ACTIVITIES = 100
"""How many activities of a group can be described."""
_FIRST_RETRY, _LONGEST_RETRY = 5.0, 300.0
_LONGEST_HOOK = 48 * 3600.0
"""Heartbeats prolong to 48 hours or 100 times the timeout, whichever is less (User Guide, "Lifecycle hooks")."""


def launch(call: Call, group: AutoScalingGroup, subnet: str, cause: str) -> GroupInstance:
    """Launch one instance of the group in a subnet. Raises AwsError when it cannot be, with nothing written."""
    settled = source.settled(call, group.source)
    instance = ec2_ops.launch_instance(call, source.run_request(call, group, settled, subnet), propagated(group))
    activity = begin_activity(
        call,
        group.arn,
        f"Launching a new EC2 instance: {instance.id}",
        cause,
        instance=instance.id,
        details={"Subnet ID": subnet, "Availability Zone": instance.az},
    )
    member = GroupInstance(
        instance=instance.id,
        group=group.arn,
        az=instance.az,
        subnet=subnet,
        type=instance.type,
        source=settled,
        protected=group.protect_new,
        since=call.now,
        launched=call.now,
        activity=activity.id,
    )
    return call.tx.put(GROUP_INSTANCES, member)


def launch_failed(call: Call, group: AutoScalingGroup, error: AwsError, cause: str) -> AutoScalingGroup:
    """Note that a launch was refused; the next try comes later and later."""
    activity = begin_activity(call, group.arn, "Launching a new EC2 instance", cause)
    end_activity(call, activity.id, "Failed", f"{error.message} Launching EC2 instance failed.")
    delay = min(_FIRST_RETRY * 2**group.failures, _LONGEST_RETRY) / call.settings.speed
    present = call.tx.get(AUTO_SCALING_GROUPS, group.arn) or group
    return call.tx.put(
        AUTO_SCALING_GROUPS,
        msgspec.structs.replace(present, failures=present.failures + 1, retry_at=call.now + delay),
    )


def begin_end(call: Call, member: GroupInstance, cause: str) -> GroupInstance:
    """Begin to take an instance out of its group. One that is leaving already is left alone."""
    if member.state in LEAVING:
        return member
    if member.state in ARRIVING:
        end_activity(call, member.activity, "Cancelled", "The instance is terminated before it was in service.")
    activity = begin_activity(
        call, member.group, f"Terminating EC2 instance: {member.instance}", cause, instance=member.instance
    )
    return move(call, member, Lifecycle.TERMINATING, activity=activity.id, waits=())


def move(call: Call, member: GroupInstance, state: Lifecycle, **fields: Any) -> GroupInstance:
    """The member in another state of its life."""
    assert state in LIFECYCLE_TRANSITIONS[member.state], f"{member.state} → {state}"
    return call.tx.put(GROUP_INSTANCES, msgspec.structs.replace(member, state=state, since=call.now, **fields))


def hooks(call: Call, group: str, transition: str) -> list[LifecycleHook]:
    found = (hook for hook in call.tx.find(LIFECYCLE_HOOKS_BY_GROUP, group) if hook.transition == transition)
    return sorted(found, key=lambda hook: hook.name)


def waits_for(call: Call, found: list[LifecycleHook]) -> tuple[HookWait, ...]:
    """The lifecycle actions that begin now."""
    speed = call.settings.speed
    return tuple(
        HookWait(
            hook=hook.name,
            token=call.ids.uuid(),
            until=call.now + hook.timeout / speed,
            last=call.now + min(_LONGEST_HOOK, 100 * hook.timeout) / speed,
        )
        for hook in found
    )


def complete(call: Call, member: GroupInstance, hook: str, result: str) -> GroupInstance:
    """End one lifecycle action. ABANDON while launching ends the instance; while terminating it ends the others too."""
    left = tuple(wait for wait in member.waits if wait.hook != hook)
    if result == "ABANDON":
        left = ()
    abandoned = member.abandoned or (result == "ABANDON" and member.state is Lifecycle.PENDING_WAIT)
    return call.tx.put(GROUP_INSTANCES, msgspec.structs.replace(member, waits=left, abandoned=abandoned))


def forget(call: Call, member: GroupInstance) -> None:
    """Its EC2 instance is gone: it is no longer of the group."""
    end_activity(call, member.activity, "Successful")
    call.tx.delete(GROUP_INSTANCES, member.instance)


# ── activities ───────────────────────────────────────────────────────────────────────────────────────────────────────


def begin_activity(
    call: Call,
    group: str,
    description: str,
    cause: str,
    *,
    instance: str | None = None,
    details: dict[str, str] | None = None,
) -> Activity:
    owner = call.tx.get(AUTO_SCALING_GROUPS, group)
    number = 1
    if owner is not None:
        number = owner.activities + 1
        call.tx.put(AUTO_SCALING_GROUPS, msgspec.structs.replace(owner, activities=number))
    kept = call.tx.keys(SCALING_ACTIVITIES_BY_GROUP, group)
    if len(kept) >= _KEPT_ACTIVITIES:
        ended = [one for one in call.tx.find(SCALING_ACTIVITIES_BY_GROUP, group) if one.ended is not None]
        if ended:
            call.tx.delete(SCALING_ACTIVITIES, min(ended, key=lambda one: one.number).id)
    row = Activity(
        id=call.ids.uuid(),
        group=group,
        number=number,
        instance=instance,
        description=description,
        cause=cause,
        started=call.now,
        details=json.dumps(details or {}),
    )
    return call.tx.put(SCALING_ACTIVITIES, row)


def end_activity(call: Call, key: str, status: Any, message: str | None = None) -> None:
    row = call.tx.get(SCALING_ACTIVITIES, key)
    if row is not None and row.ended is None:
        ended = msgspec.structs.replace(row, status=status, message=message, progress=100, ended=call.now)
        call.tx.put(SCALING_ACTIVITIES, ended)


def stamp(now: float) -> str:
    """A time as AWS writes it in causes."""
    return time.strftime("At %Y-%m-%dT%H:%M:%SZ", time.gmtime(now))
