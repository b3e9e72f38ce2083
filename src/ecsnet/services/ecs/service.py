"""CreateService, UpdateService and DeleteService (Developer Guide, "Amazon ECS services").

They write what is wished; the service scheduler (controllers) starts and stops tasks.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ecsnet.model.ecs import Cluster, Deployment, Service, TaskDefinition
from ecsnet.model.tables import SERVICES
from ecsnet.services.call import Call, Operation, Reply, Request, not_implemented, write
from ecsnet.services.ecs import (
    cluster,
    errors,
    external_service,
    launch_type,
    names,
    network,
    placement_request,
    service_deployment,
    service_render,
    service_settings,
    tags,
    task_definition,
    task_set,
)

_REDEPLOYS = (
    "taskDefinition",
    "networkConfiguration",
    "platformVersion",
    "loadBalancers",
    "capacityProviderStrategy",
)
"""UpdateService members that begin a deployment when they change something."""


def create_service(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    name = names.checked("serviceName", request["serviceName"])
    arn = names.service_arn(call, where.arn, name)
    present = call.tx.get(SERVICES, arn)
    if present is not None and present.status != "INACTIVE":
        return _again(call, present, request)
    if service_settings.controller(request) == "EXTERNAL":
        made = call.tx.put(SERVICES, external_service.create(call, where, arn, request))
        return {"service": service_render.service(call.tx, made, with_tags=True)}
    if not request.get("taskDefinition"):
        raise errors.invalid("TaskDefinition can not be blank.")
    definition = task_definition.usable(call, request["taskDefinition"])
    service_settings.check_registries(definition, request)
    service_settings.refuse_what_is_not_built("CreateService", request)
    scheduling: Literal["REPLICA", "DAEMON"] = request.get("schedulingStrategy") or "REPLICA"
    if scheduling == "DAEMON":
        request = service_settings.daemon(request)
    deployment = _deployment(call, where, definition, request, request.get("loadBalancers") or ())
    desired = 0 if scheduling == "DAEMON" else service_settings.desired_count(request.get("desiredCount", 1))
    service = Service(
        arn=arn,
        account=call.account,
        region=call.region,
        name=name,
        cluster=where.arn,
        desired=desired,
        scheduling=scheduling,
        deployments=(msgspec.structs.replace(deployment, desired=desired),),
        load_balancers=deployment.load_balancers,
        minimum_healthy_percent=0 if scheduling == "DAEMON" else 100,
        maximum_percent=100 if scheduling == "DAEMON" else 200,
        health_check_grace_seconds=service_settings.grace_period(request, balanced=bool(deployment.load_balancers)),
        body=service_settings.body({"availabilityZoneRebalancing": "ENABLED"}, request),
        created=call.now,
        created_by=f"arn:{names.partition(call.region)}:iam::{call.account}:root",
        client_token=request.get("clientToken"),
        tags=tags.given(request),
    )
    service = service_settings.with_deployment_configuration(
        "CreateService", service, request.get("deploymentConfiguration")
    )
    call.tx.put(SERVICES, service)
    service_deployment.begin(call, service)
    return {"service": service_render.service(call.tx, service, with_tags=True)}


def _again(call: Call, present: Service, request: Request) -> Reply:
    """The answer when the name is taken: the same service for the same client token."""
    if present.status == "DRAINING":
        raise errors.invalid("Unable to Start a service that is still Draining.")
    token = request.get("clientToken")
    if not token or token != present.client_token:
        raise errors.invalid("Creation of service was not idempotent.")
    return {"service": service_render.service(call.tx, present, with_tags=True)}


def _deployment(call: Call, where: Cluster, definition: TaskDefinition, request: Request, balancers: Any) -> Deployment:
    """A PRIMARY deployment as the request asks for it (desired count still to be set)."""
    compute = launch_type.chosen(call, where, definition, request)
    chosen = network.configuration(call, definition, request.get("networkConfiguration"), fargate=compute.fargate)
    if compute.fargate and (request.get("placementConstraints") or request.get("placementStrategy")):
        raise errors.invalid("Placement strategies and constraints are not supported with FARGATE launch type.")
    if compute.kind == "EXTERNAL" and balancers:
        raise errors.invalid("Load balancers are not supported with the EXTERNAL launch type.")
    if request.get("role") and chosen is not None:
        raise errors.invalid("You cannot specify an IAM role for services that require a service linked role.")
    id = f"ecs-svc/{10**18 + int(call.ids.hex(16), 16) % (9 * 10**18)}"
    return Deployment(
        id=id,
        status="PRIMARY",
        task_definition=definition.arn,
        desired=0,
        awsvpc=chosen,
        launch_type=compute.launch_type,
        platform_version=launch_type.platform_version(compute, request),
        capacity_strategy=compute.strategy,
        load_balancers=service_settings.load_balancers(call, definition, balancers),
        constraints=() if compute.fargate else placement_request.constraints(definition, request),
        strategies=() if compute.fargate else placement_request.strategies(request),
        rollout_reason=f"ECS deployment {id} in progress.",
        created=call.now,
        updated=call.now,
    )


def find(call: Call, where: Cluster, given: str) -> Service:
    """The service that a request means, INACTIVE ones included. Raises ServiceNotFoundException."""
    service = call.tx.get(SERVICES, names.service_arn(call, where.arn, given))
    if service is None:
        raise errors.service_not_found()
    return service


def update_service(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    service = find(call, where, request["service"])
    if service.status != "ACTIVE":
        raise errors.service_not_active()
    service_settings.refuse_what_is_not_built("UpdateService", request)
    if request.get("deploymentController") and service_settings.controller(request) != service.controller:
        raise not_implemented("UpdateService", "another deploymentController than the service has")
    if service.controller == "EXTERNAL":
        service = call.tx.put(SERVICES, external_service.update(call, service, request))
        return {"service": service_render.service(call.tx, service, with_tags=True)}
    if service.scheduling == "DAEMON":
        request = service_settings.daemon(request)
    service = service_settings.with_deployment_configuration(
        "UpdateService", service, request.get("deploymentConfiguration")
    )
    service = msgspec.structs.replace(service, body=service_settings.body(msgspec.json.decode(service.body), request))
    service = _replaced(call, service, request)
    if request.get("desiredCount") is not None:
        service = _scaled(call, service, service_settings.desired_count(request["desiredCount"]))
    if request.get("forceNewDeployment") or any(request.get(member) is not None for member in _REDEPLOYS):
        service = _redeployed(call, where, service, request)
    if request.get("healthCheckGracePeriodSeconds") is not None:
        grace = service_settings.grace_period(request, balanced=bool(service.load_balancers))
        service = msgspec.structs.replace(service, health_check_grace_seconds=grace)
    call.tx.put(SERVICES, service)
    return {"service": service_render.service(call.tx, service, with_tags=True)}


def _scaled(call: Call, service: Service, desired: int) -> Service:
    if service.controller == "EXTERNAL":
        return task_set.scaled(service, desired)
    primary, *others = service.deployments
    if desired == service.desired:
        return service
    primary = msgspec.structs.replace(primary, desired=desired, updated=call.now)
    return msgspec.structs.replace(service, desired=desired, deployments=(primary, *others), steady=False)


def _redeployed(call: Call, where: Cluster, service: Service, request: Request) -> Service:
    """The service with a new PRIMARY deployment, unless nothing changes and nothing forces it."""
    primary = service.deployments[0]
    definition = task_definition.usable(call, request.get("taskDefinition") or primary.task_definition)
    merged = {
        "networkConfiguration": request.get("networkConfiguration") or network.wire(primary.awsvpc),
        "platformVersion": request.get("platformVersion") or primary.platform_version,
        "launchType": None if request.get("capacityProviderStrategy") else primary.launch_type,
        "capacityProviderStrategy": request.get("capacityProviderStrategy")
        or service_render.strategy(primary.capacity_strategy),
        **placement_request.of_service(service),
    }
    balancers = request.get("loadBalancers")
    if balancers is None:
        balancers = service_render.load_balancers(service.load_balancers)
    new = _deployment(call, where, definition, merged, balancers)
    new = msgspec.structs.replace(new, desired=service.desired)
    if _wish(primary) == _wish(new) and not request.get("forceNewDeployment"):
        return service
    older = [msgspec.structs.replace(one, status="ACTIVE", desired=0, updated=call.now) for one in service.deployments]
    service = msgspec.structs.replace(
        service,
        deployments=(new, *older),
        load_balancers=new.load_balancers,
        steady=False,
        failed_starts=0,
        last_failed_start=None,
    )
    service_deployment.begin(call, service, tuple(older))
    return service


def _replaced(call: Call, service: Service, request: Request) -> Service:
    """The service with another placement for the tasks that start from now on; none is moved for it."""
    primary, *others = service.deployments
    if request.get("placementConstraints") is None and request.get("placementStrategy") is None:
        return service
    if launch_type.kind(primary.launch_type, primary.capacity_strategy) == "FARGATE":
        if not request.get("placementConstraints") and not request.get("placementStrategy"):
            return service
        raise errors.invalid("Placement strategies and constraints are not supported with FARGATE launch type.")
    definition = task_definition.lookup(call, primary.task_definition)
    assert definition is not None
    primary = msgspec.structs.replace(
        primary,
        constraints=placement_request.constraints(definition, placement_request.of_service(service)),
        strategies=placement_request.strategies(placement_request.of_service(service)),
        updated=call.now,
    )
    return msgspec.structs.replace(service, deployments=(primary, *others))


def _wish(deployment: Deployment) -> tuple[object, ...]:
    """What a deployment runs, without its identity and progress."""
    return (
        deployment.task_definition,
        deployment.awsvpc,
        deployment.launch_type,
        deployment.platform_version,
        deployment.capacity_strategy,
        deployment.load_balancers,
    )


def delete_service(call: Call, request: Request) -> Reply:
    where = cluster.find(call, request.get("cluster"))
    service = find(call, where, request["service"])
    if service.status == "INACTIVE":
        raise errors.service_not_found()
    if service.status == "ACTIVE":
        if service.desired > 0 and not request.get("force"):
            raise errors.invalid("The service cannot be stopped while it is scaled above 0.")
        service = _scaled(call, service, 0)
        service = call.tx.put(SERVICES, msgspec.structs.replace(service, status="DRAINING"))
    return {"service": service_render.service(call.tx, service, with_tags=False)}


OPERATIONS: tuple[Operation, ...] = (
    write("CreateService", create_service),
    write("UpdateService", update_service),
    write("DeleteService", delete_service),
)
