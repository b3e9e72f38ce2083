"""Which controller must look at which key after a row changed. Work is in proportion to what changed.

Every function takes one change and the snapshots around it and yields (controller name, key). Marking a key too often
is harmless; a missing mark would leave a resource in its state, so each rule names every row that a step reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import cast

from ecsnet.model import autoscaling, ec2, ecs, elbv2
from ecsnet.model.base import scope
from ecsnet.model.capacity import CapacityProvider, ContainerInstance
from ecsnet.model.tables import (
    AUTO_SCALING_GROUPS,
    CAPACITY_PROVIDERS,
    CAPACITY_PROVIDERS_BY_GROUP,
    CAPACITY_PROVIDERS_BY_NAME,
    CONTAINER_INSTANCES,
    CONTAINER_INSTANCES_BY_INSTANCE,
    DAEMON_SERVICES_BY_CLUSTER,
    GROUP_INSTANCES,
    GROUP_INSTANCES_BY_GROUP,
    INSTANCES,
    INTERFACES,
    INTERFACES_BY_ADDRESS,
    LISTENER_RULES,
    LISTENERS,
    LISTENERS_BY_LOAD_BALANCER,
    NAT_GATEWAYS,
    OBSERVED_CONTAINERS,
    OBSERVED_INSTANCES,
    OBSERVED_INTERFACES,
    OBSERVED_LOAD_BALANCERS,
    PEERINGS,
    RULES_BY_LISTENER,
    SERVICES,
    SERVICES_BY_TARGET_GROUP,
    TARGET_GROUPS,
    TARGET_HEALTH,
    TARGETS,
    TARGETS_BY_GROUP,
    TASK_DEFINITIONS,
    TASKS,
    TASKS_BY_CONTAINER_INSTANCE,
    TASKS_BY_INTERFACE,
    UNPLACED_SERVICES_BY_CLUSTER,
    WAITING_TASKS_BY_CLUSTER,
    provider_key,
)
from ecsnet.store.snapshot import Snapshot
from ecsnet.store.store import Change, Commit

Mark = tuple[str, str]
"""(controller name, key)."""

TASK, SERVICE, TARGET, NAT, INTERFACE, DEFINITION = "task", "service", "target", "nat", "interface", "task_definition"
INSTANCE, PEERING, CONTAINER_AGENT = "instance", "vpc_peering", "container_agent"
GROUP, MEMBER, PROVIDER = "auto_scaling_group", "group_instance", "capacity_provider"


def of_commit(commit: Commit) -> Iterator[Mark]:
    """Every mark of one commit."""
    for change in commit.changes:
        rule = _RULES.get(change.table)
        if rule is not None:
            yield from rule(change, commit.after)


def everything(snapshot: Snapshot) -> Iterator[Mark]:
    """What a fresh process must look at once."""
    for task in snapshot.rows(TASKS):
        yield TASK, task.arn
    for service in snapshot.rows(SERVICES):
        yield SERVICE, service.arn
    for gateway in snapshot.rows(NAT_GATEWAYS):
        yield NAT, gateway.id
    for instance in snapshot.rows(INSTANCES):
        yield INSTANCE, instance.id
        yield CONTAINER_AGENT, instance.id
    for group in snapshot.rows(AUTO_SCALING_GROUPS):
        yield GROUP, group.arn
    for member in snapshot.rows(GROUP_INSTANCES):
        yield MEMBER, member.instance
    for provider in snapshot.rows(CAPACITY_PROVIDERS):
        yield PROVIDER, provider.arn
    for peering in snapshot.rows(PEERINGS):
        yield PEERING, peering.id
    for target in snapshot.rows(TARGETS):
        yield TARGET, TARGETS.key(target)
    for seen in snapshot.rows(OBSERVED_INTERFACES):
        yield INTERFACE, seen.interface
    for definition in snapshot.rows(TASK_DEFINITIONS):
        if definition.status == "DELETE_IN_PROGRESS":
            yield DEFINITION, definition.arn


def _either(change: Change) -> object:
    return change.after if change.after is not None else change.before


def _task(change: Change, after: Snapshot) -> Iterator[Mark]:
    task = cast(ecs.Task, _either(change))
    if change.after is not None:
        yield TASK, task.arn
    else:
        yield DEFINITION, task.task_definition
    if task.service is not None:
        yield SERVICE, task.service
    if task.capacity_provider is not None and _waits(change.before) != _waits(change.after):
        yield from _provider_named(task.account, task.region, task.capacity_provider, after)


def _waits(row: object) -> bool:
    task = cast("ecs.Task | None", row)
    return task is not None and task.wanted is not None and task.desired_status == "RUNNING"


def _provider_named(account: str, region: str, name: str, after: Snapshot) -> Iterator[Mark]:
    for provider in after.keys(CAPACITY_PROVIDERS_BY_NAME, provider_key(account, region, name)):
        yield PROVIDER, provider


def _service(change: Change, after: Snapshot) -> Iterator[Mark]:
    service = cast(ecs.Service, _either(change))
    yield SERVICE, service.arn
    for row in (change.before, change.after):
        for deployment in ecs.all_deployments(cast(ecs.Service, row)) if row is not None else ():
            yield DEFINITION, deployment.task_definition


def _definition(change: Change, after: Snapshot) -> Iterator[Mark]:
    yield DEFINITION, change.key


def _container(change: Change, after: Snapshot) -> Iterator[Mark]:
    yield TASK, cast(ecs.ObservedContainer, _either(change)).task


def _interface(change: Change, after: Snapshot) -> Iterator[Mark]:
    if change.after is None:
        yield INTERFACE, change.key
        yield from _owner(change.key, cast(ec2.NetworkInterface, change.before), after)


def _observed_interface(change: Change, after: Snapshot) -> Iterator[Mark]:
    yield INTERFACE, change.key
    yield from _owner(change.key, after.get(INTERFACES, change.key), after)


def _owner(interface: str, eni: ec2.NetworkInterface | None, after: Snapshot) -> Iterator[Mark]:
    for task in after.keys(TASKS_BY_INTERFACE, interface):
        yield TASK, task
    if eni is not None and eni.attachment is not None and eni.attachment.owner_kind == "nat":
        yield NAT, eni.attachment.owner
    if eni is not None and eni.attachment is not None and eni.attachment.owner_kind == "instance":
        yield INSTANCE, eni.attachment.owner
        yield CONTAINER_AGENT, eni.attachment.owner


def _instance(change: Change, after: Snapshot) -> Iterator[Mark]:
    """The instance itself, or what was seen of it; both have its id as their key."""
    yield INSTANCE, change.key
    yield CONTAINER_AGENT, change.key
    yield MEMBER, change.key


def _group(change: Change, after: Snapshot) -> Iterator[Mark]:
    """Its size, or what its instances are measured by; its providers when it may take another capacity."""
    yield GROUP, change.key
    old = cast("autoscaling.AutoScalingGroup | None", change.before)
    new = cast("autoscaling.AutoScalingGroup | None", change.after)
    row = new if new is not None else old
    assert row is not None
    if new is not None and (old is None or _for_members(old) != _for_members(new)):
        for member in after.keys(GROUP_INSTANCES_BY_GROUP, change.key):
            yield MEMBER, member
    if new is not None and (old is None or _for_providers(old) != _for_providers(new)):
        for provider in after.keys(CAPACITY_PROVIDERS_BY_GROUP, f"{scope(row.account, row.region)}/{row.name}"):
            yield PROVIDER, provider


def _for_members(row: autoscaling.AutoScalingGroup) -> tuple[object, ...]:
    return row.health_check_type, row.health_check_grace, row.suspended, row.target_groups, row.deleting


def _for_providers(row: autoscaling.AutoScalingGroup) -> tuple[object, ...]:
    return row.minimum, row.maximum, row.desired, row.source


def _member(change: Change, after: Snapshot) -> Iterator[Mark]:
    yield MEMBER, change.key
    yield GROUP, cast(autoscaling.GroupInstance, _either(change)).group


def _provider(change: Change, after: Snapshot) -> Iterator[Mark]:
    yield PROVIDER, cast(CapacityProvider, _either(change)).arn


def _nat(change: Change, after: Snapshot) -> Iterator[Mark]:
    yield NAT, change.key


def _peering(change: Change, after: Snapshot) -> Iterator[Mark]:
    yield PEERING, change.key


def _target(change: Change, after: Snapshot) -> Iterator[Mark]:
    target = cast(elbv2.Target, _either(change))
    yield TARGET, change.key
    if change.after is None:
        yield MEMBER, target.id
    yield from _services(target.target_group, after)
    yield from _task_at(target.target_group, target.id, after)


def _target_health(change: Change, after: Snapshot) -> Iterator[Mark]:
    health = cast(elbv2.TargetHealth, _either(change))
    yield MEMBER, health.id
    yield from _services(health.target_group, after)


def _task_at(target_group: str, address: str, after: Snapshot) -> Iterator[Mark]:
    """The task whose interface has an address in the VPC of a target group, or the tasks on an instance."""
    group = after.get(TARGET_GROUPS, target_group)
    if group is None:
        return
    if group.target_type == "instance":
        for row in after.keys(CONTAINER_INSTANCES_BY_INSTANCE, address):
            for task in after.keys(TASKS_BY_CONTAINER_INSTANCE, row):
                yield TASK, task
        return
    for eni in after.find(INTERFACES_BY_ADDRESS, f"{group.vpc}/{address}"):
        if eni.attachment is not None and eni.attachment.owner_kind == "task":
            yield TASK, eni.attachment.owner


def _container_instance(change: Change, after: Snapshot) -> Iterator[Mark]:
    """More room wakes what waits for room; another set of instances, the daemons; draining, who runs there."""
    old, new = cast("ContainerInstance | None", change.before), cast("ContainerInstance | None", change.after)
    row = new if new is not None else old
    assert row is not None
    if row.capacity_provider is not None:
        yield from _provider_named(row.account, row.region, row.capacity_provider, after)
        yield MEMBER, row.instance
    if new is not None and (old is None or _has_more_room(old, new)):
        for task in after.keys(WAITING_TASKS_BY_CLUSTER, row.cluster):
            yield TASK, task
        for service in after.keys(UNPLACED_SERVICES_BY_CLUSTER, row.cluster):
            yield SERVICE, service
    if old is None or new is None or _as_a_place(old) != _as_a_place(new):
        for service in after.keys(DAEMON_SERVICES_BY_CLUSTER, row.cluster):
            yield SERVICE, service
    if old is not None and new is not None and old.status != new.status:
        for one in after.find(TASKS_BY_CONTAINER_INSTANCE, row.arn):
            if one.service is not None:
                yield SERVICE, one.service


def _has_more_room(old: ContainerInstance, new: ContainerInstance) -> bool:
    return _as_a_place(old) != _as_a_place(new) or any(
        (
            new.used.cpu < old.used.cpu,
            new.used.memory < old.used.memory,
            new.used.enis < old.used.enis,
            len(new.used.ports) < len(old.used.ports),
            len(new.used.ports_udp) < len(old.used.ports_udp),
            len(new.used.dynamic) < len(old.used.dynamic),
        )
    )


def _as_a_place(one: ContainerInstance) -> tuple[object, ...]:
    """What makes an instance eligible, whatever runs on it."""
    return one.status, one.agent_connected, one.attributes, one.custom_attributes, one.capacity_provider


def _target_group(change: Change, after: Snapshot) -> Iterator[Mark]:
    """Another deregistration delay moves what drains; a vanished group frees the tasks that wait for it."""
    for key in after.keys(TARGETS_BY_GROUP, change.key):
        yield TARGET, key
    yield from _services(change.key, after)


def _listener(change: Change, after: Snapshot) -> Iterator[Mark]:
    for row in (change.before, change.after):
        if row is not None:
            for action in cast(elbv2.Listener, row).default_actions:
                for one in action.forward:
                    yield from _services(one.target_group, after)


def _rule(change: Change, after: Snapshot) -> Iterator[Mark]:
    for row in (change.before, change.after):
        if row is not None:
            for action in cast(elbv2.Rule, row).actions:
                for one in action.forward:
                    yield from _services(one.target_group, after)


def _observed_balancer(change: Change, after: Snapshot) -> Iterator[Mark]:
    for listener in after.find(LISTENERS_BY_LOAD_BALANCER, change.key):
        groups = {one.target_group for action in listener.default_actions for one in action.forward}
        for rule in after.find(RULES_BY_LISTENER, listener.arn):
            groups |= {one.target_group for action in rule.actions for one in action.forward}
        for group in groups:
            yield from _services(group, after)


def _services(target_group: str, after: Snapshot) -> Iterator[Mark]:
    for service in after.keys(SERVICES_BY_TARGET_GROUP, target_group):
        yield SERVICE, service


_RULES: Mapping[str, Callable[[Change, Snapshot], Iterator[Mark]]] = {
    TASKS.name: _task,
    SERVICES.name: _service,
    TASK_DEFINITIONS.name: _definition,
    OBSERVED_CONTAINERS.name: _container,
    CONTAINER_INSTANCES.name: _container_instance,
    INTERFACES.name: _interface,
    OBSERVED_INTERFACES.name: _observed_interface,
    NAT_GATEWAYS.name: _nat,
    PEERINGS.name: _peering,
    AUTO_SCALING_GROUPS.name: _group,
    GROUP_INSTANCES.name: _member,
    CAPACITY_PROVIDERS.name: _provider,
    INSTANCES.name: _instance,
    OBSERVED_INSTANCES.name: _instance,
    TARGETS.name: _target,
    TARGET_HEALTH.name: _target_health,
    TARGET_GROUPS.name: _target_group,
    LISTENERS.name: _listener,
    LISTENER_RULES.name: _rule,
    OBSERVED_LOAD_BALANCERS.name: _observed_balancer,
}
