"""Lifecycle hooks: an instance waits on its way in or out until somebody says how to go on.

Nothing is sent to a hook's notification target: whoever watches asks DescribeAutoScalingInstances.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ecsnet.model.autoscaling import AutoScalingGroup, GroupInstance, HookWait, LifecycleHook
from ecsnet.model.tables import (
    GROUP_INSTANCES,
    GROUP_INSTANCES_BY_GROUP,
    LIFECYCLE_HOOKS,
    LIFECYCLE_HOOKS_BY_GROUP,
    lifecycle_hook_key,
)
from ecsnet.services.autoscaling import errors, members
from ecsnet.services.autoscaling.lookup import require_group
from ecsnet.services.call import Call, Operation, Reply, Request, read, write

_TIMEOUTS = range(30, 7201)


def put_lifecycle_hook(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, PutLifecycleHook. What a request leaves out stays as it was."""
    put(call, require_group(call, request["AutoScalingGroupName"]), request)
    return {}


def put(call: Call, group: AutoScalingGroup, given: Mapping[str, Any]) -> None:
    """Make or change one hook of a group. Raises ValidationError."""
    name = given["LifecycleHookName"]
    old = call.tx.get(LIFECYCLE_HOOKS, lifecycle_hook_key(group.arn, name))
    transition = given.get("LifecycleTransition") or (old.transition if old else None)
    if transition not in (members.LAUNCHING, members.TERMINATING):
        raise errors.validation(f"Invalid lifecycle transition '{transition}' of lifecycle hook '{name}'.")
    timeout = int(given.get("HeartbeatTimeout") or (old.timeout if old else 3600))
    if timeout not in _TIMEOUTS:
        raise errors.validation(f"HeartbeatTimeout must be between {_TIMEOUTS.start} and {_TIMEOUTS.stop - 1} seconds.")
    result = given.get("DefaultResult") or (old.default_result if old else "ABANDON")
    if result not in ("CONTINUE", "ABANDON"):
        raise errors.validation("DefaultResult must be CONTINUE or ABANDON.")
    row = LifecycleHook(
        name=name,
        group=group.arn,
        transition=transition,
        timeout=timeout,
        default_result=result,
        target=given.get("NotificationTargetARN", old.target if old else None),
        role=given.get("RoleARN", old.role if old else None),
        metadata=given.get("NotificationMetadata", old.metadata if old else None),
    )
    call.tx.put(LIFECYCLE_HOOKS, row)


def delete_lifecycle_hook(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, DeleteLifecycleHook: what waits for it is abandoned (launching) or goes on."""
    group = require_group(call, request["AutoScalingGroupName"])
    hook = _hook(call, group, request["LifecycleHookName"])
    for member in list(call.tx.find(GROUP_INSTANCES_BY_GROUP, group.arn)):
        if any(wait.hook == hook.name for wait in member.waits):
            members.complete(call, member, hook.name, "ABANDON")
    call.tx.delete(LIFECYCLE_HOOKS, lifecycle_hook_key(group.arn, hook.name))
    return {}


def describe_lifecycle_hooks(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, DescribeLifecycleHooks."""
    group = require_group(call, request["AutoScalingGroupName"])
    names = request.get("LifecycleHookNames")
    found = sorted(call.tx.find(LIFECYCLE_HOOKS_BY_GROUP, group.arn), key=lambda hook: hook.name)
    return {"LifecycleHooks": [_item(group, hook) for hook in found if not names or hook.name in names]}


def _item(group: AutoScalingGroup, hook: LifecycleHook) -> dict[str, Any]:
    item = {
        "LifecycleHookName": hook.name,
        "AutoScalingGroupName": group.name,
        "LifecycleTransition": hook.transition,
        "NotificationTargetARN": hook.target,
        "RoleARN": hook.role,
        "NotificationMetadata": hook.metadata,
        "HeartbeatTimeout": hook.timeout,
        "GlobalTimeout": min(172_800, 100 * hook.timeout),
        "DefaultResult": hook.default_result,
    }
    return {name: value for name, value in item.items() if value is not None}


def complete_lifecycle_action(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, CompleteLifecycleAction. Raises ValidationError when nothing waits."""
    result = request["LifecycleActionResult"]
    if result not in ("CONTINUE", "ABANDON"):
        raise errors.validation("LifecycleActionResult must be CONTINUE or ABANDON.")
    member, wait = _waiting(call, request)
    members.complete(call, member, wait.hook, result)
    return {}


def record_lifecycle_action_heartbeat(call: Call, request: Request) -> Reply:
    """Source: Auto Scaling API, RecordLifecycleActionHeartbeat: the timeout begins anew."""
    member, wait = _waiting(call, request)
    hook = call.tx.get(LIFECYCLE_HOOKS, lifecycle_hook_key(member.group, wait.hook))
    timeout = hook.timeout if hook is not None else 0
    until = min(call.now + timeout / call.settings.speed, wait.last)
    waits = tuple(msgspec.structs.replace(one, until=until) if one.hook == wait.hook else one for one in member.waits)
    call.tx.put(GROUP_INSTANCES, msgspec.structs.replace(member, waits=waits))
    return {}


def _waiting(call: Call, request: Request) -> tuple[GroupInstance, HookWait]:
    """The instance and the action that a request means, by token or by instance."""
    group = require_group(call, request["AutoScalingGroupName"])
    hook = _hook(call, group, request["LifecycleHookName"])
    token, instance = request.get("LifecycleActionToken"), request.get("InstanceId")
    for member in call.tx.find(GROUP_INSTANCES_BY_GROUP, group.arn):
        for wait in member.waits:
            if wait.hook == hook.name and (wait.token == token if token else member.instance == instance):
                return member, wait
    what = f"token {token}" if token else f"instance ID {instance}"
    raise errors.validation(f"No active Lifecycle Action found with {what}")


def _hook(call: Call, group: AutoScalingGroup, name: str) -> LifecycleHook:
    found = call.tx.get(LIFECYCLE_HOOKS, lifecycle_hook_key(group.arn, name))
    if found is None:
        raise errors.validation(f"No Lifecycle Hook found for the AutoScalingGroup '{group.name}' with name '{name}'")
    return found


OPERATIONS: tuple[Operation, ...] = (
    write("PutLifecycleHook", put_lifecycle_hook),
    write("DeleteLifecycleHook", delete_lifecycle_hook),
    write("CompleteLifecycleAction", complete_lifecycle_action),
    write("RecordLifecycleActionHeartbeat", record_lifecycle_action_heartbeat),
    read("DescribeLifecycleHooks", describe_lifecycle_hooks),
)
