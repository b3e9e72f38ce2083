"""Managed scaling: a capacity provider sets the desired capacity of its Auto Scaling group.

ECS keeps the metric CapacityProviderReservation = M / N × 100 near the target, where N is the number of instances and M
how many are needed: those that run tasks, and those that the waiting tasks would fill (Developer Guide, "Amazon ECS
cluster auto scaling"). Here M is computed at once when something changes instead of once a minute. It scales in when
there was too much for fifteen minutes, as AWS's alarm does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from ecsnet.model.autoscaling import AutoScalingGroup
from ecsnet.model.capacity import CapacityProvider, ManagedScaling
from ecsnet.model.tables import (
    AUTO_SCALING_GROUPS,
    CAPACITY_PROVIDERS,
    CONTAINER_INSTANCES_BY_PROVIDER,
    TASK_DEFINITIONS,
    TASKS_BY_CONTAINER_INSTANCE,
    WAITING_TASKS_BY_PROVIDER,
    provider_key,
)
from ecsnet.services.autoscaling import ops as autoscaling_ops
from ecsnet.services.call import AwsError, Call
from ecsnet.services.ec2 import ops as ec2_ops
from ecsnet.services.ecs import ops as ecs_ops

_SCALE_IN_AFTER = 15 * 60.0
"""Seconds: fifteen data points of a minute below the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one task asks of an instance, or what an instance has: CPU units, MiB, task interfaces."""

    cpu: int
    memory: int
    interfaces: int


def step(call: Call, key: str) -> float | None:
    """Set the desired capacity of one provider's group; answers when a scale-in is due."""
    provider = call.tx.get(CAPACITY_PROVIDERS, key)
    if provider is None or not provider.scaling.enabled:
        return None
    group = autoscaling_ops.find_group(call, provider.group)
    if group is None or group.deleting:
        return None
    needed = _needed(call, provider, group)
    wanted = min(group.maximum, max(group.minimum, target(needed, provider.scaling)))
    if wanted >= group.desired:
        if provider.spare_since is not None:
            call.tx.put(CAPACITY_PROVIDERS, msgspec.structs.replace(provider, spare_since=None))
        if wanted > group.desired:
            _set(call, group, outward(group.desired, wanted, group.maximum, provider.scaling))
        return None
    if provider.spare_since is None:
        provider = call.tx.put(CAPACITY_PROVIDERS, msgspec.structs.replace(provider, spare_since=call.now))
    assert provider.spare_since is not None
    due = provider.spare_since + _SCALE_IN_AFTER / call.settings.speed
    if call.now < due:
        return due
    call.tx.put(CAPACITY_PROVIDERS, msgspec.structs.replace(provider, spare_since=None))
    _set(call, group, wanted)
    return None


def target(needed: int, scaling: ManagedScaling) -> int:
    """N for which M / N × 100 is at most the target capacity."""
    return math.ceil(needed * 100 / scaling.target_capacity)


def outward(desired: int, wanted: int, maximum: int, scaling: ManagedScaling) -> int:
    """The next desired capacity on the way to `wanted`: within the step sizes, and never above the maximum."""
    return min(maximum, max(desired + scaling.minimum_step, min(wanted, desired + scaling.maximum_step)))


def bins(tasks: Iterable[Load], room: Load) -> int:
    """How many empty instances the tasks fill, the largest first, each where it first fits.

    A task that fits on no empty instance asks for none: more instances would not help it.
    """
    left: list[Load] = []
    for task in sorted(tasks, key=lambda one: (one.cpu, one.memory), reverse=True):
        if not _fits(task, room):
            continue
        number = next((index for index, bin_ in enumerate(left) if _fits(task, bin_)), None)
        if number is None:
            number = len(left)
            left.append(room)
        bin_ = left[number]
        left[number] = Load(
            cpu=bin_.cpu - task.cpu, memory=bin_.memory - task.memory, interfaces=bin_.interfaces - task.interfaces
        )
    return len(left)


def _fits(task: Load, room: Load) -> bool:
    return task.cpu <= room.cpu and task.memory <= room.memory and task.interfaces <= room.interfaces


def _needed(call: Call, provider: CapacityProvider, group: AutoScalingGroup) -> int:
    """M. When it is unknown what an instance would have, one more is asked for: the group then tells why it cannot."""
    key = provider_key(provider.account, provider.region, provider.name)
    busy = sum(
        1
        for row in call.tx.find(CONTAINER_INSTANCES_BY_PROVIDER, key)
        if call.tx.keys(TASKS_BY_CONTAINER_INSTANCE, row.arn)
    )
    waiting = _waiting(call, key)
    if not waiting:
        return busy
    room = _room(call, group)
    return busy + (1 if room is None else bins(waiting, room))


def _waiting(call: Call, key: str) -> Sequence[Load]:
    found = []
    for task in call.tx.find(WAITING_TASKS_BY_PROVIDER, key):
        definition = call.tx.get(TASK_DEFINITIONS, task.task_definition)
        if definition is None or task.wanted is None:
            continue
        take = ecs_ops.need(call.tx, definition, task.wanted.awsvpc, group=task.group, overrides=task.overrides).take
        found.append(Load(cpu=take.cpu, memory=take.memory, interfaces=take.enis))
    return found


def _room(call: Call, group: AutoScalingGroup) -> Load | None:
    """What an empty instance of the group would offer."""
    try:
        kind = ec2_ops.instance_type(autoscaling_ops.instance_type_of(call, group))
    except AwsError:
        return None
    interfaces = ecs_ops.most_task_interfaces(call, kind.name, kind.interfaces)
    return Load(cpu=kind.vcpus * 1024, memory=kind.memory, interfaces=interfaces)


def _set(call: Call, group: AutoScalingGroup, desired: int) -> None:
    call.tx.put(AUTO_SCALING_GROUPS, msgspec.structs.replace(group, desired=desired))
