"""Making one task: its record, its containers and its network interface, in the caller's transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import Tags
from ecsnet.model.ecs import AwsvpcConfiguration, Cluster, Container, StrategyItem, Task, TaskDefinition, TaskStatus
from ecsnet.model.tables import SUBNETS, TASKS, VPCS
from ecsnet.services.call import AwsError, Call
from ecsnet.services.ec2 import ops as ec2_ops
from ecsnet.services.ecs import account_setting, capacity_provider, names
from ecsnet.store.snapshot import Reader

PLATFORM_VERSION = "1.4.0"
"""What LATEST means for Linux (Developer Guide, "Fargate platform versions")."""

_REQUESTER = "578734482556"
"""The service account that owns task interfaces. AWS shows one of its own accounts; any 12 digits serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What every task of one RunTask call or one deployment has in common."""

    cluster: Cluster
    definition: TaskDefinition
    network: AwsvpcConfiguration
    group: str
    platform_version: str = PLATFORM_VERSION
    service: str | None = None
    deployment: str | None = None
    started_by: str | None = None
    overrides: str = "{}"
    client_token: str | None = None
    execute_command: bool = False
    tags: Tags = ()
    interface_tags: Tags = ()


def launch(call: Call, what: Launch, *, subnet: str, provider: str | None) -> Task:
    """Put a PROVISIONING task with an interface in `subnet`.

    When EC2 refuses the interface (the subnet is full, a quota is reached) the task exists all the same and is on its
    way to STOPPED with the reason, as in AWS.
    """
    id = call.ids.hex(32)
    cluster = what.cluster.name
    arn = names.arn(call, f"task/{cluster}/{id}")
    task = Task(
        arn=arn,
        account=call.account,
        region=call.region,
        id=id,
        cluster=what.cluster.arn,
        task_definition=what.definition.arn,
        group=what.group,
        service=what.service,
        deployment=what.deployment,
        capacity_provider=provider,
        platform_version=what.platform_version,
        last_status=TaskStatus.PROVISIONING,
        desired_status="RUNNING",
        containers=tuple(
            Container(
                arn=names.arn(call, f"container/{cluster}/{id}/{call.ids.uuid()}"), name=one.name, image=one.image
            )
            for one in what.definition.containers
        ),
        attachment=call.ids.uuid(),
        attachment_status="PRECREATED",
        subnet=subnet,
        overrides=what.overrides,
        started_by=what.started_by,
        client_token=what.client_token,
        execute_command=what.execute_command,
        created=call.now,
        tags=what.tags,
    )
    home = call.tx.get(SUBNETS, subnet)
    task = msgspec.structs.replace(task, az=home.az if home is not None else None)
    return call.tx.put(TASKS, _with_interface(call, task, what, subnet))


def _with_interface(call: Call, task: Task, what: Launch, subnet: str) -> Task:
    try:
        eni = ec2_ops.allocate_interface(
            call,
            subnet=subnet,
            groups=what.network.groups,
            description=names.arn(call, f"attachment/{task.attachment}"),
            requester_managed=True,
            requester_id=_REQUESTER,
            attachment=ec2.Attachment(
                id=call.ids.resource("eni-attach"),
                owner_kind="task",
                owner=task.arn,
                device_index=1,
                attached=call.now,
                delete_on_termination=False,
            ),
            public_ip=what.network.assign_public_ip,
            ipv6=_dual_stack(call, subnet),
            tags=what.interface_tags,
        )
    except AwsError as error:
        return msgspec.structs.replace(
            task,
            attachment_status="FAILED",
            desired_status="STOPPED",
            stopping=call.now,
            stop_code="TaskFailedToStart",
            stopped_reason=_refused(what.network, subnet, error),
        )
    return msgspec.structs.replace(
        task,
        attachment_status="ATTACHING",
        interface=eni.id,
        mac=eni.mac,
        private_ip=eni.private_ip,
        ipv6_ip=eni.ipv6_ips[0] if eni.ipv6_ips else None,
        private_dns_name=_private_dns_name(call, eni),
    )


def _dual_stack(call: Call, subnet: str) -> bool:
    """Whether the task gets an IPv6 address (Developer Guide, "Using a VPC in dual-stack mode": the subnet has an IPv6
    block and the account setting dualStackIPv6 is on)."""
    home = call.tx.get(SUBNETS, subnet)
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


def spread(reader: Reader, subnets: Iterable[str], filled: Counter[str]) -> str:
    """The subnet of the next task: in the zone with the fewest tasks, then the emptiest subnet.

    `filled` counts the tasks that each subnet has. Services spread over Availability Zones by default (Developer Guide,
    "Task placement"); ties keep the order of the configuration.
    """
    homes = {subnet: row.az if (row := reader.get(SUBNETS, subnet)) is not None else "" for subnet in subnets}
    zones: Counter[str] = Counter()
    for subnet, zone in homes.items():
        zones[zone] += filled[subnet]
    return min(homes, key=lambda subnet: (zones[homes[subnet]], filled[subnet]))


def next_provider(strategy: tuple[StrategyItem, ...], taken: Counter[str]) -> str | None:
    """The capacity provider of the next task; None without a strategy (a launch type was given).

    `taken` counts the tasks that each provider has.
    """
    return capacity_provider.choose(strategy, taken) if strategy else None
