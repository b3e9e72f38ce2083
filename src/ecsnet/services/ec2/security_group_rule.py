"""The rules of security groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import Tags
from ecsnet.model.tables import GROUP_RULES, GROUPS, RULES_BY_GROUP
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, read, write
from ecsnet.services.ec2 import errors, families
from ecsnet.services.ec2.filters import Filters
from ecsnet.services.ec2.listing import drop_empty
from ecsnet.services.ec2.paging import page
from ecsnet.services.ec2.peered_groups import link_of, shown
from ecsnet.services.ec2.permissions import (
    Permission,
    checked_description,
    requested,
    rule_identity,
)
from ecsnet.services.ec2.prefix_lists import weight
from ecsnet.services.ec2.quotas import quota
from ecsnet.services.ec2.regions import arn
from ecsnet.services.ec2.security_group import named_group
from ecsnet.services.ec2.tagging import specified, tag_set

RULE_NOUN = "security-group-rule"


def _authorize(call: Call, request: Request, *, egress: bool) -> Reply:
    """Source: EC2 API, AuthorizeSecurityGroupIngress and -Egress. One duplicate refuses the whole call.

    Raises InvalidPermission.Duplicate, RulesPerSecurityGroupLimitExceeded and what `permissions.requested` raises.
    """
    group = named_group(call, request)
    wanted = requested(call, group, request)
    present = {rule_identity(rule) for rule in _rules(call, group.id, egress)}
    for one in wanted:
        if one.identity in present:
            raise AwsError("InvalidPermission.Duplicate", f'the specified rule "{one.text}" already exists')
        present.add(one.identity)
    tags = specified(request, RULE_NOUN)
    made = [_put(call, group, one, egress=egress, key=call.ids.resource("sgr"), tags=tags) for one in wanted]
    _check_quota(call, group.id, egress)
    return {
        "Return": True,
        "SecurityGroupRules": [_item(rule, group, link_of(call.tx, rule, group.vpc)) for rule in made],
    }


def _put(
    call: Call, group: ec2.SecurityGroup, one: Permission, *, egress: bool, key: str, tags: Tags = ()
) -> ec2.SecurityGroupRule:
    return call.tx.put(
        GROUP_RULES,
        ec2.SecurityGroupRule(
            id=key,
            group=group.id,
            egress=egress,
            protocol=one.protocol,
            from_port=one.from_port,
            to_port=one.to_port,
            cidr=one.cidr,
            peer_group=one.peer_group,
            peer_account=one.peer_account,
            peer_vpc=one.peer_vpc,
            peering=one.peering,
            prefix_list=one.prefix_list,
            description=one.description,
            tags=tags,
        ),
    )


def _rules(call: Call, group: str, egress: bool) -> Iterator[ec2.SecurityGroupRule]:
    return (rule for rule in call.tx.find(RULES_BY_GROUP, group) if rule.egress is egress)


def rules_fit(call: Call, group: str, *, egress: bool) -> bool:
    """Whether a group's rules of one direction are within the quota, which counts per address family.

    A reference to a group counts in both, one to a prefix list as many times as the list may have entries (VPC User
    Guide, "Amazon VPC quotas").
    """
    limit = quota(call, "rules_per_group")
    rules = list(_rules(call, group, egress))
    return all(sum(_weight(call, rule, version) for rule in rules) <= limit for version in (4, 6))


def _weight(call: Call, rule: ec2.SecurityGroupRule, version: int) -> int:
    if rule.prefix_list is not None:
        return weight(call, rule.prefix_list, version)
    return int(rule.cidr is None or rule.cidr.version == version)


def _check_quota(call: Call, group: str, egress: bool) -> None:
    if not rules_fit(call, group, egress=egress):
        raise AwsError(
            "RulesPerSecurityGroupLimitExceeded", "The maximum number of rules per security group has been reached."
        )


def _revoke(call: Call, request: Request, *, egress: bool) -> Reply:
    """Source: EC2 API, RevokeSecurityGroupIngress and -Egress.

    Rules named by id must exist (InvalidSecurityGroupRuleId.NotFound). Rules named by their content are reported in
    UnknownIpPermissions when they do not, except in a default VPC, which answers InvalidPermission.NotFound.
    """
    group = named_group(call, request)
    gone: list[ec2.SecurityGroupRule]
    unknown: list[Permission] = []
    if request.get("SecurityGroupRuleIds"):
        gone = [_owned(call, group, key, egress) for key in request["SecurityGroupRuleIds"]]
    else:
        present = {rule_identity(rule): rule for rule in _rules(call, group.id, egress)}
        gone = []
        for one in requested(call, group, request, stale=True):
            rule = present.get(one.identity)
            if rule is None:
                unknown.append(one)
            else:
                gone.append(rule)
        if unknown and families.VPC.require(call, group.vpc).is_default:
            raise AwsError("InvalidPermission.NotFound", "The specified rule does not exist in this security group.")
    for rule in gone:
        call.tx.delete(GROUP_RULES, rule.id)
    return {
        "Return": True,
        "RevokedSecurityGroupRules": [_revoked_item(rule) for rule in gone],
        "UnknownIpPermissions": [_unknown_item(one) for one in unknown],
    }


def _unknown(key: str) -> AwsError:
    return AwsError("InvalidSecurityGroupRuleId.NotFound", f"The security group rule ID '{key}' does not exist")


def _owned(call: Call, group: ec2.SecurityGroup, key: str, egress: bool | None) -> ec2.SecurityGroupRule:
    rule = call.tx.get(GROUP_RULES, key)
    if rule is None or rule.group != group.id or (egress is not None and rule.egress is not egress):
        raise _unknown(key)
    return rule


def modify_security_group_rules(call: Call, request: Request) -> Reply:
    """Change rules in place; they keep their ids. Source: EC2 API, ModifySecurityGroupRules."""
    group = families.GROUP.require(call, request["GroupId"])
    for update in request["SecurityGroupRules"]:
        rule = _owned(call, group, update["SecurityGroupRuleId"], None)
        wanted = update.get("SecurityGroupRule") or {}
        (one,) = _exactly_one(requested(call, group, {"IpPermissions": [_block_of(wanted)]}))
        for other in _rules(call, group.id, rule.egress):
            if other.id != rule.id and rule_identity(other) == one.identity:
                raise AwsError("InvalidPermission.Duplicate", f'the specified rule "{one.text}" already exists')
        _put(call, group, one, egress=rule.egress, key=rule.id, tags=rule.tags)
    _check_quota(call, group.id, False)
    _check_quota(call, group.id, True)
    return {"Return": True}


def _exactly_one(found: list[Permission]) -> list[Permission]:
    if len(found) != 1:
        raise errors.combination(
            "A security group rule has exactly one of cidrIpv4, cidrIpv6, prefixListId, referencedGroupId"
        )
    return found


def _block_of(wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """A SecurityGroupRuleRequest as an IpPermission."""
    description = wanted.get("Description")
    block: dict[str, Any] = {
        name: wanted[name] for name in ("IpProtocol", "FromPort", "ToPort") if wanted.get(name) is not None
    }
    for member, list_name, item_name in (
        ("CidrIpv4", "IpRanges", "CidrIp"),
        ("CidrIpv6", "Ipv6Ranges", "CidrIpv6"),
        ("PrefixListId", "PrefixListIds", "PrefixListId"),
        ("ReferencedGroupId", "UserIdGroupPairs", "GroupId"),
    ):
        if wanted.get(member):
            block[list_name] = [{item_name: wanted[member], "Description": description}]
    return block


def _update_descriptions(call: Call, request: Request, *, egress: bool) -> Reply:
    """Source: EC2 API, UpdateSecurityGroupRuleDescriptionsIngress and -Egress. Raises InvalidPermission.NotFound."""
    group = named_group(call, request)
    for one in request.get("SecurityGroupRuleDescriptions") or ():
        if not one.get("SecurityGroupRuleId"):
            raise errors.missing_parameter("securityGroupRuleId")
        rule = _owned(call, group, one["SecurityGroupRuleId"], egress)
        text = checked_description(one.get("Description"))
        call.tx.put(GROUP_RULES, msgspec.structs.replace(rule, description=text))
    if request.get("IpPermissions"):
        present = {rule_identity(rule): rule for rule in _rules(call, group.id, egress)}
        for wanted in requested(call, group, request, stale=True):
            found = present.get(wanted.identity)
            if found is None:
                raise AwsError(
                    "InvalidPermission.NotFound", "The specified rule does not exist in this security group."
                )
            call.tx.put(GROUP_RULES, msgspec.structs.replace(found, description=wanted.description))
    elif not request.get("SecurityGroupRuleDescriptions"):
        raise errors.missing_parameter("ipPermissions")
    return {"Return": True}


def _item(
    rule: ec2.SecurityGroupRule, group: ec2.SecurityGroup, link: ec2.VpcPeeringConnection | None
) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape SecurityGroupRule)."""
    referenced = None
    if rule.peer_group is not None:
        referenced = {"GroupId": rule.peer_group, "UserId": rule.peer_account, "VpcId": group.vpc, **shown(rule, link)}
    return drop_empty(
        {
            "SecurityGroupRuleId": rule.id,
            "SecurityGroupRuleArn": arn(group.region, group.account, f"security-group-rule/{rule.id}"),
            "GroupId": rule.group,
            "GroupOwnerId": group.account,
            "IsEgress": rule.egress,
            **_protocol_members(rule),
            "CidrIpv4": str(rule.cidr) if isinstance(rule.cidr, IPv4Network) else None,
            "CidrIpv6": str(rule.cidr) if isinstance(rule.cidr, IPv6Network) else None,
            "PrefixListId": rule.prefix_list,
            "ReferencedGroupInfo": referenced,
            "Description": rule.description,
            "Tags": tag_set(rule.tags),
        }
    )


def _protocol_members(rule: ec2.SecurityGroupRule | Permission) -> Mapping[str, Any]:
    return {"IpProtocol": rule.protocol, "FromPort": rule.from_port, "ToPort": rule.to_port}


def _revoked_item(rule: ec2.SecurityGroupRule) -> Mapping[str, Any]:
    return drop_empty(
        {
            "SecurityGroupRuleId": rule.id,
            "GroupId": rule.group,
            "IsEgress": rule.egress,
            **_protocol_members(rule),
            "CidrIpv4": str(rule.cidr) if isinstance(rule.cidr, IPv4Network) else None,
            "CidrIpv6": str(rule.cidr) if isinstance(rule.cidr, IPv6Network) else None,
            "PrefixListId": rule.prefix_list,
            "ReferencedGroupId": rule.peer_group,
            "Description": rule.description,
        }
    )


def _unknown_item(one: Permission) -> Mapping[str, Any]:
    item = dict(_protocol_members(one))
    if one.peer_group is not None:
        item["UserIdGroupPairs"] = [{"GroupId": one.peer_group}]
    elif one.prefix_list is not None:
        item["PrefixListIds"] = [{"PrefixListId": one.prefix_list}]
    elif isinstance(one.cidr, IPv4Network):
        item["IpRanges"] = [{"CidrIp": str(one.cidr)}]
    else:
        item["Ipv6Ranges"] = [{"CidrIpv6": str(one.cidr)}]
    return item


_FILTERS: Filters[ec2.SecurityGroupRule] = Filters(
    fields={
        "group-id": lambda call, r: (r.group,),
        "security-group-rule-id": lambda call, r: (r.id,),
    },
    indexes={"group-id": RULES_BY_GROUP},
    keys=frozenset({"security-group-rule-id"}),
    tags=lambda r: r.tags,
)


def _group_of(call: Call, rule: ec2.SecurityGroupRule) -> ec2.SecurityGroup | None:
    """The group, if it is of this account and region; so a rule of another one stays unseen."""
    return families.GROUP.find(call, rule.group)


def describe_security_group_rules(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeSecurityGroupRules."""
    tests = _FILTERS.parse(request)
    rows: Sequence[ec2.SecurityGroupRule]
    if request.get("SecurityGroupRuleIds"):
        rows = [visible_rule(call, key) for key in request["SecurityGroupRuleIds"]]
    else:
        indexed = _FILTERS.candidates(call, tests, GROUP_RULES)
        if indexed is None:
            indexed = (rule for group in families.GROUP.all(call) for rule in call.tx.find(RULES_BY_GROUP, group.id))
        rows = [rule for rule in indexed if _group_of(call, rule) is not None]
    chosen = {rule.id: rule for rule in rows if all(test.matches(call, rule) for test in tests)}
    keys, token = page(request, sorted(chosen), ids_member="SecurityGroupRuleIds")
    return drop_empty({"SecurityGroupRules": [_cached(call, chosen[key]) for key in keys], "NextToken": token})


def visible_rule(call: Call, key: str) -> ec2.SecurityGroupRule:
    """The rule of a group of this account and region. Raises InvalidSecurityGroupRuleId.NotFound."""
    rule = call.tx.get(GROUP_RULES, key)
    if rule is None or _group_of(call, rule) is None:
        raise _unknown(key)
    return rule


def _cached(call: Call, rule: ec2.SecurityGroupRule) -> Cached:
    group = call.tx.get(GROUPS, rule.group)
    if group is None:
        raise _unknown(rule.id)
    link = link_of(call.tx, rule, group.vpc)
    return Cached(key=("sgr", rule.id), sources=(rule, group, link), build=partial(_item, rule, group, link))


OPERATIONS: tuple[Operation, ...] = (
    write("AuthorizeSecurityGroupIngress", partial(_authorize, egress=False)),
    write("AuthorizeSecurityGroupEgress", partial(_authorize, egress=True)),
    write("RevokeSecurityGroupIngress", partial(_revoke, egress=False)),
    write("RevokeSecurityGroupEgress", partial(_revoke, egress=True)),
    write("ModifySecurityGroupRules", modify_security_group_rules),
    write("UpdateSecurityGroupRuleDescriptionsIngress", partial(_update_descriptions, egress=False)),
    write("UpdateSecurityGroupRuleDescriptionsEgress", partial(_update_descriptions, egress=True)),
    read("DescribeSecurityGroupRules", describe_security_group_rules),
)
