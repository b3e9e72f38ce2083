"""Bridge and none tasks → a network stack for each of their containers, and their mapped ports; EXTERNAL instances.

Source: Amazon ECS Developer Guide, "Amazon ECS task networking options for EC2" (bridge: docker's default bridge on
each instance; none: only the loopback); "Amazon ECS clusters for external instances"; ECS API, PortMapping.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from ecsnet.compile.view import FragmentSpec, Query, View
from ecsnet.logical.containers import ContainerNetwork, ContainerPlug, ContainerStack, PublishedPorts
from ecsnet.logical.network import ExternalMachine, Host
from ecsnet.model.capacity import BRIDGE_GATEWAY, BRIDGE_NETWORK, ContainerInstance
from ecsnet.model.ec2 import holds_stack
from ecsnet.model.ecs import Task, container_id, holds_stacks
from ecsnet.model.tables import CONTAINER_INSTANCES, CONTAINER_INSTANCES_BY_INSTANCE, INSTANCES, TASKS


def _external_address(row: ContainerInstance) -> IPv4Address | None:
    return row.address if row.status != "INACTIVE" else None


def _find_external_address(view: View, instance: str) -> IPv4Address | None:
    for key in sorted(view.keys(CONTAINER_INSTANCES_BY_INSTANCE, instance)):
        found = view.project("external_address", _external_address, CONTAINER_INSTANCES, key)
        if found is not None:
            return found
    return None


EXTERNAL_ADDRESS = Query(name="external_address", run=_find_external_address)
"""The address of an EXTERNAL instance; None for those of EC2, and once it was deregistered."""


def _find_machine(view: View, instance: str) -> bool:
    if view.ask(EXTERNAL_ADDRESS, instance) is not None:
        return True
    return view.exists(CONTAINER_INSTANCES_BY_INSTANCE, instance) and bool(
        view.project("stack", holds_stack, INSTANCES, instance)
    )


IS_MACHINE = Query(name="is_machine", run=_find_machine)
"""Whether an instance has a network stack and is known to a cluster, so that it may run containers."""


def network(view: View, instance: str) -> Iterator[ContainerNetwork]:
    if view.ask(IS_MACHINE, instance):
        yield ContainerNetwork(machine=instance, network=BRIDGE_NETWORK, gateway=BRIDGE_GATEWAY)


def external(view: View, arn: str) -> Iterator[Host | ExternalMachine | ContainerNetwork]:
    """An EXTERNAL instance is there as long as it is registered."""
    machine = view.project("instance", lambda row: row.instance, CONTAINER_INSTANCES, arn)
    address = view.project("external_address", _external_address, CONTAINER_INSTANCES, arn)
    if machine is None or address is None:
        return
    yield Host(id=machine, kind="instance")
    yield ExternalMachine(id=machine, address=address)
    yield from network(view, machine)


def stacks(view: View, arn: str) -> Iterator[ContainerStack | PublishedPorts]:
    task = view.get(TASKS, arn)
    if task is None or not holds_stacks(task) or not task.instance or not view.ask(IS_MACHINE, task.instance):
        return
    addresses = dict(task.addresses)
    for container in task.containers:
        address = addresses.get(container.name)
        yield ContainerStack(
            id=container_id(task.arn, container.name), owner=task.arn, plug=_plug(task.instance, address)
        )
        if address is not None:
            yield from published(task, container.name, address)


def _plug(machine: str, address: IPv4Address | None) -> ContainerPlug | None:
    if address is None:
        return None
    return ContainerPlug(machine=machine, address=address, network=BRIDGE_NETWORK, gateway=BRIDGE_GATEWAY)


def published(task: Task, container: str, address: IPv4Address) -> Iterator[PublishedPorts]:
    """The ports of the task's instance that lead to a container."""
    for one in task.bindings:
        if one.container == container and task.instance is not None:
            yield PublishedPorts(
                machine=task.instance,
                protocol=one.protocol,
                port=one.host_port,
                length=one.length,
                address=address,
                target=one.container_port,
            )


FRAGMENTS = (
    FragmentSpec(name="container_network", table=INSTANCES, run=network),
    FragmentSpec(name="external_machine", table=CONTAINER_INSTANCES, run=external),
    FragmentSpec(name="container_stacks", table=TASKS, run=stacks),
)
