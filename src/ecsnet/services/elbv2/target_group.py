"""Target groups: create, describe, modify, delete.

Defaults and limits: API operation `CreateTargetGroup` and the guide pages "Target groups" and "Health checks".
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from ecsnet.model.base import scope
from ecsnet.model.elbv2 import HealthCheck, TargetGroup
from ecsnet.model.tables import (
    LOAD_BALANCERS,
    TARGET_GROUPS,
    TARGET_GROUPS_BY_SCOPE,
    TARGET_HEALTH,
    TARGETS,
    TARGETS_BY_GROUP,
    VPCS,
    target_key,
)
from ecsnet.services.call import Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.elbv2 import errors, tags
from ecsnet.services.elbv2.health import load_balancers_of, target_groups_of
from ecsnet.services.elbv2.limits import quota
from ecsnet.services.elbv2.paging import page

_ALL_PROTOCOLS = ("HTTP", "HTTPS", "TCP", "TLS", "UDP", "TCP_UDP", "GENEVE", "QUIC", "TCP_QUIC")
_MATCHER = re.compile(r"[2-4]\d\d(-[2-4]\d\d)?(,[2-4]\d\d(-[2-4]\d\d)?)*")


def create_target_group(call: Call, request: Request) -> Reply:
    name = _name(request["Name"])
    kind = request.get("TargetType", "instance")
    if kind in ("lambda", "alb"):
        raise not_implemented("CreateTargetGroup", f"target groups of target type '{kind}'")
    if kind not in ("instance", "ip"):
        raise errors.validation(f"Target type '{kind}' must be one of 'instance, ip, lambda, alb'")
    protocol = _protocol(request)
    port: int | None = request.get("Port")
    if port is None:
        raise errors.validation("A port must be specified")
    if not 1 <= port <= 65535:
        raise errors.validation(f"The port '{port}' must be between 1 and 65535")
    vpc = request.get("VpcId")
    if not vpc:
        raise errors.validation("A VPC ID must be specified")
    found = call.tx.get(VPCS, vpc)
    if found is None or (found.account, found.region) != (call.account, call.region):
        raise errors.validation(f"The VPC ID '{vpc}' is not found")
    if request.get("IpAddressType", "ipv4") != "ipv4":
        raise not_implemented("CreateTargetGroup", f"the IP address type '{request['IpAddressType']}'")
    check = _health_check(protocol, _default_check(protocol), request)
    arn = f"arn:aws:elasticloadbalancing:{call.region}:{call.account}:targetgroup/{name}/{call.ids.hex(16)}"
    group = TargetGroup(
        arn=arn,
        account=call.account,
        region=call.region,
        name=name,
        vpc=vpc,
        target_type=kind,
        protocol=protocol,
        port=port,
        protocol_version=request.get("ProtocolVersion", "HTTP1"),
        health_check=check,
        tags=tags.parse(request),
    )
    existing = tuple(call.tx.find(TARGET_GROUPS_BY_SCOPE, scope(call.account, call.region)))
    for other in existing:
        if other.name == name:
            if msgspec.structs.replace(other, arn=arn, attributes=(), tags=group.tags) != group:
                raise errors.duplicate_target_group_name()
            return {"TargetGroups": [describe(call, other)]}
    if len(existing) >= quota(call, "target-groups"):
        raise errors.too_many("TargetGroups", quota(call, "target-groups"))
    call.tx.put(TARGET_GROUPS, group)
    return {"TargetGroups": [describe(call, group)]}


def _default_check(protocol: str) -> HealthCheck:
    """Guide pages "Health checks" of application and of network load balancers."""
    if protocol == "TCP":
        return HealthCheck(protocol="TCP", timeout=10, matcher="200-399")
    return HealthCheck(protocol=protocol)


def _name(name: str) -> str:
    if len(name) > 32:
        raise errors.validation(f"Target group name '{name}' cannot be longer than '32' characters")
    if not re.fullmatch(r"[A-Za-z0-9-]+", name):
        raise errors.validation(
            f"Target group name '{name}' can only contain characters that are alphanumeric characters or hyphens(-)"
        )
    if name.startswith("-") or name.endswith("-"):
        raise errors.validation(f"Target group name '{name}' cannot begin or end with '-'")
    return name


def _protocol(request: Request) -> str:
    protocol: str | None = request.get("Protocol")
    if protocol is None:
        raise errors.validation("A protocol must be specified")
    if protocol not in _ALL_PROTOCOLS:
        raise errors.validation(
            f"1 validation error detected: Value '{protocol}' at 'protocol' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(_ALL_PROTOCOLS)}]"
        )
    if protocol == "TCP":
        return protocol
    if protocol not in ("HTTP", "HTTPS"):
        raise not_implemented("CreateTargetGroup", f"target groups with the protocol '{protocol}'")
    version = request.get("ProtocolVersion", "HTTP1")
    if version not in ("HTTP1", "HTTP2", "GRPC"):
        raise errors.validation(f"Protocol version '{version}' must be one of 'HTTP1, HTTP2, GRPC'")
    if version != "HTTP1":
        raise not_implemented("CreateTargetGroup", f"the protocol version '{version}'")
    return protocol


def _health_check(group_protocol: str, before: HealthCheck, request: Request) -> HealthCheck:
    if request.get("HealthCheckEnabled") is False:
        raise errors.validation("Health checks must be enabled for target groups with target type 'instance' or 'ip'")
    matcher = request.get("Matcher") or {}
    if matcher.get("GrpcCode"):
        raise errors.validation("A GrpcCode matcher requires the protocol version 'GRPC'")
    check = HealthCheck(
        protocol=request.get("HealthCheckProtocol", before.protocol),
        port=str(request.get("HealthCheckPort", before.port)),
        path=request.get("HealthCheckPath", before.path),
        interval=request.get("HealthCheckIntervalSeconds", before.interval),
        timeout=request.get("HealthCheckTimeoutSeconds", before.timeout),
        healthy_threshold=request.get("HealthyThresholdCount", before.healthy_threshold),
        unhealthy_threshold=request.get("UnhealthyThresholdCount", before.unhealthy_threshold),
        matcher=matcher.get("HttpCode") or before.matcher,
    )
    legal = ("HTTP", "HTTPS", "TCP") if group_protocol == "TCP" else ("HTTP", "HTTPS")
    if check.protocol not in legal:
        raise errors.validation(f"Health check protocol '{check.protocol}' must be one of '{', '.join(legal)}'")
    if check.port != "traffic-port" and not (check.port.isdigit() and 1 <= int(check.port) <= 65535):
        raise errors.validation(f"Health check port '{check.port}' must be 'traffic-port' or between 1 and 65535")
    if not check.path.startswith("/") or len(check.path) > 1024 or not check.path.isascii() or " " in check.path:
        raise errors.validation(f"Health check path '{check.path}' must start with '/' and be a valid URI path")
    for what, value, low, high in (
        ("interval", check.interval, 5, 300),
        ("timeout", check.timeout, 2, 120),
        ("healthy threshold count", check.healthy_threshold, 2, 10),
        ("unhealthy threshold count", check.unhealthy_threshold, 2, 10),
    ):
        if not low <= value <= high:
            raise errors.validation(f"Health check {what} '{value}' must be between {low} and {high}")
    if check.timeout >= check.interval:
        raise errors.validation(
            f"Health check timeout '{check.timeout}' must be smaller than the interval '{check.interval}'"
        )
    if not _MATCHER.fullmatch(check.matcher):
        raise errors.validation(f"Health check matcher HTTP code '{check.matcher}' must be within '200-499'")
    return check


def describe_target_groups(call: Call, request: Request) -> Reply:
    arns, names, balancer = request.get("TargetGroupArns"), request.get("Names"), request.get("LoadBalancerArn")
    if sum(1 for given in (arns, names, balancer) if given) > 1:
        raise errors.validation(
            "Target group names, target group ARNs, and a load balancer ARN cannot be specified at the same time"
        )
    found = list(call.tx.find(TARGET_GROUPS_BY_SCOPE, scope(call.account, call.region)))
    if balancer:
        if call.tx.get(LOAD_BALANCERS, balancer) is None:
            raise errors.load_balancer_not_found()
        used = target_groups_of(call.tx, balancer)
        found = [group for group in found if group.arn in used]
    for wanted, present in ((arns, {g.arn for g in found}), (names, {g.name for g in found})):
        if wanted and not set(wanted) <= present:
            raise errors.target_group_not_found()
    if arns:
        found = [group for group in found if group.arn in arns]
    if names:
        found = [group for group in found if group.name in names]
    found.sort(key=lambda group: group.name)
    chosen, more = page(request, found, lambda group: group.arn)
    return {"TargetGroups": [describe(call, group) for group in chosen], **more}


def modify_target_group(call: Call, request: Request) -> Reply:
    group = _get(call, request["TargetGroupArn"])
    check = _health_check(group.protocol, group.health_check, request)
    changed = msgspec.structs.replace(group, health_check=check)
    call.tx.put(TARGET_GROUPS, changed)
    return {"TargetGroups": [describe(call, changed)]}


def delete_target_group(call: Call, request: Request) -> Reply:
    """Delete a target group with its registrations; one that does not exist is already deleted."""
    arn = request["TargetGroupArn"]
    group = call.tx.get(TARGET_GROUPS, arn)
    if group is None:
        return {}
    if load_balancers_of(call.tx, arn):
        raise errors.resource_in_use(f"The target group '{arn}' is currently in use by a listener or a rule")
    for target in tuple(call.tx.find(TARGETS_BY_GROUP, arn)):
        key = target_key(arn, target.id, target.port)
        call.tx.delete(TARGETS, key)
        call.tx.delete(TARGET_HEALTH, key)
    call.tx.delete(TARGET_GROUPS, arn)
    return {}


def _get(call: Call, arn: str) -> TargetGroup:
    group = call.tx.get(TARGET_GROUPS, arn)
    if group is None:
        raise errors.target_group_not_found()
    return group


def describe(call: Call, group: TargetGroup) -> dict[str, Any]:
    check = group.health_check
    answer = {
        "TargetGroupArn": group.arn,
        "TargetGroupName": group.name,
        "Protocol": group.protocol,
        "Port": group.port,
        "VpcId": group.vpc,
        "HealthCheckProtocol": check.protocol,
        "HealthCheckPort": check.port,
        "HealthCheckEnabled": check.enabled,
        "HealthCheckIntervalSeconds": check.interval,
        "HealthCheckTimeoutSeconds": check.timeout,
        "HealthyThresholdCount": check.healthy_threshold,
        "UnhealthyThresholdCount": check.unhealthy_threshold,
        "LoadBalancerArns": [balancer.arn for balancer in load_balancers_of(call.tx, group.arn)],
        "TargetType": group.target_type,
        "IpAddressType": group.ip_address_type,
    }
    if check.protocol != "TCP":
        answer |= {"HealthCheckPath": check.path, "Matcher": {"HttpCode": check.matcher}}
    if group.protocol != "TCP":
        answer["ProtocolVersion"] = group.protocol_version
    return answer


OPERATIONS: tuple[Operation, ...] = (
    write("CreateTargetGroup", create_target_group),
    read("DescribeTargetGroups", describe_target_groups),
    write("ModifyTargetGroup", modify_target_group),
    write("DeleteTargetGroup", delete_target_group),
)
