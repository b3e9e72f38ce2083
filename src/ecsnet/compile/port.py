"""Network interface → Port and its group memberships; task, load balancer and instance → the Host
that owns ports."""

from __future__ import annotations

from collections.abc import Iterator

from ecsnet.compile import facts
from ecsnet.compile.view import FragmentSpec, View
from ecsnet.logical.base import LogicalObject
from ecsnet.logical.network import GroupSet, Host, IpAddress, Member, MemberPrefix, OpenPort, Port
from ecsnet.model.base import IpNetwork
from ecsnet.model.ec2 import NetworkInterface, holds_stack
from ecsnet.model.ecs import holds_interface
from ecsnet.model.tables import GROUP_SETS, INSTANCES, INTERFACES, LOAD_BALANCERS, TASKS, group_set_key


def port(view: View, key: str) -> Iterator[LogicalObject]:
    """The port of an interface that a host holds, its groups together, and one membership per group and address.

    An interface that nothing holds carries no packet: it is not there, and a group does not contain it.
    """
    row = view.get(INTERFACES, key)
    place = view.ask(facts.PLACE, key)
    if row is None or place is None:
        return
    groups = _groups(view, row)
    addresses: tuple[IpAddress, ...] = (*row.private_ips, *row.ipv6_ips)
    prefixes: tuple[IpNetwork, ...] = (*row.ipv4_prefixes, *row.ipv6_prefixes)
    number = None if place.kind == "nat" or _unfiltered(row) else _number(view, row)
    if number is not None:
        yield GroupSet(router=row.vpc, number=number, groups=groups)
    yield Port(
        router=row.vpc,
        id=row.id,
        segment=row.subnet,
        segment_number=place.number,
        mac=row.mac,
        addresses=addresses,
        prefixes=prefixes,
        network=place.network,
        gateway=None if place.network is None else place.network.network_address + 1,
        host=place.host,
        host_kind=place.kind,
        index=place.index,
        checked=row.source_dest_check and place.kind != "nat",
        group_set=number,
    )
    yield from _memberships(view, row, groups, addresses, prefixes)


def _unfiltered(row: NetworkInterface) -> bool:
    """A network load balancer without security groups admits everything (guide page "Security groups for your NLB")."""
    return row.interface_type == "network_load_balancer" and not row.groups


def _number(view: View, row: NetworkInterface) -> int:
    """What the interface's groups, usable or not, are called together."""
    found = view.get(GROUP_SETS, group_set_key(row.vpc, row.groups))
    assert found is not None, f"the groups of {row.id} have no number"
    return found.ordinal


def _memberships(
    view: View,
    row: NetworkInterface,
    groups: tuple[str, ...],
    addresses: tuple[IpAddress, ...],
    prefixes: tuple[IpNetwork, ...],
) -> Iterator[Member | MemberPrefix]:
    """In the interface's own VPC, and in the peered ones whose rules name the group."""
    for group in groups:
        peers = (naming for home, naming in view.ask(facts.NAMING_VPCS, group) if home == row.vpc)
        for router in (row.vpc, *peers):
            for address in addresses:
                yield Member(router=router, group=group, address=address)
            for prefix in prefixes:
                yield MemberPrefix(router=router, group=group, prefix=prefix)


def open_ports(view: View, key: str) -> Iterator[OpenPort]:
    """What an interface's groups together open wholly; apart from the port, because one rule may change it for many."""
    row = view.get(INTERFACES, key)
    if row is None or view.ask(facts.PLACE, key) is None:
        return
    flows = {flow for group in _groups(view, row) for flow in view.ask(facts.OPEN_FLOWS, group)}
    for direction, protocol, version in flows:
        yield OpenPort(router=row.vpc, port=row.id, direction=direction, protocol=protocol, version=version)


def _groups(view: View, row: NetworkInterface) -> tuple[str, ...]:
    """The interface's groups; one that its VPC may not use has no meaning here."""
    return tuple(sorted(group for group in row.groups if row.vpc in view.ask(facts.GROUP_VPCS, group)))


def task_host(view: View, key: str) -> Iterator[Host]:
    """The network stack of an awsvpc task, from the moment it has an interface until it gives it back."""
    task = view.get(TASKS, key)
    if task is not None and holds_interface(task):
        yield Host(id=task.arn, kind="task")


def balancer_host(view: View, key: str) -> Iterator[Host]:
    """The network stack of a load balancer: one interface per node."""
    if view.get(LOAD_BALANCERS, key) is not None:
        yield Host(id=key, kind="balancer")


def instance_host(view: View, key: str) -> Iterator[Host]:
    """The network stack of an instance that runs or is about to; a stopped one has none."""
    if view.project("stack", holds_stack, INSTANCES, key):
        yield Host(id=key, kind="instance")


FRAGMENTS = (
    FragmentSpec(name="port", table=INTERFACES, run=port),
    FragmentSpec(name="open_ports", table=INTERFACES, run=open_ports),
    FragmentSpec(name="task_host", table=TASKS, run=task_host),
    FragmentSpec(name="balancer_host", table=LOAD_BALANCERS, run=balancer_host),
    FragmentSpec(name="instance_host", table=INSTANCES, run=instance_host),
)
