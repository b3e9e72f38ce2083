"""The parts of CreateService and UpdateService requests, checked: load balancers, deployment configuration and more.

Texts are those of the service (API types LoadBalancer and DeploymentConfiguration; Developer Guide, "Amazon ECS service
definition parameters").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from ecsnet.model.ecs import CircuitBreaker, Service, ServiceLoadBalancer, TaskDefinition
from ecsnet.model.tables import TARGET_GROUPS
from ecsnet.services.call import Call, Request, not_implemented
from ecsnet.services.ecs import errors
from ecsnet.services.elbv2 import ops as elbv2_ops

_MAX_GROUPS = 5
_MAX_GRACE = 2_147_483_647

_NOT_BUILT = ("serviceRegistries", "volumeConfigurations", "vpcLatticeConfigurations", "gatewayConnectors")

KEPT = (
    "enableECSManagedTags",
    "enableExecuteCommand",
    "propagateTags",
    "placementConstraints",
    "placementStrategy",
    "availabilityZoneRebalancing",
)
"""Members that are stored as given and answered by DescribeServices."""


def body(old: Mapping[str, Any], request: Request) -> str:
    """`Service.body`: what was given over what there was."""
    given = {member: request[member] for member in KEPT if request.get(member) is not None}
    return msgspec.json.encode({**old, **given}).decode()


def refuse_what_is_not_built(operation: str, request: Request) -> None:
    """Raises NotImplemented for members that would otherwise be ignored in silence."""
    for member in _NOT_BUILT:
        if request.get(member):
            raise not_implemented(operation, member)
    if (request.get("serviceConnectConfiguration") or {}).get("enabled"):
        raise not_implemented(operation, "serviceConnectConfiguration")


def controller(request: Request) -> Literal["ECS", "EXTERNAL"]:
    """Who decides about deployments. Raises NotImplemented for CODE_DEPLOY."""
    match (request.get("deploymentController") or {}).get("type", "ECS"):
        case "ECS":
            return "ECS"
        case "EXTERNAL":
            return "EXTERNAL"
        case other:
            raise not_implemented("CreateService", f"deployment controller {other}")


def check_registries(definition: TaskDefinition, request: Request) -> None:
    """Without an address of its own a task can only be found by port, so its record is SRV (API ServiceRegistry).

    Raises InvalidParameterException.
    """
    for one in request.get("serviceRegistries") or ():
        by_port = one.get("containerName") and one.get("containerPort")
        if definition.network_mode in ("bridge", "host") and not by_port:
            raise errors.invalid(
                "When specifying 'host' or 'bridge' for networkMode, values for 'containerName' and 'containerPort' "
                "must be specified from the task definition."
            )


def daemon(request: Request) -> Request:
    """The request of a DAEMON service: on container instances, one task on each, so without a strategy or a count.

    Raises InvalidParameterException.
    """
    if request.get("launchType") == "FARGATE" or request.get("capacityProviderStrategy"):
        raise errors.invalid("The daemon scheduling strategy is not supported with the FARGATE launch type.")
    if request.get("placementStrategy"):
        raise errors.invalid("The daemon scheduling strategy does not support placement strategies.")
    given = {member: value for member, value in request.items() if member != "desiredCount"}
    return given | {"launchType": request.get("launchType") or "EC2"}


def load_balancers(
    call: Call, definition: TaskDefinition, given: Iterable[Mapping[str, Any]]
) -> tuple[ServiceLoadBalancer, ...]:
    """The target groups of a service. Raises InvalidParameterException with the text of ECS."""
    found = tuple(_load_balancer(call, definition, one) for one in given)
    if len(found) > _MAX_GROUPS:
        raise errors.invalid(f"load balancers can have at most {_MAX_GROUPS} items.")
    return found


def _load_balancer(call: Call, definition: TaskDefinition, given: Mapping[str, Any]) -> ServiceLoadBalancer:
    if given.get("loadBalancerName"):
        raise not_implemented("CreateService", "Classic Load Balancers (loadBalancerName)")
    if given.get("advancedConfiguration"):
        raise not_implemented("CreateService", "advancedConfiguration of a load balancer")
    group, name, port = given.get("targetGroupArn"), given.get("containerName"), given.get("containerPort")
    if not group:
        raise errors.invalid("targetGroupArn cannot be blank.")
    container = next((one for one in definition.containers if one.name == name), None)
    if container is None:
        raise errors.invalid(f"The container {name} does not exist in the task definition.")
    mappings = [one for one in container.ports if 0 <= (port or 0) - one.container_port < one.length]
    if port is None or not mappings:
        raise errors.invalid(f"The container {name} did not have a container port {port} defined.")
    if len(mappings) > 1:  # tcp and udp; AWS's words: github.com/aws/amazon-ecs-agent/issues/3428
        raise errors.invalid(f"Container port {port} is used in more than one port mapping for container {name}")
    row = call.tx.get(TARGET_GROUPS, group)
    if row is None or (row.account, row.region) != (call.account, call.region):
        raise errors.invalid(f"The target group {group} does not exist.")
    wanted = "ip" if definition.network_mode == "awsvpc" else "instance"
    if row.target_type != wanted:
        raise errors.invalid(
            f"The provided target group {group} has target type {row.target_type}, which is incompatible with the "
            f"{definition.network_mode} network mode specified in the task definition."
        )
    if not elbv2_ops.has_load_balancer(call.tx, group):
        raise errors.invalid(f"The target group with targetGroupArn {group} does not have an associated load balancer.")
    return ServiceLoadBalancer(target_group=group, container=container.name, port=port)


def grace_period(request: Request, *, balanced: bool) -> int | None:
    """healthCheckGracePeriodSeconds; 0 by default with a load balancer. Raises InvalidParameterException.

    Allowed without one: it counts for container health checks too, and is unused without any (CreateService, ECS API).
    """
    given: int | None = request.get("healthCheckGracePeriodSeconds")
    if given is None:
        return 0 if balanced else None
    if not 0 <= given <= _MAX_GRACE:
        raise errors.invalid(f"healthCheckGracePeriodSeconds must be between 0 and {_MAX_GRACE}.")
    return given


def desired_count(given: int) -> int:
    if given < 0:
        raise errors.invalid(f"desiredCount must not be negative, but was {given}.")
    return given


def with_deployment_configuration(operation: str, service: Service, given: Mapping[str, Any] | None) -> Service:
    """The service with what `given` says over what it had. Raises InvalidParameterException or NotImplemented."""
    given = given or {}
    if given.get("strategy", "ROLLING") != "ROLLING":
        raise not_implemented(operation, f"deployment strategy {given['strategy']}")
    if (given.get("alarms") or {}).get("enable"):
        raise not_implemented(operation, "deployment alarms")
    if given.get("lifecycleHooks"):
        raise not_implemented(operation, "deployment lifecycle hooks")
    low = given.get("minimumHealthyPercent", service.minimum_healthy_percent)
    high = given.get("maximumPercent", service.maximum_percent)
    if low < 0 or high < 0 or high < low:
        raise errors.invalid(
            f"maximumPercent ({high}) must not be less than minimumHealthyPercent ({low}), and neither negative."
        )
    if low == high == 100:
        raise errors.invalid(
            "Both maximumPercent and minimumHealthyPercent cannot be 100 as this will block deployments."
        )
    breaker = given.get("deploymentCircuitBreaker")
    return msgspec.structs.replace(
        service,
        minimum_healthy_percent=low,
        maximum_percent=high,
        circuit_breaker=_breaker(breaker) if breaker is not None else service.circuit_breaker,
    )


def _breaker(given: Mapping[str, Any]) -> CircuitBreaker:
    threshold = given.get("thresholdConfiguration") or {}
    return CircuitBreaker(
        enable=given["enable"],
        rollback=given["rollback"],
        reset_on_healthy=given.get("resetOnHealthyTask", True),
        kind=threshold.get("type", "BOUNDED_PERCENT"),
        value=threshold.get("value", 50),
    )
