"""Security group with its rules → FilterGroup."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from ecsnet.compile import facts
from ecsnet.compile.view import FragmentSpec, View
from ecsnet.logical.network import FilterGroup, FilterRule, PeerGroup
from ecsnet.model.ec2 import SecurityGroupRule
from ecsnet.model.tables import GROUPS, INTERFACES_WITH_PREFIXES_BY_GROUP, PREFIX_LISTS, RULES_BY_GROUP

_NUMBERS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}
_FAMILY = {"icmp": 4, "icmpv6": 6}


def filter_group(view: View, key: str) -> Iterator[FilterGroup | PeerGroup]:
    """A group with both directions' rules (EC2 API, IpPermission), in every VPC with a router that may use it."""
    vpcs = view.ask(facts.GROUP_VPCS, key)
    for vpc in sorted(vpcs):
        if facts.has_router(view, vpc):
            yield from _in_vpc(view, key, vpc)


def _in_vpc(view: View, key: str, vpc: str) -> Iterator[FilterGroup | PeerGroup]:
    """The group as one VPC's router has it: a rule that names a group means the members in that VPC.

    A rule may name a group of a peered VPC; without an active peering in one region it is stale and admits nobody
    (VPC peering guide, "Update your security groups to reference peer security groups").
    """
    rules: list[tuple[SecurityGroupRule, str | None]] = []
    for rule in view.find(RULES_BY_GROUP, key):
        peering = facts.peering_of(view, rule, vpc)
        if peering is not None:
            assert rule.peer_group is not None
            if vpc not in view.ask(facts.GROUP_VPCS, rule.peer_group):  # else it is a group of this router by itself
                yield PeerGroup(router=vpc, id=rule.peer_group, prefixes=_has_prefixes(view, rule.peer_group))
            rules.append((rule, peering))
        elif _enforceable(view, rule, vpc):
            rules.append((rule, None))
    yield FilterGroup(
        router=vpc,
        id=key,
        ingress=tuple(_rule(view, rule, peering) for rule, peering in rules if not rule.egress),
        egress=tuple(_rule(view, rule, peering) for rule, peering in rules if rule.egress),
        versions=facts.versions(view, vpc),
        prefixes=_has_prefixes(view, key),
    )


def _enforceable(view: View, rule: SecurityGroupRule, vpc: str) -> bool:
    """A rule for a group that this VPC may use, for a block or for a list of the account's own.

    Not: a prefix list of AWS's, whose addresses are not known here; ICMP from IPv6 addresses or the reverse, which no
    packet is.
    """
    if rule.protocol in _FAMILY and _version(view, rule) not in (None, _FAMILY[rule.protocol]):
        return False
    if rule.peer_group is not None:
        return rule.peer_vpc in (None, vpc) and vpc in view.ask(facts.GROUP_VPCS, rule.peer_group)
    return rule.cidr is not None or _address_list(view, rule) is not None


def _version(view: View, rule: SecurityGroupRule) -> int | None:
    """The IP version of the peer; None for a group, which may have addresses of both."""
    listed = _address_list(view, rule)
    if listed is not None:
        return listed[1]
    return None if rule.cidr is None else rule.cidr.version


def _address_list(view: View, rule: SecurityGroupRule) -> tuple[str, Literal[4, 6]] | None:
    """The list with its IP version; what it holds is no matter of the group, so that entries change no group."""
    if rule.prefix_list is None:
        return None
    family = view.project("family", lambda listed: listed.family, PREFIX_LISTS, rule.prefix_list)
    return None if family is None else (rule.prefix_list, family)


def _has_prefixes(view: View, group: str) -> bool:
    return view.exists(INTERFACES_WITH_PREFIXES_BY_GROUP, group)


def _rule(view: View, rule: SecurityGroupRule, peering: str | None) -> FilterRule:
    protocol = None if rule.protocol == "-1" else _NUMBERS.get(rule.protocol) or int(rule.protocol)
    ports = icmp = None
    if protocol in (6, 17) and not (rule.from_port <= 0 and rule.to_port in (-1, 65535)):
        ports = (rule.from_port, rule.to_port)
    elif protocol in (1, 58) and rule.from_port != -1:
        icmp = (rule.from_port, None if rule.to_port == -1 else rule.to_port)
    return FilterRule(
        id=rule.id,
        protocol=protocol,
        ports=ports,
        icmp=icmp,
        network=rule.cidr,
        group=rule.peer_group,
        peering=peering,
        address_list=_address_list(view, rule),
        prefixes=rule.peer_group is not None and _has_prefixes(view, rule.peer_group),
    )


FRAGMENTS = (FragmentSpec(name="filter_group", table=GROUPS, run=filter_group),)
