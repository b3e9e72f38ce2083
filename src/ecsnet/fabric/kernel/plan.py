"""Keeps the host plan equal to the logical objects, one owner per host object."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ecsnet.fabric.kernel import naming
from ecsnet.fabric.kernel.lower import lower
from ecsnet.hostplan.balancer import EnvoyResource
from ecsnet.hostplan.kernel import HostObject, Namespace, NftElement
from ecsnet.logical.base import Delta, LogicalObject


def published_by(item: HostObject) -> tuple[str, str] | None:
    """Whose completion a host object is part of: ("interface", "load_balancer" or "instance", AWS id), or None.

    An interface is complete when its element of `sgs` is in force (`naming.published_key`); a load balancer when its
    namespace and all its listeners are; an instance when its namespace is.
    """
    match item:
        case NftElement(publish=True, owner=interface):
            return "interface", interface
        case Namespace(name=name, owner=balancer) if naming.is_load_balancer(name):
            return "load_balancer", balancer
        case Namespace(name=name, owner=instance) if naming.is_instance(name):
            return "instance", instance
        case EnvoyResource(kind="listener", owner=balancer):
            return "load_balancer", balancer
        case _:
            return None


class OwnershipError(Exception):
    """Two logical objects claim one host object: a fault in compile or in a lowering."""


class Planner:
    """Holds which host objects every logical object has made. Not thread-safe."""

    def __init__(self, lowering: Callable[[LogicalObject], Iterable[HostObject]] = lower) -> None:
        self._lower = lowering
        self._keys: dict[LogicalObject, tuple[str, ...]] = {}
        self._objects: dict[str, HostObject] = {}

    def apply(self, delta: Delta) -> tuple[tuple[HostObject, ...], tuple[str, ...]]:
        """Follow a logical delta: the host objects to make or replace, and the keys to remove.

        An object that is the same before and after is in neither, whichever logical object owns it now. Raises
        OwnershipError when a host object would have two owners; the planner must not be used any further then.
        """
        before: dict[str, HostObject] = {}
        for item in delta.removed:
            for key in self._keys.pop(item):
                before[key] = self._objects.pop(key)
        put: list[HostObject] = []
        for item in delta.added:
            made = tuple(self._lower(item))
            for host in made:
                if host.key in self._objects:
                    raise OwnershipError(f"{host.key} is claimed twice, now by {item}")
                self._objects[host.key] = host
                if before.pop(host.key, None) != host:
                    put.append(host)
            self._keys[item] = tuple(host.key for host in made)
        return tuple(put), tuple(before)

    def all(self) -> tuple[HostObject, ...]:
        """The whole plan."""
        return tuple(self._objects.values())
