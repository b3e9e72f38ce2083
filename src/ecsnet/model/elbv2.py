"""Stored Elastic Load Balancing v2 resources."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import Literal

from ecsnet.model.base import Record, Tags


class LoadBalancerNode(Record, frozen=True, kw_only=True, gc=False):
    """The load balancer's interface in one zone."""

    az: str
    subnet: str
    interface: str
    private_ip: IPv4Address
    public_ip: IPv4Address | None = None
    ipv6_ip: IPv6Address | None = None


class LoadBalancer(Record, frozen=True, kw_only=True, gc=False):
    arn: str
    account: str
    region: str
    name: str
    dns_name: str
    type: Literal["application", "network", "gateway"] = "application"
    scheme: Literal["internet-facing", "internal"]
    vpc: str
    nodes: tuple[LoadBalancerNode, ...]
    groups: tuple[str, ...]
    ip_address_type: str = "ipv4"
    attributes: tuple[tuple[str, str], ...] = ()
    """Only those that differ from AWS's defaults."""
    created: float
    tags: Tags = ()


class TargetGroupTuple(Record, frozen=True, kw_only=True, gc=False):
    target_group: str
    weight: int = 1


class Action(Record, frozen=True, kw_only=True, gc=False):
    """A listener or rule action. Members that do not belong to its type are None."""

    type: Literal["forward", "fixed-response", "redirect"]
    order: int | None = None
    forward: tuple[TargetGroupTuple, ...] = ()
    stickiness_seconds: int | None = None
    status_code: str | None = None
    """fixed-response: "200"…"599"; redirect: "HTTP_301" or "HTTP_302"."""
    content_type: str | None = None
    message_body: str | None = None
    host: str | None = None
    path: str | None = None
    port: str | None = None
    protocol: str | None = None
    query: str | None = None


class Condition(Record, frozen=True, kw_only=True, gc=False):
    field: Literal["path-pattern", "host-header", "http-header", "http-request-method", "query-string", "source-ip"]
    values: tuple[str, ...] = ()
    header: str | None = None
    query: tuple[tuple[str | None, str], ...] = ()


class Listener(Record, frozen=True, kw_only=True, gc=False):
    arn: str
    load_balancer: str
    port: int
    protocol: str
    default_actions: tuple[Action, ...]
    certificates: tuple[str, ...] = ()
    ssl_policy: str | None = None
    attributes: tuple[tuple[str, str], ...] = ()
    tags: Tags = ()


class Rule(Record, frozen=True, kw_only=True, gc=False):
    arn: str
    listener: str
    priority: int
    conditions: tuple[Condition, ...]
    actions: tuple[Action, ...]
    tags: Tags = ()


class HealthCheck(Record, frozen=True, kw_only=True, gc=False):
    enabled: bool = True
    protocol: str = "HTTP"
    port: str = "traffic-port"
    path: str = "/"
    interval: int = 30
    timeout: int = 5
    healthy_threshold: int = 5
    unhealthy_threshold: int = 2
    matcher: str = "200"


class TargetGroup(Record, frozen=True, kw_only=True, gc=False):
    arn: str
    account: str
    region: str
    name: str
    vpc: str | None
    target_type: Literal["instance", "ip", "lambda", "alb"] = "instance"
    protocol: str
    port: int
    protocol_version: str = "HTTP1"
    ip_address_type: str = "ipv4"
    health_check: HealthCheck
    attributes: tuple[tuple[str, str], ...] = ()
    """Only those that differ from AWS's defaults."""
    tags: Tags = ()


class Target(Record, frozen=True, kw_only=True, gc=False):
    """A registered target: target group, id (address or instance) and port."""

    target_group: str
    id: str
    port: int
    az: str | None = None
    address: IPv4Address | None
    """The address that packets go to; None while it cannot be known."""
    registered: float
    draining_since: float | None = None
    """Set by DeregisterTargets; the row goes when the deregistration delay is over."""


class TargetHealth(Record, frozen=True, kw_only=True, gc=False):
    """What the load balancer's own probes saw of one target (an observation; state per AWS's TargetHealth)."""

    target_group: str
    id: str
    port: int
    state: Literal["initial", "healthy", "unhealthy", "unused", "draining", "unavailable"]
    reason: str | None = None
    description: str | None = None
    changed: float


class ObservedLoadBalancer(Record, frozen=True, kw_only=True, gc=False):
    """The proxy was seen listening on every node address at this store revision."""

    load_balancer: str
    revision: int
