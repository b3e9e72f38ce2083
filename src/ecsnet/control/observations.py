"""Writes what the agent saw into the store; nothing else may claim that something is in force.

Interfaces, load balancers and instances count as seen when the host objects that publish them are in force: this
module keeps, per such owner, the published keys that are still awaited. An instance that stops counts as gone when the
agent has taken its network stack down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from ecsnet.controllers import target_health
from ecsnet.controllers.absent import forget_absent
from ecsnet.hostplan.kernel import HostObject
from ecsnet.hostplan.messages import Applied, ContainerSeen, TargetSeen
from ecsnet.model.ec2 import ObservedInstance, ObservedInterface
from ecsnet.model.ecs import ObservedContainer
from ecsnet.model.elbv2 import ObservedLoadBalancer
from ecsnet.model.tables import (
    INSTANCES,
    INTERFACES,
    LOAD_BALANCERS,
    OBSERVED_CONTAINERS,
    OBSERVED_INSTANCES,
    OBSERVED_INTERFACES,
    OBSERVED_LOAD_BALANCERS,
    TASKS,
    container_key,
)
from ecsnet.services.call import Call

OpenCall = Callable[[str, str], AbstractContextManager[Call]]
"""(account, region) → a call in a store transaction of its own."""


class Observations:
    """Turns the agent's messages into observation rows."""

    def __init__(self, open_call: OpenCall, published_by: Callable[[HostObject], tuple[str, str] | None]) -> None:
        self._open = open_call
        self._published_by = published_by
        self._awaited: dict[tuple[str, str], dict[str, int]] = {}
        self._by_key: dict[str, tuple[str, str]] = {}
        self._leaving: dict[str, tuple[str, int]] = {}
        """Instances whose network stack is being taken down, with its key and the revision that says so."""
        self._told: set[str] | None = None
        """Keys of the containers that a newly connected agent has told of; None once it has told all."""

    def connected(self) -> None:
        """An agent has said hello: until its first `Applied` it tells all that it holds."""
        self._told = set()

    def planned(self, revision: int, put: tuple[HostObject, ...], remove: tuple[str, ...]) -> None:
        """The plan changed: await the published keys among the new objects."""
        for item in put:
            owner = self._published_by(item)
            if owner is not None:
                self._awaited.setdefault(owner, {})[item.key] = revision
                self._by_key[item.key] = owner
                self._leaving.pop(owner[1], None)
        for key in remove:
            owner = self._by_key.pop(key, None)
            if owner is not None and owner in self._awaited:
                self._awaited[owner].pop(key, None)
                if not self._awaited[owner]:
                    del self._awaited[owner]
            if owner is not None and owner[0] == "instance":
                self._leaving[owner[1]] = key, revision

    def applied(self, message: Applied, failures: Mapping[str, str]) -> None:
        """Everything up to a revision was attempted: owners whose keys are all in force are seen."""
        if self._told is not None:
            told, self._told = self._told, None
            with self._open("", "") as call:
                forget_absent(call, told)
                planned = {owner for owner in self._by_key.values() if owner[0] == "instance"}
                for seen in list(call.tx.rows(OBSERVED_INSTANCES)):
                    # taken down while nobody listened: the agent has compared itself with the whole plan by now
                    if ("instance", seen.instance) not in planned and seen.instance not in self._leaving:
                        call.tx.delete(OBSERVED_INSTANCES, seen.instance)
        self._gone(message, failures)
        complete = [
            owner
            for owner, keys in self._awaited.items()
            if all(revision <= message.revision and key not in failures for key, revision in keys.items())
        ]
        if not complete:
            return
        with self._open("", "") as call:
            for kind, owner in complete:
                del self._awaited[(kind, owner)]
                if kind == "interface" and call.tx.get(INTERFACES, owner) is not None:
                    call.tx.put(OBSERVED_INTERFACES, ObservedInterface(interface=owner, revision=message.revision))
                elif kind == "instance" and call.tx.get(INSTANCES, owner) is not None:
                    call.tx.put(OBSERVED_INSTANCES, ObservedInstance(instance=owner, revision=message.revision))
                elif kind == "load_balancer" and call.tx.get(LOAD_BALANCERS, owner) is not None:
                    call.tx.put(
                        OBSERVED_LOAD_BALANCERS, ObservedLoadBalancer(load_balancer=owner, revision=message.revision)
                    )

    def _gone(self, message: Applied, failures: Mapping[str, str]) -> None:
        gone = [
            instance
            for instance, (key, revision) in self._leaving.items()
            if revision <= message.revision and key not in failures
        ]
        if not gone:
            return
        with self._open("", "") as call:
            for instance in gone:
                del self._leaving[instance]
                call.tx.delete(OBSERVED_INSTANCES, instance)

    def container(self, message: ContainerSeen) -> None:
        """A container's process was seen. Messages about tasks that are gone are dropped."""
        key = message.key.removeprefix("workload:")
        if self._told is not None:
            self._told.add(key)
        task, _, container = key.rpartition("/")
        with self._open("", "") as call:
            if call.tx.get(TASKS, task) is None:
                return
            before = call.tx.get(OBSERVED_CONTAINERS, container_key(task, container))
            call.tx.put(
                OBSERVED_CONTAINERS,
                ObservedContainer(
                    task=task,
                    container=container,
                    state=message.state,
                    runtime=message.runtime,
                    runtime_id=message.runtime_id,
                    exit_code=message.exit_code,
                    reason=message.reason,
                    health=message.health,
                    restarts=_restarts(before, message),
                    at=message.at,
                ),
            )

    def target(self, message: TargetSeen) -> None:
        """A load balancer's probe of a target changed its result."""
        with self._open("", "") as call:
            target_health.record(
                call,
                message.group,
                message.address,
                message.port,
                message.healthy,
                message.reason,
                message.description,
            )


def _restarts(before: ObservedContainer | None, message: ContainerSeen) -> tuple[tuple[float, int], ...]:
    """What earlier agents counted stays; what this one says again takes the place of what it said before."""
    counted = dict(before.restarts) if before is not None else {}
    if message.restarts:
        counted[message.counted_from] = message.restarts
    return tuple(sorted(counted.items()))
