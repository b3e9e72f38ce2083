"""What the command line shows: tasks and the network, read from a snapshot in the user's own nouns."""

from __future__ import annotations

from typing import Any

from ecsnet.control import places, stacks
from ecsnet.control.places import NotFoundError, user_of
from ecsnet.fabric.kernel.naming import router_namespace
from ecsnet.model.base import Tags
from ecsnet.model.ec2 import NetworkInterface, Subnet, Vpc
from ecsnet.model.ecs import Service, Task, container_token
from ecsnet.model.tables import (
    ASSOCIATIONS_BY_SUBNET,
    GROUPS,
    INTERFACES,
    INTERFACES_BY_SUBNET,
    INTERNET_GATEWAYS_BY_VPC,
    MAIN_ASSOCIATION_BY_VPC,
    NAT_GATEWAYS_BY_VPC,
    OBSERVED_INTERFACES,
    ROUTE_TABLES,
    SERVICES,
    SUBNETS_BY_VPC,
    TARGET_HEALTH,
    TASK_DEFINITIONS,
    TASKS,
    VPCS,
    target_key,
)
from ecsnet.services.ec2.ops import public_ip_of
from ecsnet.store.snapshot import Snapshot

Json = dict[str, Any]


def tasks(snapshot: Snapshot) -> list[Json]:
    """Every task, running ones by service first."""
    rows = sorted(snapshot.rows(TASKS), key=lambda t: (t.last_status.value == "STOPPED", t.group, t.created))
    return [task(snapshot, row) for row in rows]


def task(snapshot: Snapshot, row: Task) -> Json:
    """One task with where it runs, as what, and how its targets are."""
    definition = snapshot.get(TASK_DEFINITIONS, row.task_definition)
    interface = snapshot.get(INTERFACES, row.interface) if row.interface else None
    public = public_ip_of(snapshot, interface, interface.private_ip) if interface else None
    service = snapshot.get(SERVICES, row.service) if row.service else None
    runtimes = sorted({container.runtime for container in row.containers if container.runtime})
    return {
        "id": row.id,
        "arn": row.arn,
        "service": service.name if service else None,
        "group": row.group,
        "mode": definition.network_mode if definition else "awsvpc",
        "runtime": "+".join(runtimes),
        "address": str(row.private_ip) if row.private_ip else None,
        "public_address": str(public) if public else None,
        "status": row.last_status.value,
        "stopped_reason": row.stopped_reason or "",
        "target_health": _health(snapshot, service, row),
        "containers": [
            {
                "name": container.name,
                "image": container.image,
                "status": container.last_status,
                "runtime": container.runtime,
                "runtime_id": container.runtime_id,
                "netns": stacks.namespace_of(row, container.name),
                "metadata": f"http://169.254.170.2/v4/{container_token(row, container.name)}",
            }
            for container in row.containers
        ],
        "account": row.account,
        "region": row.region,
    }


def _health(snapshot: Snapshot, service: Service | None, row: Task) -> str | None:
    if service is None:
        return None
    states = []
    for one in row.registrations:
        seen = snapshot.get(TARGET_HEALTH, target_key(one.target_group, one.id, one.port))
        if seen is not None:
            states.append(seen.state)
    return ",".join(states) or None


def find_task(snapshot: Snapshot, name: str) -> Json:
    """One live task by id (or its beginning), ARN or service name, with the place where its packets start.

    Raises NotFoundError.
    """
    row = places.find_task(snapshot, name)
    netns = stacks.namespace_of(row, row.containers[0].name)
    if netns is None or (row.interface is not None and snapshot.get(INTERFACES, row.interface) is None):
        raise NotFoundError(f"task {row.id} has no network yet.", "See: ecsnet ps")
    return {**task(snapshot, row), "netns": netns, "nameserver": stacks.nameserver_of(snapshot, row)}


def router_of(snapshot: Snapshot, name: str) -> str:
    """The router namespace of a VPC given by id or Name tag. Raises NotFoundError."""
    return router_namespace(vpc_called(snapshot, name).id)


def vpc_called(snapshot: Snapshot, name: str) -> Vpc:
    """The VPC of that id or Name tag. Raises NotFoundError."""
    fits = [vpc for vpc in snapshot.rows(VPCS) if vpc.id == name or _name(vpc.tags) == name]
    if not fits:
        known = ", ".join(f"{vpc.id} {_name(vpc.tags)}".strip() for vpc in snapshot.rows(VPCS))
        raise NotFoundError(f"there is no VPC {name}.", f"There are: {known}")
    if len(fits) > 1:
        raise NotFoundError(f"{len(fits)} VPCs are called {name}.", "Give the id: ecsnet map")
    return fits[0]


def deciding(snapshot: Snapshot, rule: str) -> str:
    """A dropping rule of the filter (`sg-in sg-… sg-…`, `acl-…/in/100`) in words."""
    side, *names = rule.split()
    if side not in ("sg-in", "sg-out"):
        return rule
    groups = ", ".join(
        f"{group.name} ({group.id})" for key in names if (group := snapshot.get(GROUPS, key)) is not None
    )
    return f"no {'inbound' if side == 'sg-in' else 'outbound'} rule of {groups or 'no group'} admits it"


def network(snapshot: Snapshot) -> list[Json]:
    """VPC → subnet → interface, as a tree."""
    return [_vpc(snapshot, vpc) for vpc in sorted(snapshot.rows(VPCS), key=lambda v: (v.region, v.id))]


def _vpc(snapshot: Snapshot, vpc: Vpc) -> Json:
    gateways: list[Json] = []
    for gateway in snapshot.find(INTERNET_GATEWAYS_BY_VPC, vpc.id):
        gateways.append({"kind": "internet gateway", "id": gateway.id, "detail": ""})
    for nat in snapshot.find(NAT_GATEWAYS_BY_VPC, vpc.id):
        if nat.state != "deleted":
            pairs = ((nat.private_ip, nat.public_ip), *((one.private_ip, one.public_ip) for one in nat.secondary))
            shown = ", ".join(
                f"{private} as {public}" if public else str(private) for private, public in pairs if private
            )
            detail = f"{shown}  {nat.state}"
            gateways.append({"kind": "NAT gateway", "id": nat.id, "detail": detail})
    subnets = sorted(snapshot.find(SUBNETS_BY_VPC, vpc.id), key=lambda s: (s.az, str(s.cidr)))
    return {
        "id": vpc.id,
        "name": _name(vpc.tags) or ("default" if vpc.is_default else ""),
        "cidrs": [str(association.cidr) for association in vpc.cidrs],
        "account": vpc.account,
        "region": vpc.region,
        "gateways": gateways,
        "subnets": [_subnet(snapshot, subnet) for subnet in subnets],
    }


def _subnet(snapshot: Snapshot, subnet: Subnet) -> Json:
    interfaces = sorted(snapshot.find(INTERFACES_BY_SUBNET, subnet.id), key=_address_order)
    return {
        "id": subnet.id,
        "name": _name(subnet.tags),
        "cidr": str(subnet.cidr),
        "az": subnet.az,
        "kind": "public" if _is_public(snapshot, subnet) else "private",
        "interfaces": [_interface(snapshot, interface) for interface in interfaces],
    }


def _is_public(snapshot: Snapshot, subnet: Subnet) -> bool:
    """Whether the subnet's route table leads to an internet gateway; AWS has no other flag for it."""
    associations = [
        *snapshot.find(ASSOCIATIONS_BY_SUBNET, subnet.id),
        *snapshot.find(MAIN_ASSOCIATION_BY_VPC, subnet.vpc),
    ]
    table = snapshot.get(ROUTE_TABLES, associations[0].route_table) if associations else None
    return table is not None and any(route.target.kind == "igw" for route in table.routes)


def _address_order(interface: NetworkInterface) -> tuple[int, int]:
    """IPv4 before IPv6."""
    return (6, 0) if interface.private_ip is None else (4, int(interface.private_ip))


def _interface(snapshot: Snapshot, interface: NetworkInterface) -> Json:
    public = public_ip_of(snapshot, interface, interface.private_ip)
    return {
        "id": interface.id,
        "address": str(next(iter((*interface.private_ips, *interface.ipv6_ips)))),
        "public_address": str(public) if public else None,
        "groups": list(interface.groups),
        "used_by": user_of(snapshot, interface),
        "in_force": snapshot.get(OBSERVED_INTERFACES, interface.id) is not None,
    }


def _name(tags: Tags) -> str:
    return next((value for key, value in tags if key == "Name"), "")
