"""Host ports of bridge and host mode: which port of an instance leads to which port of a container.

Where the definition leaves the host port open, one is found as the container agent does it: upwards from the last one
given out, wrapping at the end of the range, the first run that is free (ECS API, PortMapping.hostPort and
containerPortRange). A port number is given out once, whatever the protocol.
"""

from __future__ import annotations

from collections.abc import Set

import msgspec

from ecsnet.model.capacity import ContainerInstance, NetworkBinding
from ecsnet.model.ecs import TaskDefinition


class NoPortsError(Exception):
    """The instance has no free run of ports that is long enough."""


def bind(
    instance: ContainerInstance, definition: TaskDefinition
) -> tuple[ContainerInstance, tuple[NetworkBinding, ...]]:
    """The bindings of a new task on an instance, and the instance with its place in the range moved on.

    Raises NoPortsError. The ports themselves are counted by whoever places the task.
    """
    if definition.network_mode not in ("bridge", "host"):
        return instance, ()
    busy = {
        *instance.used.dynamic,
        *instance.used.ports,
        *instance.used.ports_udp,
        *instance.reserved_ports,
        *instance.reserved_ports_udp,
        *(mapping.host_port for container in definition.containers for mapping in container.ports),
    }
    last = instance.last_dynamic_port
    bindings = []
    for container in definition.containers:
        for mapping in container.ports:
            port = mapping.host_port
            if not port:
                port = _free_run(instance.dynamic_ports, busy, last + 1, mapping.length)
                last = port + mapping.length - 1
                busy.update(range(port, port + mapping.length))
            bindings.append(
                NetworkBinding(
                    container=container.name,
                    container_port=mapping.container_port,
                    host_port=port,
                    protocol=mapping.protocol,
                    length=mapping.length,
                    ranged=mapping.ranged,
                )
            )
    return msgspec.structs.replace(instance, last_dynamic_port=last), tuple(bindings)


def dynamic_ports(bindings: tuple[NetworkBinding, ...], static: Set[int]) -> tuple[int, ...]:
    """The ports of the bindings that were found here, sorted. `static` are those of the definition."""
    return tuple(
        sorted(
            port for one in bindings for port in range(one.host_port, one.host_port + one.length) if port not in static
        )
    )


def _free_run(ports: tuple[int, int], busy: Set[int], start: int, length: int) -> int:
    first, end = ports[0], ports[1] + 1
    if not first <= start < end:
        start = first
    for low, high in ((start, end), (first, min(start + length, end))):
        run = low
        for port in range(low, high):
            if port in busy:
                run = port + 1
            elif port - run + 1 == length:
                return run
    raise NoPortsError
