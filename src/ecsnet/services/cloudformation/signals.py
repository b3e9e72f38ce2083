"""Creation policies: a resource that is ready also waits for signals (user guide, "CreationPolicy attribute").

User data is not run here, so cfn-signal is not either. What stands in for it: an instance whose user data calls
cfn-signal counts as having signalled success once it was seen running and, when its user data names an ECS cluster,
its container agent is connected. SignalResource counts as on AWS.
"""

from __future__ import annotations

import base64
import binascii
import json

from ecsnet.model import tables
from ecsnet.model.autoscaling import Lifecycle
from ecsnet.model.cloudformation import Physical, Signal, StackResource
from ecsnet.services.call import Call, Operation, Reply, Request, write
from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.journal import resource_of, stack_of
from ecsnet.services.cloudformation.lookup import find_stack
from ecsnet.services.cloudformation.plan import Signals
from ecsnet.services.cloudformation.resolve import plan_of
from ecsnet.services.cloudformation.resources.base import WAITING, Broken, Observed, Ready
from ecsnet.services.ecs import ops as ecs_ops
from ecsnet.store.snapshot import Reader


def signalled(reader: Reader, row: StackResource, target: Physical, seen: Ready, now: float, speed: float) -> Observed:
    """`seen`, once the signals that the resource's creation policy asks for are there."""
    asked = _asked(reader, row)
    if asked is None:
        return seen
    given = {one.unique: one.success for one in reader.find(tables.STACK_SIGNALS_BY_RESOURCE, _key(row))}
    if not all(given.values()):
        bad = sum(1 for success in given.values() if not success)
        return Broken(reason=f"Received {bad} FAILURE signal(s) out of {len(given)}.")
    given |= {instance: True for instance in _instances(reader, target) if _would_signal(reader, instance)}
    if len(given) >= asked.count:
        return seen
    if now < row.began + asked.timeout / speed:
        return WAITING
    return Broken(
        reason=f"Failed to receive {asked.count - len(given)} resource signal(s) within the specified duration"
    )


def signals_until(reader: Reader, row: StackResource, speed: float) -> float | None:
    """Until when a settling resource waits for signals (epoch seconds)."""
    asked = _asked(reader, row) if row.doing in ("create", "replace") else None
    return row.began + asked.timeout / speed if asked is not None else None


def forget_signals(call: Call, row: StackResource) -> None:
    """What was signalled before does not count for what begins now."""
    for one in list(call.tx.find(tables.STACK_SIGNALS_BY_RESOURCE, _key(row))):
        call.tx.delete(tables.STACK_SIGNALS, f"{_key(row)}|{one.unique}")


def _asked(reader: Reader, row: StackResource) -> Signals | None:
    resource = plan_of(stack_of(reader, row.stack)).resources.get(row.logical)
    return resource.signals if resource is not None else None


def _key(row: StackResource) -> str:
    return tables.stack_resource_key(row.stack, row.logical)


def _instances(reader: Reader, target: Physical) -> list[str]:
    """The instances that a resource consists of."""
    if target.type == "AWS::EC2::Instance":
        return [target.id]
    if target.type == "AWS::AutoScaling::AutoScalingGroup":
        arn = json.loads(target.attributes)["AutoScalingGroupARN"]
        members = reader.find(tables.GROUP_INSTANCES_BY_GROUP, arn)
        return [member.instance for member in members if member.state is Lifecycle.IN_SERVICE]
    return []


def _would_signal(reader: Reader, key: str) -> bool:
    instance = reader.get(tables.INSTANCES, key)
    if instance is None or instance.state != "running" or "cfn-signal" not in _text(instance.user_data):
        return False
    if ecs_ops.agent_settings(instance.user_data) is None:
        return True
    found = reader.find(tables.CONTAINER_INSTANCES_BY_INSTANCE, key)
    return any(one.agent_connected for one in found)


def _text(user_data: str | None) -> str:
    try:
        return base64.b64decode(user_data or "").decode(errors="replace")
    except binascii.Error:
        return ""


def signal_resource(call: Call, request: Request) -> Reply:
    """Source: CloudFormation API, SignalResource. Raises ValidationError for a resource that does not wait."""
    stack = find_stack(call.tx, call.account, call.region, request["StackName"])
    if stack is None:
        raise ValidationError(f"Stack '{request['StackName']}' does not exist")
    row = resource_of(call.tx, stack.id, request["LogicalResourceId"])
    if row is None:
        raise ValidationError(f"Resource {request['LogicalResourceId']} does not exist for stack {stack.name}")
    if row.stage != "settling" or _asked(call.tx, row) is None:
        raise ValidationError(f"Signal resource {row.logical} is not waiting for signals ({row.status.value}).")
    call.tx.put(
        tables.STACK_SIGNALS,
        Signal(
            stack=stack.id,
            logical=row.logical,
            unique=request["UniqueId"],
            success=request["Status"] == "SUCCESS",
            at=call.now,
        ),
    )
    return {}


OPERATIONS: tuple[Operation, ...] = (write("SignalResource", signal_resource),)
