"""Addresses of the containers of bridge tasks: as docker does it, upwards from the last one given out, wrapping."""

from __future__ import annotations

from ipaddress import IPv4Address

import msgspec

from ecsnet.model.capacity import BRIDGE_GATEWAY, BRIDGE_NETWORK, ContainerInstance
from ecsnet.model.ecs import TaskDefinition

_FIRST, _LAST = int(BRIDGE_GATEWAY) + 1, int(BRIDGE_NETWORK.broadcast_address) - 1


class NoAddressError(Exception):
    """Every address of the instance's bridge network is taken."""


def give(
    instance: ContainerInstance, definition: TaskDefinition
) -> tuple[ContainerInstance, tuple[tuple[str, IPv4Address], ...]]:
    """An address for each container of a new task on an instance, and the instance with its place moved on.

    Raises NoAddressError. The addresses are counted by whoever places the task.
    """
    if definition.network_mode != "bridge":
        return instance, ()
    taken = {int(address) for address in instance.used.addresses}
    if len(taken) + len(definition.containers) > _LAST - _FIRST + 1:
        raise NoAddressError
    last = int(instance.last_address)
    given = []
    for container in definition.containers:
        while (last := last + 1 if last < _LAST else _FIRST) in taken:
            pass
        given.append((container.name, IPv4Address(last)))
        taken.add(last)
    return msgspec.structs.replace(instance, last_address=IPv4Address(last)), tuple(given)
