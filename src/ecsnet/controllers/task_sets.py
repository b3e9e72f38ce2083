"""The scheduler of a service whose deployments somebody else controls: each task set is kept at its own number.

Developer Guide, "Third-party deployments": the external controller makes task sets and scales them; ECS starts, stops
and replaces their tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ecsnet.controllers import keeping, members, starts
from ecsnet.controllers.rollout import decide
from ecsnet.model.ecs import Service, Task, TaskSet
from ecsnet.model.tables import SERVICES, UNSTOPPED_TASKS_BY_SERVICE
from ecsnet.services.call import Call
from ecsnet.services.ecs import events
from ecsnet.services.ecs import ops as ecs_ops


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    service: Service
    steady: bool
    unplaced: bool
    due: float | None


def keep(call: Call, service: Service) -> float | None:
    """Bring every task set closer to its computed desired count; answers when to look again."""
    tasks = {task.arn: task for task in call.tx.find(UNSTOPPED_TASKS_BY_SERVICE, service.arn)}
    dues: list[float] = []
    unplaced = False
    for one in service.task_sets:
        own = {arn: task for arn, task in tasks.items() if task.deployment == one.deployment.id}
        if one.status == "DRAINING" and not own:
            service = ecs_ops.without_task_set(service, one)
            continue
        kept = _keep(call, service, one, own)
        service = ecs_ops.with_task_set(kept.service, _judged(call, one, steady=kept.steady))
        unplaced = unplaced or kept.unplaced
        if kept.due is not None:
            dues.append(kept.due)
    at_rest = all(one.steady for one in service.task_sets)
    if at_rest and service.task_sets and not service.steady:
        service = events.add(call, service, events.STEADY)
    call.tx.put(SERVICES, msgspec.structs.replace(service, steady=at_rest, unplaced=unplaced))
    return min(dues, default=None)


def _keep(call: Call, service: Service, which: TaskSet, tasks: dict[str, Task]) -> _Kept:
    id, desired = which.deployment.id, which.deployment.desired
    wanted = [task for task in tasks.values() if task.desired_status == "RUNNING"]
    seen = [members.look(call, service, task, primary=id) for task in wanted]
    for one in seen:
        if one.failure is not None and one.failure.event is not None:
            service = events.warn(call, service, one.failure.event)
    decision = decide(desired, service.minimum_healthy_percent, service.maximum_percent, [one.member for one in seen])
    service = keeping.stop_all(call, service, id, decision.stop, seen, tasks)
    start, retry = keeping.allowed(call, service, which.deployment, decision.start, wanted)
    if retry is not None:
        service = events.warn(call, service, events.IMPAIRED)
    service = starts.replicas(call, service, which.deployment, start, wanted)
    dues = [one.due for one in seen if one.due is not None] + ([retry] if retry is not None else [])
    steady = not decision.stop and not decision.start and _at_rest(which, seen)
    return _Kept(service=service, steady=steady, unplaced=service.unplaced, due=min(dues, default=None))


def _at_rest(which: TaskSet, seen: Sequence[members.Seen]) -> bool:
    """stabilityStatus STEADY_STATE: exactly the computed count runs, none of it drains or fails its checks, and the
    load balancer finds them healthy (ECS API, TaskSet)."""
    found = [one.member for one in seen]
    if len(found) != which.deployment.desired:
        return False
    balanced = bool(which.deployment.load_balancers)
    return all(one.primary and one.running and not one.failing and (one.healthy or not balanced) for one in found)


def _judged(call: Call, which: TaskSet, *, steady: bool) -> TaskSet:
    if which.steady == steady:
        return which
    return msgspec.structs.replace(which, steady=steady, steady_since=call.now)
