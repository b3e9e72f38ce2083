"""What a task of a definition takes of a container instance (Developer Guide, "Task placement" and "Task size")."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ecsnet.model.capacity import Reservation
from ecsnet.model.ecs import TaskDefinition
from ecsnet.services.ecs import sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    take: Reservation
    dynamic: int
    """Host ports to be found in bridge mode."""
    attributes: tuple[tuple[str, str | None], ...]


@functools.lru_cache(maxsize=1024)
def of(definition: TaskDefinition, overrides: str = "{}") -> Requirements:
    """`overrides` is the JSON text of the TaskOverride."""
    body: Mapping[str, Any] = msgspec.json.decode(definition.body)
    given: Mapping[str, Any] = msgspec.json.decode(overrides)
    by_name = {one["name"]: one for one in given.get("containerOverrides", ())}
    containers = [{**one, **by_name.get(one["name"], {})} for one in body["containerDefinitions"]]
    cpu, memory = given.get("cpu") or body.get("cpu"), given.get("memory") or body.get("memory")
    ports, ports_udp, dynamic = _ports(definition)
    return Requirements(
        take=Reservation(
            cpu=sizes.cpu_units(cpu) if cpu else sum(one.get("cpu") or 0 for one in containers),
            memory=sizes.memory_mib(memory) if memory else sum(_memory(one) for one in containers),
            ports=ports,
            ports_udp=ports_udp,
            enis=1 if definition.network_mode == "awsvpc" else 0,
        ),
        dynamic=dynamic,
        attributes=tuple((one["name"], one.get("value")) for one in body["requiresAttributes"]),
    )


def _memory(container: Mapping[str, Any]) -> int:
    """The soft limit counts when there is one (API ContainerDefinition, `memoryReservation`)."""
    return int(container.get("memoryReservation") or container.get("memory") or 0)


def _ports(definition: TaskDefinition) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    if definition.network_mode not in ("bridge", "host"):
        return (), (), 0
    static: dict[str, set[int]] = {"tcp": set(), "udp": set()}
    dynamic = 0
    for container in definition.containers:
        for mapping in container.ports:
            if mapping.host_port:
                static[mapping.protocol].add(mapping.host_port)
            else:
                dynamic += mapping.length
    return tuple(sorted(static["tcp"])), tuple(sorted(static["udp"])), dynamic
