"""Services with the deployment controller EXTERNAL (Developer Guide, "Third-party deployments").

What its tasks are belongs to task sets; the service itself holds only what all of them have in common.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ecsnet.model.ecs import Cluster, Service
from ecsnet.services.call import Call, Request
from ecsnet.services.ecs import errors, names, service_settings, tags, task_set

_OF_TASK_SETS = (
    "capacityProviderStrategy",
    "launchType",
    "loadBalancers",
    "networkConfiguration",
    "platformVersion",
    "serviceRegistries",
    "taskDefinition",
)
"""Members "controlled at the task set level" (ECS API, CreateService)."""


def create(call: Call, where: Cluster, arn: str, request: Request) -> Service:
    """The row of a new service without any task set. Raises InvalidParameterException."""
    _refuse(request, _OF_TASK_SETS)
    if request.get("schedulingStrategy") == "DAEMON":
        raise errors.invalid("The daemon scheduling strategy is not supported with the EXTERNAL deployment controller.")
    service = Service(
        arn=arn,
        account=call.account,
        region=call.region,
        name=names.last_part(arn),
        cluster=where.arn,
        desired=service_settings.desired_count(request.get("desiredCount", 0)),
        controller="EXTERNAL",
        deployments=(),
        health_check_grace_seconds=service_settings.grace_period(request, balanced=True),
        body=service_settings.body({"availabilityZoneRebalancing": "DISABLED"}, request),
        created=call.now,
        created_by=f"arn:{names.partition(call.region)}:iam::{call.account}:root",
        client_token=request.get("clientToken"),
        tags=tags.given(request),
    )
    return _configured("CreateService", service, request)


def update(call: Call, service: Service, request: Request) -> Service:
    """The row with what UpdateService may change. Raises InvalidParameterException."""
    _refuse(request, (*_OF_TASK_SETS, "forceNewDeployment"))
    service = _configured("UpdateService", service, request)
    service = msgspec.structs.replace(
        service, body=service_settings.body(msgspec.json.decode(service.body), request), steady=False
    )
    if request.get("desiredCount") is not None:
        service = task_set.scaled(service, service_settings.desired_count(request["desiredCount"]))
    if request.get("healthCheckGracePeriodSeconds") is not None:
        grace = service_settings.grace_period(request, balanced=True)
        service = msgspec.structs.replace(service, health_check_grace_seconds=grace)
    return service


def _refuse(request: Request, members: Iterable[str]) -> None:
    given = sorted(member for member in members if request.get(member))
    if given:
        raise errors.invalid(
            f"{', '.join(given)} cannot be specified for a service with the EXTERNAL deployment controller; use task "
            "sets."
        )


def _configured(operation: str, service: Service, request: Request) -> Service:
    service = service_settings.with_deployment_configuration(operation, service, request.get("deploymentConfiguration"))
    if service.circuit_breaker is not None and service.circuit_breaker.enable:
        raise errors.invalid("The deployment circuit breaker needs the ECS deployment controller.")
    return service
