"""Security group with its rules → FilterGroup."""

from __future__ import annotations

from collections.abc import Iterator

from ecsnet.compile import facts
from ecsnet.compile.view import FragmentSpec, View
from ecsnet.logical.network import FilterGroup, FilterRule, PeerGroup
from ecsnet.model.ec2 import SecurityGroupRule
from ecsnet.model.tables import GROUPS, RULES_BY_GROUP

_NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}


def filter_group(view: View, key: str) -> Iterator[FilterGroup | PeerGroup]:
    """A group of a VPC that has a router, with both directions' rules (EC2 API, IpPermission).

    A rule may name a group of a peered VPC; without an active peering in one region it is stale and admits nobody
    (VPC peering guide, "Update your security groups to reference peer security groups").
    """
    vpc = view.project("vpc", lambda group: group.vpc, GROUPS, key)
    if vpc is None or not facts.has_router(view, vpc):
        return
    rules = []
    for rule in view.find(RULES_BY_GROUP, key):
        if facts.remote_vpc(view, rule, vpc) is not None:
            assert rule.peer_group is not None
            yield PeerGroup(router=vpc, id=rule.peer_group)
            rules.append(rule)
        elif _enforceable(view, rule, vpc):
            rules.append(rule)
    yield FilterGroup(
        router=vpc,
        id=key,
        ingress=tuple(_rule(rule) for rule in rules if not rule.egress),
        egress=tuple(_rule(rule) for rule in rules if rule.egress),
    )


def _enforceable(view: View, rule: SecurityGroupRule, vpc: str) -> bool:
    """A rule for a group of this VPC or for a block.

    The same holds for a prefix list, whose addresses are not known here.
    """
    if rule.peer_group is not None:
        return view.project("vpc", lambda group: group.vpc, GROUPS, rule.peer_group) == vpc
    return rule.cidr is not None


def _rule(rule: SecurityGroupRule) -> FilterRule:
    protocol = None if rule.protocol == "-1" else _NUMBERS.get(rule.protocol) or int(rule.protocol)
    ports = icmp = None
    if protocol in (6, 17) and not (rule.from_port <= 0 and rule.to_port in (-1, 65535)):
        ports = (rule.from_port, rule.to_port)
    elif protocol in (1, 58) and rule.from_port != -1:
        icmp = (rule.from_port, None if rule.to_port == -1 else rule.to_port)
    return FilterRule(id=rule.id, protocol=protocol, ports=ports, icmp=icmp, network=rule.cidr, group=rule.peer_group)


FRAGMENTS = (FragmentSpec(name="filter_group", table=GROUPS, run=filter_group),)
