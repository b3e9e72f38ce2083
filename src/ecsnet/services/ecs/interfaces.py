"""The network interface of an awsvpc task (Developer Guide, "Task networking with the awsvpc network mode")."""

from __future__ import annotations

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import Tags
from ecsnet.model.ecs import AwsvpcConfiguration, Task
from ecsnet.model.faults import ANY_GROUP
from ecsnet.model.tables import ATTACH_FAULTS, SUBNETS, VPCS
from ecsnet.services.call import AwsError, Call
from ecsnet.services.ec2 import ops as ec2_ops
from ecsnet.services.ecs import account_setting, names

REQUESTER = "578734482556"
"""The service account that owns task interfaces. AWS shows one of its own accounts; any 12 digits serve."""

UNATTACHABLE = "Unable to attach network interface to unused device index."
"""What a task says whose interface its instance could not take (amazon-ecs-agent#2448)."""


def attach(
    call: Call,
    task: Task,
    network: AwsvpcConfiguration,
    subnet: str,
    *,
    tags: Tags,
    device_index: int = 1,
    kind: str = "interface",
) -> Task:
    """The task with an interface in `subnet`.

    When EC2 refuses the interface (the subnet is full, a quota is reached) the task is on its way to STOPPED with the
    reason, as in AWS. So it is when a fault refuses the attachment; one that delays it keeps the interface, which
    exists, out of every network stack until its time has come. `kind` is "branch" where the instance has a trunk.
    """
    home = call.tx.get(SUBNETS, subnet)
    fault = call.tx.get(ATTACH_FAULTS, task.group) or call.tx.get(ATTACH_FAULTS, ANY_GROUP)
    task = msgspec.structs.replace(
        task,
        attachment=task.attachment or call.ids.uuid(),
        subnet=subnet,
        az=home.az if home is not None else None,
    )
    if fault is not None and fault.delay is None:
        return failed(call, task, UNATTACHABLE)
    try:
        eni = ec2_ops.allocate_interface(
            call,
            subnet=subnet,
            groups=network.groups,
            description=names.arn(call, f"attachment/{task.attachment}"),
            interface_type=kind,
            requester_managed=True,
            requester_id=REQUESTER,
            attachment=ec2.Attachment(
                id=call.ids.resource("eni-attach"),
                owner_kind="task",
                owner=task.arn,
                device_index=device_index,
                attached=call.now,
                delete_on_termination=False,
            ),
            public_ip=network.assign_public_ip,
            ipv6=_dual_stack(call, home),
            tags=tags,
        )
    except AwsError as error:
        return failed(call, task, _refused(network, subnet, error))
    return msgspec.structs.replace(
        task,
        attachment_status="ATTACHING",
        attach_at=call.now + fault.delay / call.settings.speed if fault is not None and fault.delay else None,
        interface=eni.id,
        mac=eni.mac,
        private_ip=eni.private_ip,
        ipv6_ip=eni.ipv6_ips[0] if eni.ipv6_ips else None,
        private_dns_name=_private_dns_name(call, eni),
    )


def failed(call: Call, task: Task, reason: str) -> Task:
    """The task, told to stop because what it needs could not be made."""
    return msgspec.structs.replace(
        task,
        attachment_status="FAILED" if task.attachment else None,
        wanted=None,
        desired_status="STOPPED",
        stopping=call.now,
        stop_code="TaskFailedToStart",
        stopped_reason=reason,
    )


def _dual_stack(call: Call, home: ec2.Subnet | None) -> bool:
    """Whether the task gets an IPv6 address (Developer Guide, "Using a VPC in dual-stack mode": the subnet has an IPv6
    block and the account setting dualStackIPv6 is on)."""
    return (
        home is not None and home.ipv6_cidr is not None and account_setting.in_force(call, "dualStackIPv6") == "enabled"
    )


def _private_dns_name(call: Call, eni: ec2.NetworkInterface) -> str | None:
    """Given only where the VPC hands out host names (VPC User Guide, "DNS attributes for your VPC")."""
    vpc = call.tx.get(VPCS, eni.vpc)
    if vpc is None or eni.private_ip is None or not (vpc.dns_support and vpc.dns_hostnames):
        return None
    return ec2_ops.private_dns_name(call.region, eni.private_ip)


def _refused(network: AwsvpcConfiguration, subnet: str, error: AwsError) -> str:
    with_public = "enabled" if network.assign_public_ip else "disabled"
    return (
        "Unexpected EC2 error while attempting to Create Network Interface with public IP assignment "
        f"{with_public} in subnet '{subnet}': {error.code}"
    )
