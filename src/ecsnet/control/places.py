"""What a user calls a place in the network, and where its packets start and end.

`resolve` is the one reader of names for everything that sends or explains packets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal, assert_never

from ecsnet.fabric.kernel import naming
from ecsnet.logical.network import INTERNET_CLIENT, INTERNET_CLIENT6
from ecsnet.model.ec2 import Instance, NetworkInterface
from ecsnet.model.ecs import Task, TaskStatus, holds_interface
from ecsnet.model.elbv2 import LoadBalancer
from ecsnet.model.tables import (
    ELASTIC_IPS_BY_PUBLIC_IP,
    INSTANCES,
    INTERFACES,
    INTERFACES_BY_ADDRESS,
    INTERFACES_BY_OWNER,
    INTERFACES_BY_PUBLIC_IP,
    INTERFACES_BY_VPC,
    LOAD_BALANCERS,
    NAT_GATEWAYS,
    OBSERVED_INSTANCES,
    SERVICES,
    TASKS,
    VPCS,
)
from ecsnet.services.ec2.ops import public_ip_of
from ecsnet.store.snapshot import Snapshot

IpAddress = IPv4Address | IPv6Address
Kind = Literal["task", "load balancer", "NAT gateway", "instance", "interface", "internet", "address"]


class NotFoundError(Exception):
    """Nothing, or more than one thing, has that name; `hint` says what there is."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One interface of a place, as its owner sees it."""

    interface: str
    device: str
    """Its name inside the namespace, for example eth0."""
    addresses: tuple[IpAddress, ...]
    """The primary one first; one that the user named comes before it."""
    public: tuple[IPv4Address, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where packets can start or end. An `address` that no interface has is a place without ends."""

    kind: Kind
    id: str
    """Task ARN, load balancer ARN, id of the gateway, instance or interface, or the address."""
    label: str
    """In the user's words: `web task 0a1b…`, `load balancer shop`."""
    vpc: str | None
    namespace: str | None
    """None while nothing holds the interface: no packet can start there."""
    ends: tuple[End, ...]
    addresses: tuple[IpAddress, ...]
    """Where packets to this place are sent, the best one first: what the user wrote, else the ends' own."""


THE_INTERNET = Place(
    kind="internet", id="internet", label="the internet", vpc=None, namespace=naming.INTERNET, ends=(),
    addresses=(INTERNET_CLIENT, INTERNET_CLIENT6),
)  # fmt: skip


def resolve(snapshot: Snapshot, name: str, vpc: str | None = None) -> Place:
    """The place that a user calls `name`.

    `name` is a task (id, its beginning, ARN), a service, an interface, instance or NAT gateway id, a load balancer
    (name, ARN, DNS name), an address, or `internet`. `service:` or `load-balancer:` before it decides between two
    things of one name. `vpc` decides between VPCs that both have a private address.

    Raises NotFoundError when nothing or more than one thing fits.
    """
    if name == "internet":
        return THE_INTERNET
    try:
        return _address(snapshot, ip_address(name), vpc)
    except ValueError:
        pass
    prefix = name.partition("-")[0]
    by_id: dict[str, Callable[[Snapshot, str], Place]] = {"eni": _interface, "i": _instance, "nat": _nat_gateway}
    if prefix in by_id and naming.ends_in_digits(name):
        return by_id[prefix](snapshot, name)
    balancers, tasks = _balancers(snapshot, name), tasks_called(snapshot, name)
    if balancers and tasks:
        raise NotFoundError(
            f"a service and a load balancer are called {name}.", f"Say service:{name} or load-balancer:{name}"
        )
    if len(balancers) > 1:
        arns = ", ".join(row.arn for row in balancers)
        raise NotFoundError(f"{len(balancers)} load balancers are called {name}.", f"Give the ARN: {arns}")
    return _balancer(snapshot, balancers[0]) if balancers else _task(snapshot, find_task(snapshot, name))


# ── tasks ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def find_task(snapshot: Snapshot, name: str) -> Task:
    """One live task by id (or its beginning), ARN or service name. Raises NotFoundError."""
    fits = tasks_called(snapshot, name)
    if not fits:
        known = ", ".join(sorted({service_name(snapshot, row) or row.id[:12] for row in _live_tasks(snapshot)}))
        raise NotFoundError(f"no running task or service is called {name}.", f"There are: {known or 'none'}")
    if len(fits) > 1:
        raise NotFoundError(f"{len(fits)} tasks begin with {name}.", "Give more digits: ecsnet ps")
    return fits[0]


def tasks_called(snapshot: Snapshot, name: str) -> list[Task]:
    """The live tasks of that ARN, id or beginning of it; for a service name its oldest one."""
    live = list(_live_tasks(snapshot))
    if fits := [row for row in live if name and (row.arn == name or row.id.startswith(name))]:
        return fits
    service = name.removeprefix("service:")
    fits = [row for row in live if row.group == f"service:{service}" or service_name(snapshot, row) == service]
    return sorted(fits, key=lambda row: (row.last_status is not TaskStatus.RUNNING, row.created, row.id))[:1]


def service_name(snapshot: Snapshot, row: Task) -> str | None:
    service = snapshot.get(SERVICES, row.service) if row.service else None
    return service.name if service else None


def _live_tasks(snapshot: Snapshot) -> Iterator[Task]:
    return (row for row in snapshot.rows(TASKS) if row.last_status is not TaskStatus.STOPPED)


def _task(snapshot: Snapshot, row: Task) -> Place:
    interface = snapshot.get(INTERFACES, row.interface) if row.interface else None
    if interface is None:
        raise NotFoundError(f"task {row.id} has no network interface.", "See: ecsnet ps")
    return _interface(snapshot, interface.id)


# ── load balancers, gateways, instances ──────────────────────────────────────────────────────────────────────────────


def _balancers(snapshot: Snapshot, name: str) -> list[LoadBalancer]:
    bare = name.removeprefix("load-balancer:")
    return [row for row in snapshot.rows(LOAD_BALANCERS) if bare in (row.arn, row.name, row.dns_name)]


def _balancer(snapshot: Snapshot, row: LoadBalancer) -> Place:
    ends = tuple(
        _end(snapshot, interface)
        for node in row.nodes
        if (interface := snapshot.get(INTERFACES, node.interface)) is not None
    )
    return Place(
        kind="load balancer", id=row.arn, label=f"load balancer {row.name}", vpc=row.vpc,
        namespace=naming.load_balancer_namespace(row.arn), ends=ends,
        addresses=tuple(address for end in ends for address in end.addresses),
    )  # fmt: skip


def _nat_gateway(snapshot: Snapshot, name: str) -> Place:
    row = snapshot.get(NAT_GATEWAYS, name)
    if row is None or row.interface is None:
        known = ", ".join(nat.id for nat in snapshot.rows(NAT_GATEWAYS) if nat.interface) or "none"
        raise NotFoundError(f"there is no NAT gateway {name}.", f"There are: {known}")
    return _interface(snapshot, row.interface)


def _instance(snapshot: Snapshot, name: str) -> Place:
    rows = list(snapshot.find(INTERFACES_BY_OWNER, name))
    if not rows:
        raise NotFoundError(f"no instance {name} with a network interface is there.", "See: ecsnet map")
    ends = tuple(_end(snapshot, row) for row in sorted(rows, key=_device_index))
    return Place(
        kind="instance", id=name, label=f"instance {name}", vpc=rows[0].vpc, ends=ends,
        namespace=naming.instance_namespace(name) if snapshot.get(OBSERVED_INSTANCES, name) else None,
        addresses=tuple(address for end in ends for address in end.addresses),
    )  # fmt: skip


# ── interfaces and addresses ─────────────────────────────────────────────────────────────────────────────────────────


def _interface(snapshot: Snapshot, name: str, named: IpAddress | None = None) -> Place:
    row = snapshot.get(INTERFACES, name)
    if row is None:
        raise NotFoundError(f"there is no network interface {name}.", "See: ecsnet map")
    kind, owner, namespace = _holder(snapshot, row)
    end = _end(snapshot, row, named)
    label = user_of(snapshot, row) if row.attachment else f"interface {row.id} (not attached)"
    return Place(
        kind=kind, id=owner, label=label, vpc=row.vpc, namespace=namespace, ends=(end,),
        addresses=end.addresses if named is None else (named, *(a for a in end.addresses if a != named)),
    )  # fmt: skip


def _address(snapshot: Snapshot, address: IpAddress, vpc: str | None) -> Place:
    """Who has an address. A public one is looked up first: it belongs to one interface wherever it is."""
    holders = {
        *(row.id for row in snapshot.find(INTERFACES_BY_PUBLIC_IP, str(address))),
        *(row.interface for row in snapshot.find(ELASTIC_IPS_BY_PUBLIC_IP, str(address)) if row.interface),
    }
    if not holders:
        vpcs = [vpc] if vpc is not None else [row.id for row in snapshot.rows(VPCS)]
        holders = {key for one in vpcs for key in snapshot.keys(INTERFACES_BY_ADDRESS, f"{one}/{address}")}
    if len(holders) > 1:
        where = ", ".join(sorted(row.vpc for key in holders if (row := snapshot.get(INTERFACES, key)) is not None))
        raise NotFoundError(f"{address} is in {len(holders)} VPCs: {where}.", "Name the VPC, or give the interface id.")
    if not holders:
        return Place(
            kind="address", id=str(address), label=str(address), vpc=vpc, namespace=None, ends=(), addresses=(address,)
        )
    return _interface(snapshot, holders.pop(), address)


def attached(snapshot: Snapshot, vpcs: Iterable[str]) -> list[tuple[NetworkInterface, Place]]:
    """Every attached interface of some VPCs, each as a place of its own, in the order of VPCs and ids."""
    rows = (row for vpc in vpcs for row in sorted(snapshot.find(INTERFACES_BY_VPC, vpc), key=lambda row: row.id))
    return [(row, _interface(snapshot, row.id)) for row in rows if row.attachment is not None]


def _end(snapshot: Snapshot, row: NetworkInterface, named: IpAddress | None = None) -> End:
    own: tuple[IpAddress, ...] = (*row.private_ips, *row.ipv6_ips)
    if named in own:
        own = (named, *(address for address in own if address != named))
    return End(
        interface=row.id,
        device=naming.interface_device(_device_index_in(snapshot, row)),
        addresses=own,
        public=tuple(public for ip in row.private_ips if (public := public_ip_of(snapshot, row, ip))),
    )


def _device_index(row: NetworkInterface) -> int:
    return row.attachment.device_index if row.attachment else 0


def _device_index_in(snapshot: Snapshot, row: NetworkInterface) -> int:
    """Only an instance numbers its interfaces as the API does.

    A load balancer's are numbered in the order of its nodes; a task has one, which the API shows as its second.
    """
    if row.attachment is None:
        return 0
    match row.attachment.owner_kind:
        case "instance":
            return row.attachment.device_index
        case "load_balancer":
            balancer = snapshot.get(LOAD_BALANCERS, row.attachment.owner)
            nodes = [node.interface for node in balancer.nodes] if balancer else []
            return nodes.index(row.id) if row.id in nodes else 0
        case "task" | "nat":
            return 0
        case _:
            assert_never(row.attachment.owner_kind)


def _holder(snapshot: Snapshot, row: NetworkInterface) -> tuple[Kind, str, str | None]:
    """What holds an interface, its id, and the namespace where its packets start (None when nothing does)."""
    if row.attachment is None:
        return "interface", row.id, None
    owner = row.attachment.owner
    match row.attachment.owner_kind:
        case "task":
            task = snapshot.get(TASKS, owner)
            held = task is not None and holds_interface(task)
            return "task", owner, naming.task_namespace(owner) if held else None
        case "load_balancer":
            held = snapshot.get(LOAD_BALANCERS, owner) is not None
            return "load balancer", owner, naming.load_balancer_namespace(owner) if held else None
        case "nat":
            return "NAT gateway", owner, naming.nat_gateway_namespace(owner)
        case "instance":
            held = snapshot.get(OBSERVED_INSTANCES, owner) is not None
            return "instance", owner, naming.instance_namespace(owner) if held else None
        case _:
            assert_never(row.attachment.owner_kind)


def user_of(snapshot: Snapshot, row: NetworkInterface) -> str:
    """What uses an interface, in the user's words."""
    if row.attachment is None:
        return "not attached"
    owner = row.attachment.owner
    match row.attachment.owner_kind:
        case "task":
            task = snapshot.get(TASKS, owner)
            return "task" if task is None else f"task {service_name(snapshot, task) or task.group} {task.id[:12]}"
        case "load_balancer":
            balancer = snapshot.get(LOAD_BALANCERS, owner)
            return f"load balancer {balancer.name}" if balancer else "load balancer"
        case "nat":
            return f"NAT gateway {owner}"
        case "instance":
            instance = snapshot.get(INSTANCES, owner)
            return f"instance {owner}" if instance is None else _instance_label(instance)
        case _:
            assert_never(row.attachment.owner_kind)


def _instance_label(instance: Instance) -> str:
    """The instance's Name tag and id, and its state when it is not running."""
    name = next((value for key, value in instance.tags if key == "Name"), "")
    state = "" if instance.state == "running" else f" ({instance.state})"
    return f"instance {name} {instance.id}{state}" if name else f"instance {instance.id}{state}"
