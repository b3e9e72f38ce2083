"""The life of instances, as verbs for this service and for controllers in the same transaction.

Which interfaces an instance has is read from their attachments; `INSTANCE_TRANSITIONS` says how its state may change.
"""

from __future__ import annotations

import time
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import (
    INSTANCES,
    INSTANCES_BY_RESERVATION,
    INTERFACES,
    INTERFACES_BY_OWNER,
    OBSERVED_INSTANCES,
    OBSERVED_INTERFACES,
)
from ecsnet.services.call import AwsError, Call
from ecsnet.services.ec2 import families, idempotency
from ecsnet.services.ec2.addressing import allocate_public_ip, elastic_ip_of
from ecsnet.services.ec2.instance_type import instance_type
from ecsnet.services.ec2.interfaces import detach_interface, release_interface
from ecsnet.store.snapshot import Reader

INSTANCE_LISTED_AFTER_END = 3600.0
"""Seconds for which a terminated instance is still listed (EC2 User Guide, "Terminate your instance")."""

_USER_SHUTDOWN = "Client.UserInitiatedShutdown"


def interfaces_of(reader: Reader, instance: str) -> list[ec2.NetworkInterface]:
    """The interfaces attached to an instance, in the order of their device indexes."""
    found = reader.find(INTERFACES_BY_OWNER, instance)
    return sorted(found, key=lambda one: one.attachment.device_index if one.attachment else 0)


def primary_interface(reader: Reader, instance: str) -> ec2.NetworkInterface | None:
    """The interface at device index 0; None once the instance is terminated."""
    found = interfaces_of(reader, instance)
    return found[0] if found and found[0].attachment is not None and found[0].attachment.device_index == 0 else None


def in_force(reader: Reader, instance: str) -> bool:
    """Whether the agent sees the instance's network stack and its primary interface."""
    primary = primary_interface(reader, instance)
    return (
        primary is not None
        and reader.get(OBSERVED_INSTANCES, instance) is not None
        and reader.get(OBSERVED_INTERFACES, primary.id) is not None
    )


def moved(instance: ec2.Instance, state: ec2.InstanceState, **fields: Any) -> ec2.Instance:
    """The instance in another state."""
    assert state in ec2.INSTANCE_TRANSITIONS[instance.state], f"{instance.state} → {state}"
    return msgspec.structs.replace(instance, state=state, **fields)


def make_running(call: Call, instance: ec2.Instance) -> ec2.Instance:
    """Pending → running, once its network stack and its primary interface were seen."""
    return call.tx.put(INSTANCES, moved(instance, "running"))


def begin_start(call: Call, instance: ec2.Instance) -> ec2.Instance:
    """Stopped → pending, with another automatic public address. Raises IncorrectInstanceState.

    Source: EC2 User Guide, "Stop and start Amazon EC2 instances" (the public address changes, the private ones stay).
    """
    match instance.state:
        case "pending" | "running":
            return instance
        case "stopped":
            primary = primary_interface(call.tx, instance.id)
            if instance.public_ip and primary is not None and not _has_elastic(call, primary):
                call.tx.put(INTERFACES, msgspec.structs.replace(primary, auto_public_ip=allocate_public_ip(call)))
            return call.tx.put(INSTANCES, moved(instance, "pending", launched=call.now, reason=None, reason_code=None))
        case "stopping" | "shutting-down" | "terminated":
            raise _wrong_state(instance.id, "started")


def begin_stop(call: Call, instance: ec2.Instance) -> ec2.Instance:
    """Running → stopping: its network stack goes, its interfaces stay attached. Raises IncorrectInstanceState."""
    match instance.state:
        case "stopping" | "stopped":
            return instance
        case "running":
            if instance.stop_protection:
                raise _protected(instance.id, "stopped", "disableApiStop")
            _lose_sight(call, instance)
            return call.tx.put(
                INSTANCES,
                moved(instance, "stopping", reason=_initiated(call.now), reason_code=_USER_SHUTDOWN),
            )
        case "pending" | "shutting-down" | "terminated":
            raise _wrong_state(instance.id, "stopped")


def begin_terminate(call: Call, instance: ec2.Instance, *, forced: bool = False) -> ec2.Instance:
    """Any state → shutting-down. Raises OperationNotPermitted for a protected one, unless `forced`: the protection
    does not keep Auto Scaling away (EC2 User Guide, "Change instance termination protection").
    """
    if instance.state in ("shutting-down", "terminated"):
        return instance
    if instance.termination_protection and not forced:
        raise _protected(instance.id, "terminated", "disableApiTermination")
    _lose_sight(call, instance)
    return call.tx.put(
        INSTANCES,
        moved(instance, "shutting-down", reason=_initiated(call.now), reason_code=_USER_SHUTDOWN),
    )


def finish_stop(call: Call, instance: ec2.Instance) -> ec2.Instance:
    """Stopping → stopped, once its network stack is gone: the automatic public address goes back to the pool."""
    primary = primary_interface(call.tx, instance.id)
    if primary is not None and primary.auto_public_ip is not None:
        call.tx.put(INTERFACES, msgspec.structs.replace(primary, auto_public_ip=None))
    return call.tx.put(INSTANCES, moved(instance, "stopped"))


def finish_terminate(call: Call, instance: ec2.Instance) -> ec2.Instance:
    """Shutting-down → terminated: interfaces that end with their instance are deleted, the others are free.

    Source: EC2 User Guide, "Attach network interfaces to your instance" (delete on termination).
    """
    for eni in interfaces_of(call.tx, instance.id):
        if eni.attachment is not None and eni.attachment.delete_on_termination:
            release_interface(call, eni.id)
        else:
            detach_interface(call, eni.id)
    return call.tx.put(INSTANCES, moved(instance, "terminated", ended=call.now))


def forget_instance(call: Call, instance: ec2.Instance) -> None:
    """Drop the row of a terminated instance; its client token goes with the last one of the reservation."""
    call.tx.delete(INSTANCES, instance.id)
    if not call.tx.keys(INSTANCES_BY_RESERVATION, instance.reservation):
        idempotency.forget(call, instance.reservation)


def check_address_limit(instance: ec2.Instance, ipv4: int, ipv6: int) -> None:
    """Raises PrivateIpAddressLimitExceeded when one interface may not have so many addresses on this instance.

    A prefix counts as one address (EC2 User Guide, "Prefix delegation for network interfaces").
    """
    kind = instance_type(instance.type)
    if ipv4 > kind.ipv4_per_interface or ipv6 > kind.ipv6_per_interface:
        raise AwsError("PrivateIpAddressLimitExceeded", "Number of private addresses will exceed limit.")


def check_interface_limit(instance_type_name: str, interfaces: int) -> None:
    """Raises AttachmentLimitExceeded when the type does not carry so many interfaces."""
    if interfaces > instance_type(instance_type_name).interfaces:
        raise AwsError(
            "AttachmentLimitExceeded", f"Interface count {interfaces} exceeds the limit for {instance_type_name}"
        )


def chosen_instances(call: Call, keys: list[str]) -> list[ec2.Instance]:
    """The named instances. Raises InvalidInstanceID.NotFound."""
    return [families.INSTANCE.require(call, key) for key in dict.fromkeys(keys)]


def _has_elastic(call: Call, eni: ec2.NetworkInterface) -> bool:
    return eni.private_ip is not None and elastic_ip_of(call.tx, eni.id, eni.private_ip) is not None


def _lose_sight(call: Call, instance: ec2.Instance) -> None:
    """From now on its interfaces carry nothing, so what was seen of them does not hold any more."""
    for eni in interfaces_of(call.tx, instance.id):
        call.tx.delete(OBSERVED_INTERFACES, eni.id)


def _initiated(now: float) -> str:
    return time.strftime("User initiated (%Y-%m-%d %H:%M:%S GMT)", time.gmtime(now))


def _wrong_state(instance: str, done: str) -> AwsError:
    return AwsError(
        "IncorrectInstanceState", f"The instance '{instance}' is not in a state from which it can be {done}."
    )


def _protected(instance: str, done: str, attribute: str) -> AwsError:
    return AwsError(
        "OperationNotPermitted",
        f"The instance '{instance}' may not be {done}. Modify its '{attribute}' instance attribute and try again.",
    )
