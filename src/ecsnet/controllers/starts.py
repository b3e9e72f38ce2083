"""Starting the tasks of a service: over the subnets on Fargate, by placement on container instances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from ecsnet.model.base import Tags
from ecsnet.model.ecs import Deployment, Service, Task
from ecsnet.model.tables import CLUSTERS, CONTAINER_INSTANCES, TASK_DEFINITIONS
from ecsnet.services.call import Call
from ecsnet.services.ecs import events
from ecsnet.services.ecs import ops as ecs_ops


def replicas(call: Call, service: Service, primary: Deployment, count: int, present: Iterable[Task]) -> Service:
    """Start `count` tasks of a deployment, as many as find room. `present` are the service's tasks.

    The service remembers whether one found none, so that it is looked at again when an instance changes.
    """
    what = template(call, service, primary) if count else None
    if what is None:
        return msgspec.structs.replace(service, unplaced=False)
    siblings = [task for task in present if task.deployment == primary.id]
    filled, taken = (
        Counter(task.subnet or "" for task in siblings),
        Counter(task.capacity_provider or "" for task in siblings),
    )
    started = []
    refused: tuple[ecs_ops.Refusal, ...] | None = None
    for _ in range(count):
        provider = ecs_ops.next_provider(primary.capacity_strategy, taken)
        taken[provider or ""] += 1
        if what.launch_type == "FARGATE" and what.network is not None:
            subnet = ecs_ops.spread(call.tx, what.network.subnets, filled)
            filled[subnet] += 1
            started.append(ecs_ops.launch(call, what, subnet=subnet, provider=provider).id)
            continue
        found = ecs_ops.place(call, what, provider=provider)
        if isinstance(found, tuple):
            refused = found
            break
        started.append(found.id)
    return _told(call, service, primary, started, refused)


def daemons(call: Call, service: Service, instances: Sequence[str]) -> Service:
    """Start one task of the PRIMARY deployment on each of the given container instances (ARNs) that has room."""
    what = template(call, service, service.deployments[0]) if instances else None
    if what is None:
        return msgspec.structs.replace(service, unplaced=False)
    started = []
    refused: tuple[ecs_ops.Refusal, ...] | None = None
    need = ecs_ops.need_of(call, what)
    for arn in instances:
        row = call.tx.get(CONTAINER_INSTANCES, arn)
        if row is None:
            continue
        against = ecs_ops.refusal(need, ecs_ops.candidate(call.tx, row), what.constraints)
        if against is None:
            started.append(ecs_ops.launch_on(call, what, row).id)
        else:
            refused = (against,)
    return _told(call, service, service.deployments[0], started, refused)


def _told(
    call: Call,
    service: Service,
    deployment: Deployment,
    started: Sequence[str],
    refused: tuple[ecs_ops.Refusal, ...] | None,
) -> Service:
    if started:
        text = events.started(started)
        service = events.add(call, service, text, deployment=events.task_set(service, deployment.id))
    if refused is not None:
        service = events.warn(call, service, events.unplaceable(refused))
    return msgspec.structs.replace(service, unplaced=refused is not None)


def template(call: Call, service: Service, deployment: Deployment) -> ecs_ops.Launch | None:
    """What every task of a deployment has in common; None while its cluster or definition is gone."""
    cluster = call.tx.get(CLUSTERS, service.cluster)
    definition = call.tx.get(TASK_DEFINITIONS, deployment.task_definition)
    if cluster is None or definition is None:
        return None
    body = msgspec.json.decode(service.body)
    managed: Tags = ()
    if body.get("enableECSManagedTags"):
        managed = ecs_ops.managed_tags(cluster.name, service.name)
    inherited = {"SERVICE": service.tags, "TASK_DEFINITION": definition.tags}.get(body.get("propagateTags", ""), ())
    return ecs_ops.Launch(
        cluster=cluster,
        definition=definition,
        network=deployment.awsvpc,
        group=f"service:{service.name}",
        launch_type=ecs_ops.kind(deployment.launch_type, deployment.capacity_strategy),
        platform_version=deployment.platform_version,
        constraints=deployment.constraints,
        strategies=deployment.strategies or ecs_ops.SERVICE_DEFAULT,
        service=service.arn,
        deployment=deployment.id,
        started_by=deployment.id,
        overrides=ecs_ops.no_overrides(definition),
        execute_command=bool(body.get("enableExecuteCommand")),
        tags=inherited + managed,
        interface_tags=managed,
    )
