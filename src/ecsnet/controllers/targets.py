"""Load balancer targets of a service's tasks: registered when RUNNING, drained while DEACTIVATING."""

from __future__ import annotations

import msgspec

from ecsnet.model.ecs import Registration, Service, ServiceLoadBalancer, Task, all_deployments
from ecsnet.model.tables import SERVICES, TARGET_GROUPS, TARGETS, target_key
from ecsnet.services.call import AwsError, Call
from ecsnet.services.ecs import events
from ecsnet.services.ecs import ops as ecs_ops
from ecsnet.services.elbv2 import ops as elbv2_ops
from ecsnet.store.snapshot import Reader


def register(call: Call, task: Task) -> Task:
    """Register the task's address in every target group of its deployment."""
    service = _service(call, task)
    deployments = all_deployments(service) if service else ()
    deployment = next((one for one in deployments if one.id == task.deployment), None)
    if service is None or deployment is None:
        return task
    done = []
    for balancer in deployment.load_balancers:
        id, port = _address(task, balancer)
        try:
            elbv2_ops.register_target(call, balancer.target_group, id, port, task.az)
        except AwsError as error:
            service = events.add(call, service, events.not_registered(balancer.target_group, error.message))
            continue
        done.append(Registration(target_group=balancer.target_group, id=id, port=port))
        service = events.add(call, service, events.registered(balancer.target_group))
    return msgspec.structs.replace(task, registrations=tuple(done))


def _address(task: Task, balancer: ServiceLoadBalancer) -> tuple[str, int]:
    """Target id and port: the task's own address, or its instance with the host port that leads to the container."""
    if task.network_mode == "awsvpc":
        return str(task.private_ip), balancer.port
    port = ecs_ops.host_port(task.bindings, balancer.container, balancer.port)
    return task.instance or "", port if port is not None else balancer.port


def deregister(call: Call, task: Task) -> Task:
    """Begin to drain every target that the task was registered as."""
    service = _service(call, task)
    drained = False
    for one in task.registrations:
        if call.tx.get(TARGET_GROUPS, one.target_group) is None:
            continue
        elbv2_ops.deregister_target(call, one.target_group, one.id, one.port)
        drained = True
        if service is not None:
            service = events.add(call, service, events.deregistered(one.target_group))
    if drained and service is not None:
        events.add(call, service, events.draining(1), deployment=task.deployment)
    return task


def draining(reader: Reader, task: Task) -> bool:
    """Whether a target of the task still drains (its deregistration delay is not over)."""
    rows = (reader.get(TARGETS, target_key(one.target_group, one.id, one.port)) for one in task.registrations)
    return any(row is not None and row.draining_since is not None for row in rows)


def step(call: Call, key: str) -> float | None:
    """Forget one draining target (a key of TARGETS) when its deregistration delay is over."""
    due = elbv2_ops.draining_due(call.tx, key, speed=call.settings.speed)
    if due is None or call.now < due:
        return due
    elbv2_ops.finish_draining(call, key)
    return None


def _service(call: Call, task: Task) -> Service | None:
    return call.tx.get(SERVICES, task.service) if task.service is not None else None
