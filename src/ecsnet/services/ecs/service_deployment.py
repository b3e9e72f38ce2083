"""Service deployments and service revisions (Developer Guide, "View service history using Amazon ECS service
deployments")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ecsnet.model.ecs import Deployment, Service, TaskStatus
from ecsnet.model.rollout import RolloutStatus, ServiceDeployment, ServiceRevision
from ecsnet.model.tables import (
    SERVICE_DEPLOYMENTS,
    SERVICE_DEPLOYMENTS_BY_SERVICE,
    SERVICE_REVISIONS,
    SERVICES,
    TASK_DEFINITIONS,
    UNSTOPPED_TASKS_BY_SERVICE,
)
from ecsnet.services.call import Call, Operation, Reply, Request, read
from ecsnet.services.ecs import cluster, errors, names, network, paging, service_render

_LARGEST_DESCRIBE = 20


def revision_arn(service: Service, deployment: Deployment) -> str:
    """A revision has the number of the deployment that brought it."""
    return f"{service.arn.replace(':service/', ':service-revision/')}/{names.last_part(deployment.id)}"


def begin(call: Call, service: Service, older: tuple[Deployment, ...] = ()) -> None:
    """Remember that the PRIMARY deployment of `service` began; what was in progress until then has stopped."""
    primary = service.deployments[0]
    revision = call.tx.put(
        SERVICE_REVISIONS,
        ServiceRevision(
            arn=revision_arn(service, primary),
            service=service.arn,
            cluster=service.cluster,
            deployment=primary,
            created=call.now,
        ),
    )
    for one in older:
        if one.rollout == "IN_PROGRESS":
            finish(call, service, one, "STOPPED", reason="Service deployment stopped by a new service deployment.")
    id = call.ids.hex(21)
    call.tx.put(
        SERVICE_DEPLOYMENTS,
        ServiceDeployment(
            arn=f"{service.arn.replace(':service/', ':service-deployment/')}/{id}",
            account=service.account,
            region=service.region,
            service=service.arn,
            cluster=service.cluster,
            deployment=primary.id,
            revision=revision.arn,
            sources=tuple(revision_arn(service, one) for one in older),
            created=call.now,
            updated=call.now,
        ),
    )


def finish(
    call: Call,
    service: Service,
    deployment: Deployment,
    status: RolloutStatus,
    *,
    reason: str | None = None,
    back_to: Deployment | None = None,
) -> None:
    """Another status for the record of a deployment, unless it has ended already.

    `back_to` is the deployment that the circuit breaker rolls back to.
    """
    for row in tuple(call.tx.find(SERVICE_DEPLOYMENTS_BY_SERVICE, service.arn)):
        if row.deployment != deployment.id or row.finished is not None:
            continue
        ended = status != "ROLLBACK_IN_PROGRESS"
        row = msgspec.structs.replace(
            row,
            status=status,
            reason=reason,
            updated=call.now,
            finished=call.now if ended else None,
            rolled_back_to=revision_arn(service, back_to) if back_to is not None else row.rolled_back_to,
        )
        call.tx.put(SERVICE_DEPLOYMENTS, row)


def completed(call: Call, service: Service) -> None:
    """The PRIMARY deployment is completed: its own record, and that of the failed one that it was rolled back from."""
    primary = service.deployments[0]
    back = revision_arn(service, primary)
    for row in tuple(call.tx.find(SERVICE_DEPLOYMENTS_BY_SERVICE, service.arn)):
        if row.status == "ROLLBACK_IN_PROGRESS" and row.rolled_back_to == back:
            call.tx.put(
                SERVICE_DEPLOYMENTS,
                msgspec.structs.replace(row, status="ROLLBACK_SUCCESSFUL", updated=call.now, finished=call.now),
            )
    finish(call, service, primary, "SUCCESSFUL")


def forget(call: Call, service: str) -> None:
    """The service itself is forgotten."""
    for row in tuple(call.tx.find(SERVICE_DEPLOYMENTS_BY_SERVICE, service)):
        call.tx.delete(SERVICE_DEPLOYMENTS, row.arn)
        call.tx.delete(SERVICE_REVISIONS, row.revision)


def list_service_deployments(call: Call, request: Request) -> Reply:
    """The newest first."""
    where = cluster.find(call, request.get("cluster"))
    service = names.service_arn(call, where.arn, request["service"])
    if call.tx.get(SERVICES, service) is None:
        raise errors.service_not_found()
    wanted = request.get("status") or ()
    span = request.get("createdAt") or {}
    rows = {
        f"{2**50 - int(row.created * 1000):016d}|{row.arn}": row
        for row in call.tx.find(SERVICE_DEPLOYMENTS_BY_SERVICE, service)
        if (not wanted or row.status in wanted)
        and span.get("after", row.created) <= row.created <= span.get("before", row.created)
    }
    chosen, token = paging.page(request, sorted(rows))
    brief = [_brief(rows[key]) for key in chosen]
    return {"serviceDeployments": brief} | ({"nextToken": token} if token else {})


def describe_service_deployments(call: Call, request: Request) -> Reply:
    found, failures = [], []
    for arn in _given(request["serviceDeploymentArns"]):
        row = call.tx.get(SERVICE_DEPLOYMENTS, arn)
        service = call.tx.get(SERVICES, row.service) if row is not None else None
        if row is None or service is None or (row.account, row.region) != (call.account, call.region):
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            found.append(_full(call, row, service))
    return {"serviceDeployments": found, "failures": failures}


def describe_service_revisions(call: Call, request: Request) -> Reply:
    found, failures = [], []
    for arn in _given(request["serviceRevisionArns"]):
        row = call.tx.get(SERVICE_REVISIONS, arn)
        if row is None or arn.split(":")[3:5] != [call.region, call.account]:
            failures.append({"arn": arn, "reason": "MISSING"})
        else:
            found.append(_revision(call, row))
    return {"serviceRevisions": found, "failures": failures}


def _given(arns: list[str]) -> list[str]:
    if not 1 <= len(arns) <= _LARGEST_DESCRIBE:
        raise errors.invalid(f"1 to {_LARGEST_DESCRIBE} ARNs must be given.")
    return arns


def _brief(row: ServiceDeployment) -> dict[str, Any]:
    body: dict[str, Any] = {
        "serviceDeploymentArn": row.arn,
        "serviceArn": row.service,
        "clusterArn": row.cluster,
        "createdAt": row.created,
        "startedAt": row.created,
        "targetServiceRevisionArn": row.revision,
        "status": row.status,
    }
    optional = {"finishedAt": row.finished, "statusReason": row.reason}
    return body | {name: value for name, value in optional.items() if value is not None}


def _full(call: Call, row: ServiceDeployment, service: Service) -> Mapping[str, Any]:
    body = _brief(row)
    target = body.pop("targetServiceRevisionArn")
    primary = service.deployments[0]
    live = next((one for one in service.deployments if one.id == row.deployment), None)
    breaker = service.circuit_breaker
    body |= {
        "updatedAt": row.updated,
        "sourceServiceRevisions": [_counted(call, arn, service) for arn in row.sources],
        "targetServiceRevision": _counted(call, target, service),
        "deploymentConfiguration": service_render.configuration(service),
        "deploymentCircuitBreaker": {
            "status": "DISABLED"
            if breaker is None or not breaker.enable
            else "TRIGGERED"
            if row.rolled_back_to is not None or (live is not None and live.rollout == "FAILED")
            else "MONITORING"
            if row.finished is None and live is primary
            else "MONITORING_COMPLETE",
            "failureCount": live.failed_tasks if live is not None else 0,
        },
    }
    if row.rolled_back_to is not None:
        body["rollback"] = {"serviceRevisionArn": row.rolled_back_to, "reason": row.reason or ""}
    return body


def _counted(call: Call, arn: str, service: Service) -> Mapping[str, Any]:
    """A revision with its tasks. A source's counts are those of now, not of the deployment's beginning."""
    revision = call.tx.get(SERVICE_REVISIONS, arn)
    if revision is None:
        return {"arn": arn}
    own = [
        task
        for task in call.tx.find(UNSTOPPED_TASKS_BY_SERVICE, service.arn)
        if task.deployment == revision.deployment.id and task.desired_status == "RUNNING"
    ]
    running = sum(1 for task in own if task.last_status is TaskStatus.RUNNING)
    requested = next((one.desired for one in service.deployments if one.id == revision.deployment.id), 0)
    return {
        "arn": arn,
        "requestedTaskCount": requested,
        "runningTaskCount": running,
        "pendingTaskCount": len(own) - running,
    }


def _revision(call: Call, row: ServiceRevision) -> Mapping[str, Any]:
    one = row.deployment
    definition = call.tx.get(TASK_DEFINITIONS, one.task_definition)
    body: dict[str, Any] = {
        "serviceRevisionArn": row.arn,
        "serviceArn": row.service,
        "clusterArn": row.cluster,
        "taskDefinition": one.task_definition,
        "loadBalancers": service_render.load_balancers(one.load_balancers),
        "containerImages": [
            {"containerName": container.name, "image": container.image}
            for container in (definition.containers if definition is not None else ())
        ],
        "guardDutyEnabled": False,
        "createdAt": row.created,
        **service_render.compute(one),
    }
    if one.awsvpc is not None:
        body["networkConfiguration"] = network.wire(one.awsvpc)
    return body


OPERATIONS: tuple[Operation, ...] = (
    read("ListServiceDeployments", list_service_deployments),
    read("DescribeServiceDeployments", describe_service_deployments),
    read("DescribeServiceRevisions", describe_service_revisions),
)
