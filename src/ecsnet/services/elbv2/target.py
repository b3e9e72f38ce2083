"""RegisterTargets, DeregisterTargets and DescribeTargetHealth."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address
from typing import Any

import msgspec

from ecsnet.model.elbv2 import Target, TargetGroup
from ecsnet.model.tables import (
    INSTANCES,
    SUBNETS_BY_VPC,
    TARGET_GROUPS,
    TARGET_HEALTH,
    TARGETS,
    TARGETS_BY_GROUP,
    target_key,
)
from ecsnet.services.call import Call, Operation, Reply, Request, read, write
from ecsnet.services.ec2 import ops as ec2_ops
from ecsnet.services.elbv2 import errors
from ecsnet.services.elbv2.health import target_health
from ecsnet.services.elbv2.limits import quota

_REACHABLE = tuple(
    ipaddress.IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")
)
"""Where an `ip` target may lie besides the subnets of the VPC (guide page "Target groups", target type)."""


def register(call: Call, target_group: str, id: str, port: int, az: str | None) -> None:
    group = call.tx.get(TARGET_GROUPS, target_group)
    if group is None:
        raise errors.target_group_not_found(target_group)
    match group.target_type:
        case "ip":
            address = _address(id)
            zone = _zone(call, group, address, az)
        case "instance":
            address, zone = _instance(call, group, id)
        case _:
            raise errors.invalid_target(f"The target '{id}' is not valid. ecsnet has no {group.target_type} targets.")
    key = target_key(target_group, id, port)
    present = call.tx.get(TARGETS, key)
    if present is not None and present.draining_since is None:
        if present.az != zone:
            call.tx.put(TARGETS, msgspec.structs.replace(present, az=zone))
        return
    call.tx.delete(TARGET_HEALTH, key)
    call.tx.put(
        TARGETS,
        Target(target_group=target_group, id=id, port=port, az=zone, address=address, registered=call.now),
    )


def deregister(call: Call, target_group: str, id: str, port: int) -> None:
    if call.tx.get(TARGET_GROUPS, target_group) is None:
        raise errors.target_group_not_found(target_group)
    present = call.tx.get(TARGETS, target_key(target_group, id, port))
    if present is not None and present.draining_since is None:
        call.tx.put(TARGETS, msgspec.structs.replace(present, draining_since=call.now))


def _address(id: str) -> IPv4Address:
    try:
        return IPv4Address(id)
    except ValueError:
        raise errors.validation(f"The IP address '{id}' is not a valid IPv4 address") from None


def _instance(call: Call, group: TargetGroup, id: str) -> tuple[IPv4Address, str]:
    """Where packets for an instance go: the primary address of its primary interface."""
    row = call.tx.get(INSTANCES, id)
    stopped = f"The following targets are not in a running state and cannot be registered: '{id}'"
    if row is None or (row.account, row.region) != (call.account, call.region):
        raise errors.invalid_target(stopped)
    if row.vpc != group.vpc:
        raise errors.invalid_target(f"The following targets are not in the target group VPC '{group.vpc}': '{id}'")
    eni = ec2_ops.primary_interface(call.tx, id)
    if eni is not None and eni.private_ip is not None:
        return eni.private_ip, row.az
    raise errors.invalid_target(stopped)


def _zone(call: Call, group: TargetGroup, address: IPv4Address, given: str | None) -> str | None:
    """The zone of a target: that of its subnet, or what the caller said for an address outside the VPC."""
    for subnet in call.tx.find(SUBNETS_BY_VPC, group.vpc or ""):
        if subnet.cidr is not None and address in subnet.cidr:
            return subnet.az if given is None else given
    if not any(address in block for block in _REACHABLE):
        raise errors.validation(f"The IP address '{address}' is not within a range permitted for targets")
    if given is None:
        raise errors.validation(
            f"You must specify an Availability Zone or 'all' for the IP address '{address}', which is outside the VPC"
        )
    return given


def register_targets(call: Call, request: Request) -> Reply:
    group = _group(call, request["TargetGroupArn"])
    for given in _targets(request):
        register(call, group.arn, given["Id"], given.get("Port") or group.port, given.get("AvailabilityZone"))
    limit = quota(call, "targets-per-target-group")
    if len(call.tx.keys(TARGETS_BY_GROUP, group.arn)) > limit:
        raise errors.too_many("Targets", limit)
    return {}


def deregister_targets(call: Call, request: Request) -> Reply:
    """Begin to drain targets; a target without a port means every registration of its id."""
    group = _group(call, request["TargetGroupArn"])
    for given in _targets(request):
        for row in tuple(call.tx.find(TARGETS_BY_GROUP, group.arn)):
            if row.id == given["Id"] and given.get("Port") in (None, row.port):
                deregister(call, group.arn, row.id, row.port)
    return {}


def describe_target_health(call: Call, request: Request) -> Reply:
    group = _group(call, request["TargetGroupArn"])
    registered = sorted(call.tx.find(TARGETS_BY_GROUP, group.arn), key=lambda row: (row.id, row.port))
    listed = [(row.id, row.port) for row in registered]
    if request.get("Targets"):
        listed = []
        for given in _targets(request):
            ports = [row.port for row in registered if row.id == given["Id"] and given.get("Port") in (None, row.port)]
            listed += [(given["Id"], port) for port in ports or [given.get("Port") or group.port]]
    return {"TargetHealthDescriptions": [_described(call, group, id, port) for id, port in listed]}


def _described(call: Call, group: TargetGroup, id: str, port: int) -> dict[str, Any]:
    health = target_health(call.tx, group.arn, id, port)
    row = call.tx.get(TARGETS, target_key(group.arn, id, port))
    shown = {"State": health.state, "Reason": health.reason, "Description": health.description}
    target: dict[str, Any] = {"Id": id, "Port": port}
    if row is not None and row.az is not None:
        target["AvailabilityZone"] = row.az
    check_port = group.health_check.port
    return {
        "Target": target,
        "HealthCheckPort": str(port) if check_port == "traffic-port" else check_port,
        "TargetHealth": {name: text for name, text in shown.items() if text is not None},
        "AdministrativeOverride": {
            "State": "no_override",
            "Reason": "AdministrativeOverride.NoOverride",
            "Description": "No override is currently active on target",
        },
    }


def _targets(request: Request) -> Sequence[Mapping[str, Any]]:
    given: Sequence[Mapping[str, Any]] = request["Targets"]
    for target in given:
        port = target.get("Port")
        if port is not None and not 1 <= port <= 65535:
            raise errors.validation(f"The port '{port}' of target '{target['Id']}' must be between 1 and 65535")
    return given


def _group(call: Call, arn: str) -> TargetGroup:
    group = call.tx.get(TARGET_GROUPS, arn)
    if group is None:
        raise errors.target_group_not_found()
    return group


OPERATIONS: tuple[Operation, ...] = (
    write("RegisterTargets", register_targets),
    write("DeregisterTargets", deregister_targets),
    read("DescribeTargetHealth", describe_target_health),
)
