"""The verbs of Elastic Load Balancing that other services and the controllers use, within their own transaction."""

from __future__ import annotations

from ecsnet.model.tables import TARGET_HEALTH, TARGETS
from ecsnet.services.call import Call
from ecsnet.services.elbv2 import attributes, health, target
from ecsnet.store.snapshot import Reader


def register_target(call: Call, target_group_arn: str, id: str, port: int, az: str | None = None) -> None:
    """Register an address (or instance id) and port with a target group; a draining one is registered anew.

    `az` None: found from the subnet that holds the address. Raises AwsError TargetGroupNotFound or InvalidTarget.
    """
    target.register(call, target_group_arn, id, port, az)


def deregister_target(call: Call, target_group_arn: str, id: str, port: int) -> None:
    """Begin to drain a target: no new request from now on. An unknown target changes nothing."""
    target.deregister(call, target_group_arn, id, port)


def finish_draining(call: Call, key: str) -> None:
    """Forget a draining target (`key` of TARGETS) once its deregistration delay is over; others are left alone."""
    row = call.tx.get(TARGETS, key)
    if row is not None and row.draining_since is not None:
        call.tx.delete(TARGETS, key)
        call.tx.delete(TARGET_HEALTH, key)


def draining_due(reader: Reader, key: str, *, speed: float = 1.0) -> float | None:
    """Epoch seconds at which the deregistration delay of a target ends; None when it is not draining.

    `speed` is `Settings.speed`, by which the delay is divided.
    """
    row = reader.get(TARGETS, key)
    if row is None or row.draining_since is None:
        return None
    return row.draining_since + attributes.deregistration_delay(reader, row.target_group) / speed


def target_state(reader: Reader, target_group_arn: str, id: str, port: int) -> str:
    """The state that DescribeTargetHealth reports: initial, healthy, unhealthy, unused or draining."""
    return health.target_health(reader, target_group_arn, id, port).state


def target_health(reader: Reader, target_group_arn: str, id: str, port: int) -> health.Health:
    """State, reason code and description that DescribeTargetHealth reports."""
    return health.target_health(reader, target_group_arn, id, port)


def has_load_balancer(reader: Reader, target_group_arn: str) -> bool:
    """Whether a listener or rule of a load balancer forwards to the target group."""
    return bool(health.load_balancers_of(reader, target_group_arn))
