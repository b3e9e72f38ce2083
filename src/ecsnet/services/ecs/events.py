"""Service events, worded as ECS words them (Developer Guide, "Amazon ECS service event messages")."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ecsnet.model.ecs import Service, ServiceEvent
from ecsnet.model.tables import SERVICES
from ecsnet.services.call import Call
from ecsnet.services.ecs import placement
from ecsnet.services.ecs.placement import Refusal

_KEPT = 100

NO_INSTANCES = (
    "was unable to place a task because no container instance met all of its requirements. Reason: No Container "
    "Instances were found in your cluster. For more information, see the Troubleshooting section of the Amazon ECS "
    "Developer Guide."
)
STEADY = "has reached a steady state."
IMPAIRED = "is unable to consistently start tasks successfully."
FAILED = "deployment failed: tasks failed to start."
BLOCKED = (
    "was unable to stop or start tasks during a deployment because of the service deployment configuration. Update the "
    "minimumHealthyPercent or maximumPercent value and try again."
)


QUIET = 6 * 3600.0
"""Seconds for which a repeated warning is not repeated ("duplicates are suppressed for six hours")."""


def add(call: Call, service: Service, text: str, *, deployment: str | None = None) -> Service:
    """Put `(service <name>) <text>` in front of the service's events.

    `deployment` names a task set in the parentheses, as the draining event does.
    """
    who = f"(service {service.name}, taskSet {deployment})" if deployment else f"(service {service.name})"
    message = f"{who} {text}"
    event = ServiceEvent(id=call.ids.uuid(), at=call.now, message=message)
    return call.tx.put(SERVICES, msgspec.structs.replace(service, events=(event, *service.events)[:_KEPT]))


def task_set(service: Service, deployment: str) -> str | None:
    """What the events about a deployment name beside the service: its task set, with a controller of the user's own."""
    return deployment if service.controller == "EXTERNAL" else None


def unplaceable(refused: Sequence[Refusal]) -> str:
    """Why no instance took a task; the closest one is named. Without any instance, `NO_INSTANCES`."""
    if not refused:
        return NO_INSTANCES
    closest = refused[0]
    return (
        "was unable to place a task because no container instance met all of its requirements. The closest matching "
        f"(container-instance {closest.instance.id}) {_lacks(closest.reason)} For more information, see the "
        "Troubleshooting section of the Amazon ECS Developer Guide."
    )


def _lacks(reason: str) -> str:
    match reason:
        case placement.CPU:
            return "has insufficient CPU units available."
        case placement.MEMORY:
            return "has insufficient memory available."
        case placement.PORTS:
            return "is already using a port required by your task."
        case placement.ATTRIBUTE:
            return "is missing an attribute required by your task."
        case _:
            return f'encountered error "{reason}".'


def started(tasks: Sequence[str]) -> str:
    return f"has started {len(tasks)} tasks: {_listed(tasks)}."


def stopped(tasks: Sequence[str]) -> str:
    return f"has stopped {len(tasks)} running tasks: {_listed(tasks)}."


def _listed(tasks: Sequence[str]) -> str:
    return " ".join(f"(task {task})" for task in tasks)


def registered(target_group: str) -> str:
    return f"registered 1 targets in (target-group {target_group})"


def deregistered(target_group: str) -> str:
    return f"deregistered 1 targets in (target-group {target_group})"


def not_registered(target_group: str, error: str) -> str:
    return f"failed to register targets in (target-group {target_group}) with (error {error})"


def draining(count: int) -> str:
    return f"has begun draining connections on {count} tasks."


def unhealthy(task: str, port: int, target_group: str, description: str) -> str:
    return f"(task {task}) (port {port}) is unhealthy in (target-group {target_group}) due to (reason {description})"


def completed(deployment: str) -> str:
    return f"(deployment {deployment}) deployment completed."


def warn(call: Call, service: Service, text: str) -> Service:
    """`add`, unless the same was said within `QUIET`."""
    since = call.now - QUIET / call.settings.speed
    message = f"(service {service.name}) {text}"
    if any(event.at > since and event.message == message for event in service.events):
        return service
    return add(call, service, text)
