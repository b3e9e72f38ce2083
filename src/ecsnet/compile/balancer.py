"""Listener and rules → FrontEnd, Routing, Certificate; target group and targets → Pool and Members."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, cast

from ecsnet.compile.view import FragmentSpec, Query, View
from ecsnet.logical.balancer import (
    Certificate,
    Forward,
    FrontEnd,
    Match,
    Members,
    Node,
    Pool,
    PoolMember,
    Probe,
    Redirect,
    Respond,
    RouteRule,
    Routing,
    Share,
    TcpFrontEnd,
    Tls,
)
from ecsnet.logical.base import LogicalObject
from ecsnet.model import elbv2_attributes as attributes
from ecsnet.model.elbv2 import Action, Condition, Listener, LoadBalancer, Target, TargetGroup
from ecsnet.model.tables import (
    LISTENER_RULES,
    LISTENER_RULES_BY_TARGET_GROUP,
    LISTENERS,
    LISTENERS_BY_TARGET_GROUP,
    LOAD_BALANCERS,
    RULES_BY_LISTENER,
    TARGET_GROUPS,
    TARGETS_BY_GROUP,
)
from ecsnet.model.tls import SSL_POLICIES

ForwardedFor = Literal["append", "append-with-port", "preserve", "remove"]

_MATCH_ON: dict[str, Literal["path", "host", "header", "method", "query", "source"]] = {
    "path-pattern": "path",
    "host-header": "host",
    "http-header": "header",
    "http-request-method": "method",
    "query-string": "query",
    "source-ip": "source",
}
_CHOICE: dict[str, Literal["round-robin", "least-outstanding", "random"]] = {
    "round_robin": "round-robin",
    "least_outstanding_requests": "least-outstanding",
    "weighted_random": "random",
}


_TCP_IDLE_SECONDS = 350
"""Source: guide page "Network Load Balancers" (connection idle timeout)."""


def _nodes(balancer: LoadBalancer) -> tuple[Node, ...]:
    return tuple(
        Node(router=balancer.vpc, port=node.interface, address=node.private_ip, ipv6=node.ipv6_ip)
        for node in balancer.nodes
    )


def _balancer_attribute(balancer: LoadBalancer, key: str) -> str:
    return attributes.value(attributes.BALANCER, balancer.attributes, key)


def _group_attribute(group: TargetGroup, key: str) -> str:
    return attributes.value(attributes.GROUP, group.attributes, key)


def _forwarded_for(balancer: LoadBalancer) -> ForwardedFor:
    mode = _balancer_attribute(balancer, "routing.http.xff_header_processing.mode")
    if mode == "append" and _balancer_attribute(balancer, "routing.http.xff_client_port.enabled") == "true":
        return "append-with-port"
    return cast(ForwardedFor, mode)


# ── listener ─────────────────────────────────────────────────────────────────────────────────────────────────────


def listener(view: View, key: str) -> Iterator[LogicalObject]:
    """The front end of a listener, its routing table and the certificates that it shows."""
    row = view.get(LISTENERS, key)
    balancer = view.get(LOAD_BALANCERS, row.load_balancer) if row is not None else None
    if row is None or balancer is None:
        return
    if row.protocol == "TCP":
        ((pool,),) = (action.forward for action in row.default_actions)
        yield TcpFrontEnd(
            balancer=balancer.arn,
            id=row.arn,
            port=row.port,
            nodes=_nodes(balancer),
            pool=pool.target_group,
            idle_seconds=_TCP_IDLE_SECONDS,
        )
        return
    yield FrontEnd(
        balancer=balancer.arn,
        id=row.arn,
        port=row.port,
        nodes=_nodes(balancer),
        tls=_tls(row, balancer),
        idle_seconds=int(_balancer_attribute(balancer, "idle_timeout.timeout_seconds")),
        keep_alive_seconds=int(_balancer_attribute(balancer, "client_keep_alive.seconds")),
        forwarded_for=_forwarded_for(balancer),
        preserve_host=_balancer_attribute(balancer, "routing.http.preserve_host_header.enabled") == "true",
    )
    yield Routing(
        balancer=balancer.arn,
        front_end=row.arn,
        port=row.port,
        secure=row.protocol == "HTTPS",
        nodes=_nodes(balancer),
        forwarded_for=_forwarded_for(balancer),
        rules=tuple(_rules(view, row)),
    )
    for certificate in row.certificates:
        yield Certificate(balancer=balancer.arn, id=certificate, names=(balancer.dns_name.lower(),))


def _tls(row: Listener, balancer: LoadBalancer) -> Tls | None:
    if row.protocol != "HTTPS":
        return None
    policy = SSL_POLICIES[row.ssl_policy or ""]
    return Tls(
        certificates=row.certificates,
        lowest=policy.protocols[0],
        highest=policy.protocols[-1],
        ciphers=tuple(cipher for cipher in policy.ciphers if not cipher.startswith("TLS_")),
        http2=_balancer_attribute(balancer, "routing.http2.enabled") == "true",
    )


def _rules(view: View, row: Listener) -> Iterator[RouteRule]:
    for rule in sorted(view.find(RULES_BY_LISTENER, row.arn), key=lambda rule: rule.priority):
        yield RouteRule(
            id=rule.arn,
            matches=tuple(_match(condition) for condition in rule.conditions),
            action=_action(view, rule.actions),
        )
    yield RouteRule(id=row.arn, matches=(), action=_action(view, row.default_actions))


def _match(condition: Condition) -> Match:
    return Match(on=_MATCH_ON[condition.field], values=condition.values, header=condition.header, pairs=condition.query)


def _action(view: View, actions: tuple[Action, ...]) -> Forward | Respond | Redirect:
    (action,) = actions
    match action.type:
        case "forward":
            shares = tuple(
                Share(
                    pool=item.target_group,
                    weight=item.weight,
                    cookie_seconds=view.project("cookie", _cookie_seconds, TARGET_GROUPS, item.target_group),
                )
                for item in action.forward
            )
            return Forward(shares=shares, sticky_seconds=action.stickiness_seconds)
        case "redirect":
            return Redirect(
                status=int((action.status_code or "").removeprefix("HTTP_")),
                protocol=action.protocol or "",
                host=action.host or "",
                port=action.port or "",
                path=action.path or "",
                query=action.query or "",
            )
        case "fixed-response":
            return Respond(
                status=int(action.status_code or ""),
                content_type=action.content_type,
                body=action.message_body or "",
            )


def _cookie_seconds(group: TargetGroup) -> int | None:
    if _group_attribute(group, "stickiness.enabled") != "true":
        return None
    return int(_group_attribute(group, "stickiness.lb_cookie.duration_seconds"))


# ── target group ─────────────────────────────────────────────────────────────────────────────────────────────────


def _user(view: View, group: str) -> str | None:
    """The ARN of the load balancer that forwards to a target group; an ALB's group has at most one."""
    found = [row.load_balancer for row in view.find(LISTENERS_BY_TARGET_GROUP, group)]
    for key in sorted(view.keys(LISTENER_RULES_BY_TARGET_GROUP, group)):
        holder = view.project("listener", lambda rule: rule.listener, LISTENER_RULES, key)
        balancer = view.project("balancer", lambda row: row.load_balancer, LISTENERS, holder or "")
        if balancer is not None:
            found.append(balancer)
    return min(found, default=None)


_USER = Query(name="target_group_user", run=_user)


def target_group(view: View, key: str) -> Iterator[LogicalObject]:
    """The pool of a target group that a load balancer uses, and its members per node."""
    group = view.get(TARGET_GROUPS, key)
    user = view.ask(_USER, key)
    balancer = view.get(LOAD_BALANCERS, user) if user is not None else None
    if group is None or balancer is None:
        return
    probe = _probe(group)
    targets = tuple(view.find(TARGETS_BY_GROUP, key))
    yield Pool(
        balancer=balancer.arn,
        id=group.arn,
        nodes=_nodes(balancer),
        tls=group.protocol == "HTTPS",
        probe=probe,
        choice=_CHOICE[_group_attribute(group, "load_balancing.algorithm.type")],
        slow_start_seconds=int(_group_attribute(group, "slow_start.duration_seconds")),
        idle_seconds=int(_balancer_attribute(balancer, "idle_timeout.timeout_seconds")),
        panic_percent=_panic_percent(group, targets),
    )
    own_zone_only = not _crosses_zones(balancer, group)
    zones = {node.az for node in balancer.nodes}
    for place, node in zip(balancer.nodes, _nodes(balancer), strict=True):
        allowed = {place.az} if own_zone_only else zones
        yield Members(
            balancer=balancer.arn,
            pool=group.arn,
            node=node,
            probe_port=probe.port,
            members=tuple(_members(targets, allowed)),
        )


def _crosses_zones(balancer: LoadBalancer, group: TargetGroup) -> bool:
    """Whether a node uses targets of other zones: by default those of an application load balancer do."""
    own = _group_attribute(group, "load_balancing.cross_zone.enabled")
    if own != "use_load_balancer_configuration":
        return own == "true"
    if balancer.type == "application":
        return True
    return ("load_balancing.cross_zone.enabled", "true") in balancer.attributes


def _members(targets: Iterable[Target], zones: set[str]) -> Iterator[PoolMember]:
    for target in targets:
        if target.address is not None and (target.az in (None, "all") or target.az in zones):
            yield PoolMember(address=target.address, port=target.port, draining=target.draining_since is not None)


def _probe(group: TargetGroup) -> Probe:
    check = group.health_check
    return Probe(
        http=check.protocol != "TCP",
        tls=check.protocol == "HTTPS",
        port=None if check.port == "traffic-port" else int(check.port),
        path=check.path,
        interval=check.interval,
        timeout=check.timeout,
        healthy=check.healthy_threshold,
        unhealthy=check.unhealthy_threshold,
        statuses=tuple(_status_range(text) for text in check.matcher.split(",")),
    )


def _status_range(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def _panic_percent(group: TargetGroup, targets: tuple[Target, ...]) -> int:
    """The share of healthy targets below which requests go to all of them, in whole percent, at least 1.

    A count k of n targets becomes the percentage halfway between k - 1 and k targets. With the default (1 target) it
    stays 1, whatever n is, so that a changed membership does not change the pool itself: up to 100 targets that is
    exact. Source: guide page "Target group health" (unhealthy state routing).
    """
    prefix = "target_group_health.unhealthy_state_routing.minimum_healthy_targets"
    percentage = _group_attribute(group, f"{prefix}.percentage")
    count = int(_group_attribute(group, f"{prefix}.count"))
    present = sum(1 for target in targets if target.draining_since is None)
    by_count = 1 if count == 1 or not present else round(100 * (min(count, present) - 0.5) / present)
    return max(1, min(100, by_count), 0 if percentage == "off" else int(percentage))


FRAGMENTS = (
    FragmentSpec(name="listener", table=LISTENERS, run=listener),
    FragmentSpec(name="target_group", table=TARGET_GROUPS, run=target_group),
)
