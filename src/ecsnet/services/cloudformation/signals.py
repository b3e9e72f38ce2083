"""Signals that a resource which is ready still waits for: those of its creation policy (user guide, "CreationPolicy
attribute"), or those that a wait condition counts.

User data is not run here, so cfn-signal is not either. What stands in for it: an instance whose user data calls
cfn-signal counts as having signalled success once it was seen running and, when its user data names an ECS cluster,
its container agent is connected. For a wait condition the user data has to contain the handle's address. SignalResource
counts as on AWS, and here for wait conditions too: nobody answers at a handle's address.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping

from ecsnet.model import tables
from ecsnet.model.autoscaling import Lifecycle
from ecsnet.model.cloudformation import Physical, Signal, StackResource
from ecsnet.services.call import Call, Operation, Reply, Request, write
from ecsnet.services.cloudformation.errors import ValidationError
from ecsnet.services.cloudformation.journal import resource_of, resources_of, stack_of
from ecsnet.services.cloudformation.lookup import find_stack
from ecsnet.services.cloudformation.plan import Signals
from ecsnet.services.cloudformation.resolve import plan_of
from ecsnet.services.cloudformation.resources.base import WAITING, Broken, Observed, Ready
from ecsnet.services.ecs import ops as ecs_ops
from ecsnet.store.snapshot import Reader

WAIT_CONDITION = "AWS::CloudFormation::WaitCondition"


def signalled(reader: Reader, row: StackResource, target: Physical, seen: Ready, now: float, speed: float) -> Observed:
    """`seen`, once the signals that the resource's creation policy asks for are there."""
    asked = _asked(reader, row)
    if asked is None:
        return seen
    given = {one.unique: one.success for one in reader.find(tables.STACK_SIGNALS_BY_RESOURCE, _key(row))}
    if not all(given.values()):
        bad = sum(1 for success in given.values() if not success)
        return Broken(reason=f"Received {bad} FAILURE signal(s) out of {len(given)}.")
    given |= dict.fromkeys(_senders(reader, row, target), True)
    if len(given) >= asked.count:
        return _with_data(target, seen, given)
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
    if row.type == WAIT_CONDITION and row.physical is not None:
        properties = json.loads(row.physical.properties)
        if properties.get("Handle"):
            return Signals(count=int(properties.get("Count", 1)), timeout=float(properties.get("Timeout", 0)))
    resource = plan_of(stack_of(reader, row.stack)).resources.get(row.logical)
    return resource.signals if resource is not None else None


def _key(row: StackResource) -> str:
    return tables.stack_resource_key(row.stack, row.logical)


def _with_data(target: Physical, seen: Ready, given: Mapping[str, bool]) -> Ready:
    """What Fn::GetAtt Data of a wait condition gives: JSON of the signals by their ids; they carry no text here."""
    if target.type != WAIT_CONDITION:
        return seen
    return Ready(attributes={"Data": json.dumps(dict.fromkeys(sorted(given), ""))})


def _senders(reader: Reader, row: StackResource, target: Physical) -> Iterator[str]:
    """The running instances whose user data would have sent a signal to the resource."""
    word, made = "cfn-signal", [target]
    if target.type == WAIT_CONDITION:
        word = str(json.loads(target.properties).get("Handle"))
        made = [one.physical for one in resources_of(reader, row.stack).values() if one.physical is not None]
    for one in made:
        for instance in _instances(reader, one):
            if _would_signal(reader, instance, word):
                yield instance


def _instances(reader: Reader, target: Physical) -> list[str]:
    """The instances that a resource consists of."""
    if target.type == "AWS::EC2::Instance":
        return [target.id]
    if target.type == "AWS::AutoScaling::AutoScalingGroup":
        arn = json.loads(target.attributes)["AutoScalingGroupARN"]
        members = reader.find(tables.GROUP_INSTANCES_BY_GROUP, arn)
        return [member.instance for member in members if member.state is Lifecycle.IN_SERVICE]
    return []


def _would_signal(reader: Reader, key: str, word: str) -> bool:
    instance = reader.get(tables.INSTANCES, key)
    if instance is None or instance.state != "running" or word not in _text(instance.user_data):
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
