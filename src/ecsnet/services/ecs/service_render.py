"""Services as DescribeServices answers them (API types Service and Deployment)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ecsnet.model.ecs import (
    Deployment,
    Service,
    ServiceLoadBalancer,
    StrategyItem,
    Task,
    TaskSet,
    TaskStatus,
    primary_deployment,
)
from ecsnet.model.tables import UNSTOPPED_TASKS_BY_SERVICE
from ecsnet.services.ecs import capacity_provider, names, network, tags
from ecsnet.services.ecs.task import is_waiting
from ecsnet.store.snapshot import Reader


def service(reader: Reader, row: Service, *, with_tags: bool) -> Mapping[str, Any]:
    primary = primary_deployment(row)
    tasks = list(reader.find(UNSTOPPED_TASKS_BY_SERVICE, row.arn))
    body: dict[str, Any] = {
        "serviceArn": row.arn,
        "serviceName": row.name,
        "clusterArn": row.cluster,
        "loadBalancers": load_balancers(primary.load_balancers if primary is not None else ()),
        "serviceRegistries": [],
        "status": row.status,
        "desiredCount": row.desired,
        "runningCount": _running(tasks),
        "pendingCount": sum(1 for task in tasks if is_waiting(task)),
        "deploymentConfiguration": configuration(row),
        "deployments": [_deployment(one, tasks) for one in row.deployments],
        "events": [{"id": one.id, "createdAt": one.at, "message": one.message} for one in row.events],
        "createdAt": row.created,
        "createdBy": row.created_by,
        "placementConstraints": [],
        "placementStrategy": [],
        "schedulingStrategy": row.scheduling,
        "deploymentController": {"type": row.controller},
        "enableECSManagedTags": False,
        "enableExecuteCommand": False,
        "propagateTags": "NONE",
        **msgspec.json.decode(row.body),
    }
    if row.controller == "EXTERNAL":
        body["taskSets"] = [
            task_set(row, one, [task for task in tasks if task.deployment == one.deployment.id], with_tags=with_tags)
            for one in row.task_sets
        ]
    if primary is not None:
        body |= {"taskDefinition": primary.task_definition, **compute(primary)}
    if with_tags:
        body["tags"] = tags.wire(row.tags)
    if primary is not None and primary.awsvpc is not None:
        body["networkConfiguration"] = network.wire(primary.awsvpc)
        body["roleArn"] = (
            f"arn:{names.partition(row.region)}:iam::{row.account}:role/aws-service-role/ecs.amazonaws.com/"
            "AWSServiceRoleForECS"
        )
    if row.health_check_grace_seconds is not None:
        body["healthCheckGracePeriodSeconds"] = row.health_check_grace_seconds
    return body


def task_set(row: Service, which: TaskSet, tasks: Iterable[Task], *, with_tags: bool) -> Mapping[str, Any]:
    """API type TaskSet. `tasks` are those of the task set that are not STOPPED."""
    one = which.deployment
    own = list(tasks)
    body: dict[str, Any] = {
        "id": one.id,
        "taskSetArn": which.arn,
        "serviceArn": row.arn,
        "clusterArn": row.cluster,
        "status": which.status,
        "taskDefinition": one.task_definition,
        "computedDesiredCount": one.desired,
        "pendingCount": sum(1 for task in own if is_waiting(task)),
        "runningCount": _running(own),
        "createdAt": one.created,
        "updatedAt": one.updated,
        "loadBalancers": load_balancers(one.load_balancers),
        "serviceRegistries": [],
        "scale": {"value": which.scale, "unit": "PERCENT"},
        "stabilityStatus": "STEADY_STATE" if which.steady else "STABILIZING",
        "stabilityStatusAt": which.steady_since,
        "tags": tags.wire(which.tags) if with_tags else [],
        **compute(one),
    }
    if one.awsvpc is not None:
        body["networkConfiguration"] = network.wire(one.awsvpc)
    if which.external_id is not None:
        body["externalId"] = which.external_id
    return body


def load_balancers(rows: Iterable[ServiceLoadBalancer]) -> list[Mapping[str, Any]]:
    return [
        {"targetGroupArn": one.target_group, "containerName": one.container, "containerPort": one.port} for one in rows
    ]


def strategy(items: Iterable[StrategyItem]) -> list[Mapping[str, Any]]:
    return capacity_provider.wire(items)


def _running(tasks: Iterable[Task]) -> int:
    return sum(1 for task in tasks if task.last_status is TaskStatus.RUNNING)


def compute(deployment: Deployment) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if deployment.capacity_strategy:
        body["capacityProviderStrategy"] = strategy(deployment.capacity_strategy)
    elif deployment.launch_type is not None:
        body["launchType"] = deployment.launch_type
    if deployment.platform_version is not None:
        body["platformVersion"] = deployment.platform_version
        body["platformFamily"] = "Linux"
    return body


def configuration(row: Service) -> Mapping[str, Any]:
    body: dict[str, Any] = {
        "maximumPercent": row.maximum_percent,
        "minimumHealthyPercent": row.minimum_healthy_percent,
        "strategy": "ROLLING",
        "bakeTimeInMinutes": 0,
    }
    breaker = row.circuit_breaker
    body["deploymentCircuitBreaker"] = {
        "enable": breaker is not None and breaker.enable,
        "rollback": breaker is not None and breaker.rollback,
    }
    if breaker is not None and breaker.enable:
        body["deploymentCircuitBreaker"] |= {
            "resetOnHealthyTask": breaker.reset_on_healthy,
            "thresholdConfiguration": {"type": breaker.kind, "value": breaker.value},
        }
    return body


def _deployment(row: Deployment, tasks: Iterable[Task]) -> Mapping[str, Any]:
    own = [task for task in tasks if task.deployment == row.id]
    body: dict[str, Any] = {
        "id": row.id,
        "status": row.status,
        "taskDefinition": row.task_definition,
        "desiredCount": row.desired,
        "pendingCount": sum(1 for task in own if is_waiting(task)),
        "runningCount": _running(own),
        "failedTasks": row.failed_tasks,
        "createdAt": row.created,
        "updatedAt": row.updated,
        "rolloutState": row.rollout,
        "rolloutStateReason": row.rollout_reason,
        **compute(row),
    }
    if row.awsvpc is not None:
        body["networkConfiguration"] = network.wire(row.awsvpc)
    return body
