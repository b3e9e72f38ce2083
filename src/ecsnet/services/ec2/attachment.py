"""Attaching interfaces to instances and detaching them.

Source: EC2 User Guide, "Attach network interfaces to your instance".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import INTERFACES_BY_ATTACHMENT
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, not_implemented, write
from ecsnet.services.ec2 import errors, families
from ecsnet.services.ec2.instances import check_address_limit, check_interface_limit, interfaces_of
from ecsnet.services.ec2.interface_permission import granted
from ecsnet.services.ec2.interfaces import attach_interface, detach_interface


def attach_network_interface(call: Call, request: Request) -> Reply:
    """Source: EC2 API, AttachNetworkInterface. The interface is `attaching` until the agent sees it in the instance.

    Raises InvalidInstanceID.NotFound, IncorrectState, InvalidNetworkInterface.InUse, AttachmentLimitExceeded,
    PrivateIpAddressLimitExceeded, InvalidParameterCombination for another availability zone, InvalidParameterValue for
    a device index in use, AuthFailure for an interface that a service manages.
    """
    if request.get("NetworkCardIndex"):
        raise not_implemented("AttachNetworkInterface", "NetworkCardIndex")
    if granted(call, request["NetworkInterfaceId"], "INSTANCE-ATTACH") is not None:
        raise not_implemented("AttachNetworkInterface", "an interface of another account")
    eni = families.INTERFACE.require(call, request["NetworkInterfaceId"])
    instance = families.INSTANCE.require(call, request["InstanceId"])
    index = int(request["DeviceIndex"])
    if eni.requester_managed:
        raise errors.service_owned()
    if eni.attachment is not None:
        raise AwsError("InvalidNetworkInterface.InUse", f"Interface: [{eni.id}] in use.")
    if instance.state not in ("running", "stopped"):
        raise AwsError("IncorrectState", f"Instance '{instance.id}' is not 'running' or 'stopped'.")
    if eni.az != instance.az:
        raise errors.different_zones()
    if eni.vpc != instance.vpc:
        raise not_implemented("AttachNetworkInterface", "an interface of another VPC than the instance's")
    present = interfaces_of(call.tx, instance.id)
    if any(one.attachment is not None and one.attachment.device_index == index for one in present):
        raise AwsError(
            "InvalidParameterValue",
            f"Instance '{instance.id}' already has an interface attached at device index '{index}'.",
        )
    check_interface_limit(instance.type, len(present) + 1)
    check_address_limit(
        instance,
        len(eni.private_ips) + len(eni.ipv4_prefixes),
        len(eni.ipv6_ips) + len(eni.ipv6_prefixes),
    )
    attachment = ec2.Attachment(
        id=call.ids.resource("eni-attach"),
        owner_kind="instance",
        owner=instance.id,
        device_index=index,
        attached=call.now,
        delete_on_termination=False,
    )
    attach_interface(call, eni.id, attachment)
    return {"AttachmentId": attachment.id, "NetworkCardIndex": 0}


def detach_network_interface(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DetachNetworkInterface. Here detaching always succeeds at once, so Force changes nothing.

    Raises InvalidAttachmentID.NotFound, and OperationNotPermitted for a primary interface or one of a service.
    """
    eni, attachment = attached(call, request["AttachmentId"])
    if attachment.device_index == 0:
        raise AwsError(
            "OperationNotPermitted",
            "The network interface at device index 0 and networkCard index 0 cannot be detached.",
        )
    detach_interface(call, eni.id)
    return {}


def attached(call: Call, key: str) -> tuple[ec2.NetworkInterface, ec2.Attachment]:
    """The interface with an attachment that the user may change.

    Raises InvalidAttachmentID.NotFound, and OperationNotPermitted for an attachment that a service made.
    """
    for eni in call.tx.find(INTERFACES_BY_ATTACHMENT, key):
        if eni.account == call.account and eni.region == call.region and eni.attachment is not None:
            if eni.attachment.owner_kind != "instance" or eni.requester_managed:
                raise AwsError("OperationNotPermitted", "You are not allowed to manage 'ela-attach' attachments.")
            return eni, eni.attachment
    raise AwsError("InvalidAttachmentID.NotFound", f"The network interface attachment ID '{key}' does not exist")


def with_attachment_change(call: Call, eni: ec2.NetworkInterface, change: Mapping[str, Any]) -> ec2.NetworkInterface:
    """The interface with another DeleteOnTermination (EC2 API, shape NetworkInterfaceAttachmentChanges).

    Raises InvalidAttachmentID.NotFound when the attachment is not this interface's.
    """
    key = str(change.get("AttachmentId") or "")
    found, attachment = attached(call, key)
    if found.id != eni.id:
        raise AwsError("InvalidAttachmentID.NotFound", f"The network interface attachment ID '{key}' does not exist")
    wanted = change.get("DeleteOnTermination")
    if wanted is None:
        return eni
    return msgspec.structs.replace(
        eni, attachment=msgspec.structs.replace(attachment, delete_on_termination=bool(wanted))
    )


OPERATIONS: tuple[Operation, ...] = (
    write("AttachNetworkInterface", attach_network_interface),
    write("DetachNetworkInterface", detach_network_interface),
)
