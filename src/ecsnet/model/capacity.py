"""Where EC2 and EXTERNAL tasks run: container instances, what tasks take of them, and capacity providers."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Literal, TypeVar

import msgspec

from ecsnet.model.base import Record, Tags

T = TypeVar("T")

EPHEMERAL_PORTS = range(32768, 61000)
"""Host ports that agents give out by themselves unless told otherwise: Linux's usual ip_local_port_range (ECS API,
PortMapping.hostPort)."""


BRIDGE_NETWORK = IPv4Network("172.17.0.0/16")
"""The network of the containers of bridge tasks on every instance: that of docker's default bridge."""

BRIDGE_GATEWAY = IPv4Address("172.17.0.1")
"""The instance's own address in it."""


EXTERNAL_NETWORK = IPv4Network("198.19.255.0/24")
"""Where EXTERNAL instances have their addresses: the part of the public block that is never given to an interface.
The internet's client and name server are at its end."""


class Reservation(Record, frozen=True, kw_only=True, gc=False):
    """What tasks take of a container instance. Ports are sorted."""

    cpu: int = 0
    """CPU units, 1,024 for a vCPU."""
    memory: int = 0
    """MiB."""
    ports: tuple[int, ...] = ()
    """Static TCP host ports: the resource PORTS."""
    ports_udp: tuple[int, ...] = ()
    dynamic: tuple[int, ...] = ()
    """Host ports out of its instance's `dynamic_ports`; they do not count as PORTS (ECS API, PortMapping.hostPort)."""
    enis: int = 0
    """Task network interfaces."""
    addresses: tuple[IPv4Address, ...] = ()
    """Of its containers in `BRIDGE_NETWORK`."""


def added(one: Reservation, other: Reservation) -> Reservation:
    """What both take together."""
    return Reservation(
        cpu=one.cpu + other.cpu,
        memory=one.memory + other.memory,
        ports=tuple(sorted((*one.ports, *other.ports))),
        ports_udp=tuple(sorted((*one.ports_udp, *other.ports_udp))),
        dynamic=tuple(sorted((*one.dynamic, *other.dynamic))),
        enis=one.enis + other.enis,
        addresses=tuple(sorted((*one.addresses, *other.addresses))),
    )


def without(one: Reservation, other: Reservation) -> Reservation:
    """`one` after `other`, which is part of it, was given back."""
    return Reservation(
        cpu=one.cpu - other.cpu,
        memory=one.memory - other.memory,
        ports=_left(one.ports, other.ports),
        ports_udp=_left(one.ports_udp, other.ports_udp),
        dynamic=_left(one.dynamic, other.dynamic),
        enis=one.enis - other.enis,
        addresses=_left(one.addresses, other.addresses),
    )


def _left(held: tuple[T, ...], gone: tuple[T, ...]) -> tuple[T, ...]:
    missing = frozenset(gone)
    return tuple(one for one in held if one not in missing)


class NetworkBinding(Record, frozen=True, kw_only=True, gc=False):
    """One port mapping of a running task on its instance: `container_port`…`container_port + length - 1` of a container
    is `host_port`… of the instance. In host mode both are the same port and nothing is translated."""

    container: str
    container_port: int
    host_port: int
    protocol: Literal["tcp", "udp"] = "tcp"
    length: int = 1
    """More than 1 for a containerPortRange."""
    ranged: bool = False
    """Whether it comes from a containerPortRange (DescribeTasks names it differently)."""


class PlacementConstraint(Record, frozen=True, kw_only=True, gc=False):
    type: Literal["distinctInstance", "memberOf"]
    expression: str | None = None
    """Cluster query language; only with memberOf."""


class PlacementStrategy(Record, frozen=True, kw_only=True, gc=False):
    type: Literal["spread", "binpack", "random"]
    field: str = ""


Attributes = tuple[tuple[str, str | None], ...]
"""((name, value or None), …) sorted by name; a name may have no value."""


class ContainerInstance(Record, frozen=True, kw_only=True, gc=False):
    """A machine that runs tasks of one cluster: an EC2 instance, or an EXTERNAL one (ECS Anywhere)."""

    arn: str
    account: str
    region: str
    id: str
    """The last part of the ARN: 32 hex digits."""
    cluster: str
    instance: str
    """i-… of EC2, mi-… of Systems Manager."""
    external: bool = False
    address: IPv4Address | None = None
    """Of an EXTERNAL one, on the internet side."""
    az: str | None = None
    vpc: str | None = None
    subnet: str | None = None
    type: str | None = None
    status: Literal["REGISTERING", "REGISTRATION_FAILED", "ACTIVE", "DRAINING", "DEREGISTERING", "INACTIVE"] = "ACTIVE"
    status_reason: str | None = None
    agent_connected: bool = False
    """Whether the instance's agent was seen and has not gone since."""
    agent_version: str | None = None
    docker_version: str | None = None
    cpu: int
    memory: int
    reserved_ports: tuple[int, ...] = ()
    reserved_ports_udp: tuple[int, ...] = ()
    task_enis: int = 0
    """How many awsvpc tasks it can hold."""
    trunking: bool = False
    """Registered while awsvpcTrunking was enabled, on a type that supports it: its task interfaces are branches."""
    blocks_imds: bool = False
    """Its agent keeps awsvpc tasks from the instance's metadata (ECS_AWSVPC_BLOCK_IMDS)."""
    trunk: str | None = None
    """The trunk interface that its branches hang on."""
    used: Reservation = Reservation()
    """The sum of what its tasks that are not STOPPED take; kept in the transactions that place and end tasks."""
    dynamic_ports: tuple[int, int] = (EPHEMERAL_PORTS.start, EPHEMERAL_PORTS.stop - 1)
    """First and last of the host ports that its agent gives out by itself (ECS_DYNAMIC_HOST_PORT_RANGE)."""
    last_dynamic_port: int = EPHEMERAL_PORTS.start - 1
    """Where the search for a free host port begins (it goes upwards and wraps, as the container agent's does)."""
    last_address: IPv4Address = BRIDGE_GATEWAY
    """The same for the next container's address."""
    attributes: Attributes = ()
    custom_attributes: Attributes = ()
    """Of PutAttributes."""
    capacity_provider: str | None = None
    registered: float
    inactive_since: float | None = None
    version: int = 1
    tags: Tags = ()


def attribute_values(instance: ContainerInstance) -> dict[str, str | None]:
    """Every attribute, built-in and custom."""
    return {**dict(instance.attributes), **dict(instance.custom_attributes)}


def taken(instance: ContainerInstance, more: Reservation) -> ContainerInstance:
    """The instance with one more task."""
    return msgspec.structs.replace(instance, used=added(instance.used, more))


class ManagedScaling(Record, frozen=True, kw_only=True, gc=False):
    enabled: bool = False
    target_capacity: int = 100
    """Percent."""
    minimum_step: int = 1
    maximum_step: int = 10_000
    warmup: int = 300
    """Seconds."""


class CapacityProvider(Record, frozen=True, kw_only=True, gc=False):
    """A capacity provider of a user's own: an Auto Scaling group whose instances join clusters."""

    arn: str
    account: str
    region: str
    name: str
    group: str
    """ARN (or name) of the Auto Scaling group, as given."""
    scaling: ManagedScaling = ManagedScaling()
    termination_protection: bool = False
    draining: bool = True
    status: Literal["PROVISIONING", "ACTIVE", "DEPROVISIONING", "INACTIVE"] = "ACTIVE"
    update_status: str = "CREATE_COMPLETE"
    spare_since: float | None = None
    """Since when managed scaling sees more instances than are needed."""
    tags: Tags = ()
