"""Making one task: its record, its containers, and its place, in the caller's transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import msgspec

from ecsnet.model.base import Tags
from ecsnet.model.capacity import ContainerInstance, PlacementConstraint, PlacementStrategy
from ecsnet.model.ecs import (
    AwsvpcConfiguration,
    Cluster,
    Container,
    Placement,
    StrategyItem,
    Task,
    TaskDefinition,
    TaskStatus,
)
from ecsnet.model.tables import SUBNETS, TASKS
from ecsnet.services.call import Call
from ecsnet.services.ecs import capacity_provider, interfaces, names, placing
from ecsnet.services.ecs.placement import Need, Refusal
from ecsnet.store.snapshot import Reader

PLATFORM_VERSION = "1.4.0"
"""What LATEST means for Linux (Developer Guide, "Fargate platform versions")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What every task of one RunTask call or one deployment has in common."""

    cluster: Cluster
    definition: TaskDefinition
    network: AwsvpcConfiguration | None
    group: str
    launch_type: Literal["FARGATE", "EC2", "EXTERNAL"] = "FARGATE"
    platform_version: str | None = PLATFORM_VERSION
    constraints: tuple[PlacementConstraint, ...] = ()
    """The definition's own included."""
    strategies: tuple[PlacementStrategy, ...] = ()
    service: str | None = None
    deployment: str | None = None
    started_by: str | None = None
    overrides: str = "{}"
    client_token: str | None = None
    execute_command: bool = False
    tags: Tags = ()
    interface_tags: Tags = ()


def launch(call: Call, what: Launch, *, subnet: str, provider: str | None) -> Task:
    """Put a PROVISIONING Fargate task with an interface in `subnet` (or told to stop when EC2 refuses that)."""
    assert what.network is not None
    task = interfaces.attach(call, _record(call, what, provider), what.network, subnet, tags=what.interface_tags)
    return call.tx.put(TASKS, task)


def launch_on(call: Call, what: Launch, instance: ContainerInstance, *, provider: str | None = None) -> Task:
    """Put a task on a container instance that was found to have room for it."""
    task = _record(call, what, provider)
    task = placing.settle(call, task, what.definition, instance, what.network, what.interface_tags)
    return call.tx.put(TASKS, task)


def place(call: Call, what: Launch, *, provider: str | None = None) -> Task | tuple[Refusal, ...]:
    """Find an instance for one task and put it there; else why there is none.

    A task of a capacity provider with managed scaling is put all the same: PROVISIONING, until an instance has room
    for it (Developer Guide, "Amazon ECS capacity providers").
    """
    among = placing.candidates(call.tx, what.cluster.arn, launch_type=what.launch_type, provider=provider)
    found = placing.find(call, need_of(call, what), among, what.constraints, what.strategies)
    if isinstance(found, ContainerInstance):
        return launch_on(call, what, found, provider=provider)
    if provider is not None and capacity_provider.scales(call, provider):
        return _wait(call, what, provider)
    return found


def need_of(call: Call, what: Launch) -> Need:
    return placing.need(call.tx, what.definition, what.network, group=what.group, overrides=what.overrides)


def _wait(call: Call, what: Launch, provider: str) -> Task:
    wanted = Placement(
        awsvpc=what.network,
        constraints=what.constraints,
        strategies=what.strategies,
        interface_tags=what.interface_tags,
    )
    task = msgspec.structs.replace(_record(call, what, provider), wanted=wanted)
    if what.network is not None:
        task = msgspec.structs.replace(task, attachment=call.ids.uuid(), attachment_status="PRECREATED")
    return call.tx.put(TASKS, task)


def place_waiting(call: Call, task: Task, definition: TaskDefinition) -> Task | tuple[Refusal, ...]:
    """A task that waits for an instance, on one if there is room now; else why there is none."""
    wanted = task.wanted
    assert wanted is not None
    need = placing.need(call.tx, definition, wanted.awsvpc, group=task.group, overrides=task.overrides)
    among = placing.candidates(call.tx, task.cluster, launch_type=task.launch_type, provider=task.capacity_provider)
    found = placing.find(call, need, among, wanted.constraints, wanted.strategies)
    if isinstance(found, ContainerInstance):
        return placing.settle(call, task, definition, found, wanted.awsvpc, wanted.interface_tags)
    return found


def _record(call: Call, what: Launch, provider: str | None) -> Task:
    id = call.ids.hex(32)
    cluster = what.cluster.name
    return Task(
        arn=names.arn(call, f"task/{cluster}/{id}"),
        account=call.account,
        region=call.region,
        id=id,
        cluster=what.cluster.arn,
        task_definition=what.definition.arn,
        group=what.group,
        service=what.service,
        deployment=what.deployment,
        launch_type=what.launch_type,
        network_mode=what.definition.network_mode,
        capacity_provider=provider,
        platform_version=what.platform_version,
        last_status=TaskStatus.PROVISIONING,
        desired_status="RUNNING",
        containers=tuple(
            Container(
                arn=names.arn(call, f"container/{cluster}/{id}/{call.ids.uuid()}"), name=one.name, image=one.image
            )
            for one in what.definition.containers
        ),
        overrides=what.overrides,
        started_by=what.started_by,
        client_token=what.client_token,
        execute_command=what.execute_command,
        secret=call.ids.hex(32),
        created=call.now,
        tags=what.tags,
    )


def spread(reader: Reader, subnets: Iterable[str], filled: Counter[str]) -> str:
    """The subnet of the next task: in the zone with the fewest tasks, then the emptiest subnet.

    `filled` counts the tasks that each subnet has. Services spread over Availability Zones by default (Developer Guide,
    "Task placement"); ties keep the order of the configuration.
    """
    homes = {subnet: row.az if (row := reader.get(SUBNETS, subnet)) is not None else "" for subnet in subnets}
    zones: Counter[str] = Counter()
    for subnet, zone in homes.items():
        zones[zone] += filled[subnet]
    return min(homes, key=lambda subnet: (zones[homes[subnet]], filled[subnet]))


def next_provider(strategy: tuple[StrategyItem, ...], taken: Counter[str]) -> str | None:
    """The capacity provider of the next task; None without a strategy (a launch type was given).

    `taken` counts the tasks that each provider has.
    """
    return capacity_provider.choose(strategy, taken) if strategy else None
