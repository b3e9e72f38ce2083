"""Placing a task on a container instance: who may take it, what it then holds there, and giving that back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from ecsnet.model.base import Tags
from ecsnet.model.capacity import (
    ContainerInstance,
    NetworkBinding,
    PlacementConstraint,
    PlacementStrategy,
    taken,
    without,
)
from ecsnet.model.ecs import AwsvpcConfiguration, Task, TaskDefinition, TaskStatus
from ecsnet.model.tables import (
    CONTAINER_INSTANCES,
    CONTAINER_INSTANCES_BY_CLUSTER,
    INTERFACES,
    SUBNETS,
    TASKS_BY_CONTAINER_INSTANCE,
    WANTED_TASKS_BY_PLACE,
    place_key,
)
from ecsnet.services.call import Call
from ecsnet.services.ecs import bridge_addresses, host_ports, interfaces, requirements
from ecsnet.services.ecs.placement import PORTS, Candidate, Need, Refusal, choose
from ecsnet.store.snapshot import Reader


def need(
    reader: Reader,
    definition: TaskDefinition,
    network: AwsvpcConfiguration | None,
    *,
    group: str,
    overrides: str = "{}",
) -> Need:
    """What one task of a definition asks of an instance."""
    required = requirements.of(definition, overrides)
    zones = None
    if network is not None:
        rows = (reader.get(SUBNETS, subnet) for subnet in network.subnets)
        zones = frozenset((row.vpc, row.az) for row in rows if row is not None)
    return Need(take=required.take, dynamic=required.dynamic, attributes=required.attributes, group=group, zones=zones)


def candidate(reader: Reader, instance: ContainerInstance) -> Candidate:
    return Candidate(
        instance=instance,
        count=lambda group: len(reader.keys(WANTED_TASKS_BY_PLACE, place_key(instance.arn, group))),
        running=len(reader.keys(TASKS_BY_CONTAINER_INSTANCE, instance.arn)),
    )


def candidates(reader: Reader, cluster: str, *, launch_type: str, provider: str | None = None) -> list[Candidate]:
    """The ACTIVE instances of a cluster (an ARN) of a launch type, or of one capacity provider."""
    return [
        candidate(reader, one)
        for one in reader.find(CONTAINER_INSTANCES_BY_CLUSTER, cluster)
        if one.status == "ACTIVE"
        and one.external == (launch_type == "EXTERNAL")
        and provider in (None, one.capacity_provider)
    ]


def find(
    call: Call,
    what: Need,
    among: Sequence[Candidate],
    constraints: Sequence[PlacementConstraint],
    strategies: Sequence[PlacementStrategy],
) -> ContainerInstance | tuple[Refusal, ...]:
    """The instance for one task, or why none will do, the closest first."""
    return choose(what, among, constraints, strategies, seed=int(call.ids.hex(4), 16))


def settle(
    call: Call,
    task: Task,
    definition: TaskDefinition,
    instance: ContainerInstance,
    network: AwsvpcConfiguration | None,
    interface_tags: Tags = (),
) -> Task:
    """The task on its instance: resources taken, host ports bound, its interface made. The instance row is written.

    A task in another mode than awsvpc is PENDING from here on: only its processes are waited for. An instance that has
    no free host ports left makes the task stop with RESOURCE:PORTS, as one whose interface is refused.
    """
    take = requirements.of(definition, task.overrides).take
    try:
        instance, bindings = host_ports.bind(instance, definition)
        instance, addresses = bridge_addresses.give(instance, definition)
    except host_ports.NoPortsError:
        return interfaces.failed(call, task, f"TaskFailedToStart: {PORTS}")
    except bridge_addresses.NoAddressError:
        return interfaces.failed(call, task, "CannotStartContainerError: no available IPv4 addresses on this network")
    found = host_ports.dynamic_ports(bindings, {*take.ports, *take.ports_udp})
    take = msgspec.structs.replace(take, dynamic=found, addresses=tuple(sorted(address for _, address in addresses)))
    call.tx.put(CONTAINER_INSTANCES, _moved(taken(instance, take)))
    task = msgspec.structs.replace(
        task,
        container_instance=instance.arn,
        instance=instance.instance,
        az=instance.az,
        reserved=take,
        bindings=bindings,
        addresses=addresses,
        wanted=None,
    )
    if network is None:
        return msgspec.structs.replace(task, last_status=TaskStatus.PENDING, connected=call.now)
    subnet = _subnet(call, network, instance)
    index = _device_index(call, instance)
    branch = instance.trunking
    return interfaces.attach(
        call, task, network, subnet, tags=interface_tags, device_index=index, kind="branch" if branch else "interface"
    )


def _moved(instance: ContainerInstance) -> ContainerInstance:
    return msgspec.structs.replace(instance, version=instance.version + 1)


def _subnet(call: Call, network: AwsvpcConfiguration, instance: ContainerInstance) -> str:
    """A subnet of the configuration in the instance's zone."""
    for subnet in network.subnets:
        row = call.tx.get(SUBNETS, subnet)
        if row is not None and (row.vpc, row.az) == (instance.vpc, instance.az):
            return subnet
    return network.subnets[0]


def _device_index(call: Call, instance: ContainerInstance) -> int:
    """The lowest one that no other task's interface on the instance has; 0 is the instance's own."""
    used = {
        eni.attachment.device_index
        for task in call.tx.find(TASKS_BY_CONTAINER_INSTANCE, instance.arn)
        if task.interface is not None
        and (eni := call.tx.get(INTERFACES, task.interface)) is not None
        and eni.attachment is not None
    }
    return next(index for index in range(1, len(used) + 2) if index not in used)


def release(call: Call, task: Task) -> None:
    """Give back what a task, which becomes STOPPED, held on its instance."""
    row = call.tx.get(CONTAINER_INSTANCES, task.container_instance) if task.container_instance else None
    if row is not None:
        call.tx.put(CONTAINER_INSTANCES, _moved(msgspec.structs.replace(row, used=without(row.used, task.reserved))))


def failures(refused: Iterable[Refusal]) -> list[dict[str, str]]:
    """RunTask's and StartTask's failures: one for each instance that was looked at (API type Failure)."""
    return [{"arn": one.instance.arn, "reason": one.reason} for one in refused]


def host_port(bindings: Iterable[NetworkBinding], container: str, port: int) -> int | None:
    """The host port that leads to a container's port."""
    for one in bindings:
        if one.container == container and one.container_port <= port < one.container_port + one.length:
            return one.host_port + port - one.container_port
    return None
