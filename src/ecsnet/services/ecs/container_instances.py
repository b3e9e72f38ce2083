"""What happens to container instances: they register, connect, drain and go (Developer Guide, "Container instances").

These verbs are for controllers and other services; the API's own operations are in `container_instance`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Literal

import msgspec

from ecsnet.model.base import Tags
from ecsnet.model.capacity import EPHEMERAL_PORTS, Attributes, ContainerInstance
from ecsnet.model.ecs import Cluster, Task, TaskStatus
from ecsnet.model.tables import (
    CAPACITY_PROVIDERS,
    CONTAINER_INSTANCES,
    CONTAINER_INSTANCES_BY_CLUSTER,
    CONTAINER_INSTANCES_BY_INSTANCE,
    INSTANCES,
    TASKS_BY_CONTAINER_INSTANCE,
)
from ecsnet.services.call import Call
from ecsnet.services.ec2 import ops as ec2_ops
from ecsnet.services.ecs import account_setting, external_instance, names, stopping, trunk_interface, trunking

AGENT_VERSION = "1.102.0"
"""The version of the container agent whose behaviour ecsnet follows."""

RESERVED_PORTS = (22, 2375, 2376, 51678, 51679)
"""ECS_RESERVED_PORTS by default (container agent, "Environment variables")."""

GROUP_TAG = "aws:autoscaling:groupName"
"""The tag by which an EC2 instance tells its Auto Scaling group."""

_LEGACY = (
    *(f"docker-remote-api.1.{minor}" for minor in range(17, 45)),
    "ecr-auth",
    "logging-driver.awslogs",
    "logging-driver.json-file",
    "logging-driver.none",
    "logging-driver.syslog",
    "privileged-container",
    "task-iam-role",
    "task-iam-role-network-host",
)
_CAPABILITIES = (
    "execution-role-awslogs",
    "network.container-port-range",
    "task-eni",
    "task-eni-block-instance-metadata",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What an agent says of the machine it runs on. `vpc` and what belongs to it are None for EXTERNAL ones."""

    instance: str
    """i-… or mi-…."""
    cpu: int
    """CPU units, 1,024 for each vCPU."""
    memory: int
    """MiB that tasks may have."""
    architecture: Literal["x86_64", "arm64"] = "x86_64"
    type: str | None = None
    image: str | None = None
    az: str | None = None
    vpc: str | None = None
    subnet: str | None = None
    interfaces: int = 1
    """Most network interfaces of the instance type, the primary one included."""
    group: str | None = None
    """Name of the Auto Scaling group that it belongs to."""

    @property
    def external(self) -> bool:
        return self.vpc is None


def register_instance(
    call: Call,
    cluster: Cluster,
    machine: Machine,
    *,
    connected: bool,
    attributes: Attributes = (),
    reserved_ports: tuple[int, ...] = RESERVED_PORTS,
    reserved_ports_udp: tuple[int, ...] = (),
    dynamic_ports: tuple[int, int] | None = None,
    blocks_imds: bool = False,
    tags: Tags = (),
) -> ContainerInstance:
    """An instance's agent came up and names its cluster: an ACTIVE container instance, ready for tasks.

    An instance that is registered already keeps its ARN, attributes and tasks; only its agent is connected (again).
    `connected` says whether the agent was seen. `attributes` are the agent's own (ECS_INSTANCE_ATTRIBUTES). With the
    account setting awsvpcTrunking enabled now, a type that supports it holds more awsvpc tasks: it is REGISTERING
    until its trunk was seen (`trunk_interface`). Instances that registered before keep their limit.
    """
    present = find_by_instance(call, machine.instance)
    if present is not None and present.cluster == cluster.arn:
        return set_agent_connected(call, present, connected)
    id = call.ids.hex(32)
    address = external_instance.give_address(call) if machine.external else None
    trunk = (
        not machine.external
        and account_setting.in_force(call, "awsvpcTrunking") == "enabled"
        and trunking.trunked_tasks(machine.type or "") is not None
    )
    row = ContainerInstance(
        arn=names.arn(call, f"container-instance/{cluster.name}/{id}"),
        account=call.account,
        region=call.region,
        id=id,
        cluster=cluster.arn,
        instance=machine.instance,
        external=machine.external,
        address=address,
        az=machine.az,
        vpc=machine.vpc,
        subnet=machine.subnet,
        type=machine.type,
        agent_connected=connected,
        agent_version=AGENT_VERSION,
        cpu=machine.cpu,
        memory=machine.memory,
        reserved_ports=tuple(sorted(reserved_ports)),
        reserved_ports_udp=tuple(sorted(reserved_ports_udp)),
        task_enis=0
        if machine.external
        else trunking.task_interfaces(machine.type or "", machine.interfaces, trunking=trunk),
        trunking=trunk,
        dynamic_ports=dynamic_ports or (EPHEMERAL_PORTS.start, EPHEMERAL_PORTS.stop - 1),
        blocks_imds=blocks_imds,
        attributes=tuple(sorted({**dict(_built_in(machine, address, trunk=trunk)), **dict(attributes)}.items())),
        capacity_provider=_provider(call, cluster, machine.group),
        registered=call.now,
        tags=tags,
    )
    return call.tx.put(CONTAINER_INSTANCES, trunk_interface.attach(call, row, machine.interfaces) if trunk else row)


def _built_in(machine: Machine, address: IPv4Address | None, *, trunk: bool) -> Iterable[tuple[str, str | None]]:
    """Developer Guide, "Container instance attributes"; container agent, `agent_capability.go`."""
    yield from ((f"com.amazonaws.ecs.capability.{name}", None) for name in _LEGACY)
    if machine.external:
        yield external_instance.ADDRESS_ATTRIBUTE, str(address)
        yield "ecs.capability.external", None
        yield "ecs.capability.execution-role-awslogs", None
        yield "ecs.capability.network.container-port-range", None
    else:
        yield from ((f"ecs.capability.{name}", None) for name in _CAPABILITIES)
        if trunk:
            yield "ecs.capability.task-eni-trunking", None
    yield "ecs.os-type", "linux"
    yield "ecs.os-family", "LINUX"
    yield "ecs.cpu-architecture", machine.architecture
    known = (
        ("ecs.ami-id", machine.image),
        ("ecs.availability-zone", machine.az),
        ("ecs.instance-type", machine.type),
        ("ecs.vpc-id", machine.vpc),
        ("ecs.subnet-id", machine.subnet),
    )
    yield from ((name, value) for name, value in known if value is not None)


def most_task_interfaces(call: Call, type: str, interfaces: int) -> int:
    """How many awsvpc tasks an instance of a type would hold if it registered now; `interfaces` as in `Machine`."""
    trunk = account_setting.in_force(call, "awsvpcTrunking") == "enabled"
    return trunking.task_interfaces(type, interfaces, trunking=trunk)


def associate(call: Call, cluster: Cluster) -> None:
    """The providers of a cluster changed: instances of their groups that registered before belong to them now."""
    for row in list(call.tx.find(CONTAINER_INSTANCES_BY_CLUSTER, cluster.arn)):
        instance = call.tx.get(INSTANCES, row.instance)
        if row.status == "INACTIVE" or row.external or instance is None:
            continue
        provider = _provider(call, cluster, dict(instance.tags).get(GROUP_TAG))
        if provider != row.capacity_provider:
            changed = msgspec.structs.replace(row, capacity_provider=provider, version=row.version + 1)
            call.tx.put(CONTAINER_INSTANCES, changed)


def _provider(call: Call, cluster: Cluster, group: str | None) -> str | None:
    """The capacity provider of the cluster whose Auto Scaling group the instance belongs to."""
    if group is None:
        return None
    for name in cluster.capacity_providers:
        row = call.tx.get(CAPACITY_PROVIDERS, names.arn(call, f"capacity-provider/{name}"))
        if row is not None and group in (row.group, names.last_part(row.group)):
            return name
    return None


def find_by_instance(call: Call, instance: str) -> ContainerInstance | None:
    """The registration of an EC2 (or managed) instance that is not INACTIVE."""
    rows = call.tx.find(CONTAINER_INSTANCES_BY_INSTANCE, instance)
    return next((row for row in rows if row.status != "INACTIVE"), None)


def deregistered_since(call: Call, instance: str, launched: float) -> bool:
    """Whether the instance was registered and deregistered since it was launched; its agent then stays away."""
    return any(
        row.status == "INACTIVE" and row.registered >= launched
        for row in call.tx.find(CONTAINER_INSTANCES_BY_INSTANCE, instance)
    )


def set_agent_connected(call: Call, row: ContainerInstance, connected: bool) -> ContainerInstance:
    """The instance's agent was seen, or is no longer: only instances with a connected agent get tasks."""
    if row.agent_connected == connected:
        return row
    return call.tx.put(
        CONTAINER_INSTANCES, msgspec.structs.replace(row, agent_connected=connected, version=row.version + 1)
    )


def set_status(call: Call, row: ContainerInstance, status: Literal["ACTIVE", "DRAINING"]) -> ContainerInstance:
    """DRAINING: no new task; services replace theirs (Developer Guide, "Draining container instances")."""
    if row.status == status:
        return row
    return call.tx.put(CONTAINER_INSTANCES, msgspec.structs.replace(row, status=status, version=row.version + 1))


def tasks_on(call: Call, row: ContainerInstance) -> list[Task]:
    """The tasks on an instance that are not STOPPED."""
    return list(call.tx.find(TASKS_BY_CONTAINER_INSTANCE, row.arn))


def deregister(call: Call, row: ContainerInstance, *, reason: str) -> ContainerInstance:
    """INACTIVE from now on; its tasks are told to stop for `reason` and keep what they hold until they have."""
    for task in tasks_on(call, row):
        stopping.request_stop(call, task, code="UserInitiated", reason=reason)
    row = call.tx.get(CONTAINER_INSTANCES, row.arn) or row
    if row.trunk is not None:
        ec2_ops.release_interface(call, row.trunk)
    return call.tx.put(
        CONTAINER_INSTANCES,
        msgspec.structs.replace(
            row, status="INACTIVE", agent_connected=False, inactive_since=call.now, version=row.version + 1
        ),
    )


def instance_stopped(call: Call, instance: str) -> None:
    """An EC2 instance stopped: its agent is gone and its tasks with it; the registration stays."""
    row = find_by_instance(call, instance)
    if row is not None:
        _end_tasks(call, row, f"Host EC2 (instance {instance}) stopped.")
        set_agent_connected(call, call.tx.get(CONTAINER_INSTANCES, row.arn) or row, False)


def instance_terminated(call: Call, instance: str) -> None:
    """An EC2 instance was terminated: ECS deregisters it by itself (API DeregisterContainerInstance)."""
    row = find_by_instance(call, instance)
    if row is not None:
        deregister(call, row, reason=f"Host EC2 (instance {instance}) terminated.")


def _end_tasks(call: Call, row: ContainerInstance, reason: str) -> None:
    for task in tasks_on(call, row):
        if task.last_status is not TaskStatus.STOPPED:
            stopping.request_stop(call, task, code="UserInitiated", reason=reason)
