"""Attributes of load balancers, target groups and listeners: legal values, Describe and Modify.

Tables: API types `LoadBalancerAttribute`, `TargetGroupAttribute` and `ListenerAttribute`. Attributes that ecsnet cannot
put in force are refused when set to anything but their default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from ecsnet.model import elbv2_attributes as defaults
from ecsnet.model.elbv2 import Listener, LoadBalancer, TargetGroup
from ecsnet.model.elbv2_attributes import Stored, value
from ecsnet.model.tables import LISTENERS, LOAD_BALANCERS, TARGET_GROUPS
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.elbv2 import errors
from ecsnet.store.snapshot import Reader

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One attribute: a test of a value and how the legal values are described in the error."""

    legal: Callable[[str], bool]
    expected: str
    built: bool = True
    """False: accepted at its default only, anything else is NotImplemented."""


def _choice(*values: str, built: bool = True) -> Attribute:
    expected = f"one of '{', '.join(values)}'"
    return Attribute(legal=lambda value: value in values, expected=expected, built=built)


def _flag(*, built: bool = True) -> Attribute:
    return _choice("true", "false", built=built)


def _number(low: int, high: int, *also: str, built: bool = True) -> Attribute:
    def legal(value: str) -> bool:
        return value in also or (value.isascii() and value.isdigit() and low <= int(value) <= high)

    expected = f"between '{low}-{high}' inclusive"
    return Attribute(legal=legal, expected=expected, built=built)


def _text(*, built: bool = True) -> Attribute:
    return Attribute(legal=lambda text: len(text) <= 1024, expected="at most 1024 characters", built=built)


_BALANCER: Mapping[str, Attribute] = {
    "access_logs.s3.enabled": _flag(built=False),
    "access_logs.s3.bucket": _text(),
    "access_logs.s3.prefix": _text(),
    "connection_logs.s3.enabled": _flag(built=False),
    "connection_logs.s3.bucket": _text(),
    "connection_logs.s3.prefix": _text(),
    "health_check_logs.s3.enabled": _flag(built=False),
    "health_check_logs.s3.bucket": _text(),
    "health_check_logs.s3.prefix": _text(),
    "client_keep_alive.seconds": _number(60, 604800),
    "deletion_protection.enabled": _flag(),
    "idle_timeout.timeout_seconds": _number(1, 4000),
    "ipv6.deny_all_igw_traffic": _flag(),
    "load_balancing.cross_zone.enabled": _choice("true"),
    "routing.http.desync_mitigation_mode": _choice("monitor", "defensive", "strictest", built=False),
    "routing.http.drop_invalid_header_fields.enabled": _flag(built=False),
    "routing.http.preserve_host_header.enabled": _flag(),
    "routing.http.x_amzn_tls_version_and_cipher_suite.enabled": _flag(built=False),
    "routing.http.xff_client_port.enabled": _flag(),
    "routing.http.xff_header_processing.mode": _choice("append", "preserve", "remove"),
    "routing.http2.enabled": _flag(),
    "waf.fail_open.enabled": _flag(built=False),
    "zonal_shift.config.enabled": _flag(built=False),
}

_GROUP: Mapping[str, Attribute] = {
    "deregistration_delay.timeout_seconds": _number(0, 3600),
    "load_balancing.algorithm.anomaly_mitigation": _choice("on", "off", built=False),
    "load_balancing.algorithm.type": _choice("round_robin", "least_outstanding_requests", "weighted_random"),
    "load_balancing.cross_zone.enabled": _choice("true", "false", "use_load_balancer_configuration"),
    "slow_start.duration_seconds": _number(30, 900, "0"),
    "stickiness.app_cookie.cookie_name": _text(),
    "stickiness.app_cookie.duration_seconds": _number(1, 604800),
    "stickiness.enabled": _flag(),
    "stickiness.lb_cookie.duration_seconds": _number(1, 604800),
    "stickiness.type": _choice("lb_cookie", "app_cookie"),
    "target_group_health.dns_failover.minimum_healthy_targets.count": _number(1, 1000, "off", built=False),
    "target_group_health.dns_failover.minimum_healthy_targets.percentage": _number(1, 100, "off", built=False),
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": _number(1, 1000),
    "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": _number(1, 100, "off"),
}

_LISTENER: Mapping[str, Attribute] = {"routing.http.response.server.enabled": _flag(built=False)}


def deregistration_delay(reader: Reader, target_group: str) -> float:
    """Seconds between deregistration and the end of draining (`deregistration_delay.timeout_seconds`)."""
    group = reader.get(TARGET_GROUPS, target_group)
    stored = group.attributes if group is not None else ()
    return float(value(defaults.GROUP, stored, "deregistration_delay.timeout_seconds"))


def _listed(table: Mapping[str, str], stored: Stored) -> list[dict[str, str]]:
    return [{"Key": key, "Value": text} for key, text in (dict(table) | dict(stored)).items()]


def _changed(
    operation: str, legal: Mapping[str, Attribute], table: Mapping[str, str], stored: Stored, request: Request
) -> Stored:
    values = dict(stored)
    for given in request["Attributes"]:
        key, text = given["Key"], given.get("Value", "")
        attribute = legal.get(key)
        if attribute is None:
            raise errors.invalid_configuration(f"Key {key} not valid")
        if not attribute.legal(text):
            raise errors.validation(f"'{key}' value '{text}' must be {attribute.expected}")
        if not attribute.built and text != table[key]:
            raise not_implemented(operation, f"the value '{text}' of attribute '{key}'")
        values[key] = text
    return tuple((key, text) for key, text in sorted(values.items()) if text != table[key])


def describe_load_balancer_attributes(call: Call, request: Request) -> Reply:
    return {"Attributes": _listed(defaults.BALANCER, _balancer(call, request).attributes)}


def modify_load_balancer_attributes(call: Call, request: Request) -> Reply:
    balancer = _balancer(call, request)
    stored = _changed("ModifyLoadBalancerAttributes", _BALANCER, defaults.BALANCER, balancer.attributes, request)
    call.tx.put(LOAD_BALANCERS, msgspec.structs.replace(balancer, attributes=stored))
    return {"Attributes": _listed(defaults.BALANCER, stored)}


def describe_target_group_attributes(call: Call, request: Request) -> Reply:
    return {"Attributes": _listed(defaults.GROUP, _group(call, request).attributes)}


def modify_target_group_attributes(call: Call, request: Request) -> Reply:
    group = _group(call, request)
    stored = _changed("ModifyTargetGroupAttributes", _GROUP, defaults.GROUP, group.attributes, request)
    _check_group(stored)
    call.tx.put(TARGET_GROUPS, msgspec.structs.replace(group, attributes=stored))
    return {"Attributes": _listed(defaults.GROUP, stored)}


def _check_group(stored: Stored) -> None:
    def of(key: str) -> str:
        return value(defaults.GROUP, stored, key)

    if of("stickiness.enabled") == "true":
        if of("stickiness.type") == "app_cookie":
            if not of("stickiness.app_cookie.cookie_name"):
                raise errors.invalid_configuration(
                    "You must set an application cookie name to enable stickiness of type 'app_cookie'"
                )
            raise not_implemented("ModifyTargetGroupAttributes", "stickiness of type 'app_cookie'")
        if of("load_balancing.cross_zone.enabled") == "false":
            raise errors.invalid_configuration("Stickiness is not supported when cross-zone load balancing is off")
    algorithm = of("load_balancing.algorithm.type")
    if of("slow_start.duration_seconds") != "0" and algorithm != "round_robin":
        raise errors.invalid_configuration(f"Slow start is not supported with the algorithm '{algorithm}'")


def describe_listener_attributes(call: Call, request: Request) -> Reply:
    return {"Attributes": _listed(defaults.LISTENER, _listener(call, request).attributes)}


def modify_listener_attributes(call: Call, request: Request) -> Reply:
    listener = _listener(call, request)
    stored = _changed("ModifyListenerAttributes", _LISTENER, defaults.LISTENER, listener.attributes, request)
    call.tx.put(LISTENERS, msgspec.structs.replace(listener, attributes=stored))
    return {"Attributes": _listed(defaults.LISTENER, stored)}


def _balancer(call: Call, request: Request) -> LoadBalancer:
    return _found(call.tx.get(LOAD_BALANCERS, request["LoadBalancerArn"]), errors.load_balancer_not_found())


def _group(call: Call, request: Request) -> TargetGroup:
    return _found(call.tx.get(TARGET_GROUPS, request["TargetGroupArn"]), errors.target_group_not_found())


def _listener(call: Call, request: Request) -> Listener:
    return _found(call.tx.get(LISTENERS, request["ListenerArn"]), errors.listener_not_found())


def _found(record: T | None, error: AwsError) -> T:
    if record is None:
        raise error
    return record


OPERATIONS: tuple[Operation, ...] = (
    read("DescribeLoadBalancerAttributes", describe_load_balancer_attributes),
    write("ModifyLoadBalancerAttributes", modify_load_balancer_attributes),
    read("DescribeTargetGroupAttributes", describe_target_group_attributes),
    write("ModifyTargetGroupAttributes", modify_target_group_attributes),
    read("DescribeListenerAttributes", describe_listener_attributes),
    write("ModifyListenerAttributes", modify_listener_attributes),
)
