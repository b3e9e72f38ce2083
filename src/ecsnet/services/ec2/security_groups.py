"""What other families need to know of security groups: making one, finding the default one, its rules."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import Tags
from ecsnet.model.tables import (
    GROUP_ASSOCIATIONS,
    GROUP_RULES,
    GROUP_SETS,
    GROUP_SETS_BY_PART,
    GROUPS,
    GROUPS_BY_NAME,
    INTERFACES,
    RULES_BY_GROUP,
    VPCS,
    group_name_key,
    group_set_key,
)
from ecsnet.services.call import AwsError, Call
from ecsnet.services.ec2 import idempotency
from ecsnet.store.snapshot import Reader
from ecsnet.store.store import Transaction

DEFAULT_NAME = "default"
EVERYWHERE = IPv4Network("0.0.0.0/0")
EVERYWHERE_6 = IPv6Network("::/0")


def add_group(call: Call, vpc: ec2.Vpc, *, name: str, description: str, tags: Tags = ()) -> ec2.SecurityGroup:
    """A group with AWS's first rules: all egress, no ingress (VPC User Guide, "Security groups")."""
    group = call.tx.put(
        GROUPS,
        ec2.SecurityGroup(
            id=call.ids.resource("sg"),
            account=call.account,
            region=call.region,
            vpc=vpc.id,
            name=name,
            description=description,
            tags=tags,
        ),
    )
    add_rule(call, group, egress=True, cidr=EVERYWHERE)
    if vpc.ipv6_cidrs:
        add_rule(call, group, egress=True, cidr=EVERYWHERE_6)
    return group


def add_default_group(call: Call, vpc: ec2.Vpc) -> ec2.SecurityGroup:
    """The group of every interface that names none: it admits its own members."""
    group = add_group(call, vpc, name=DEFAULT_NAME, description="default VPC security group")
    add_rule(call, group, egress=False, peer_group=group.id)
    return group


def add_rule(
    call: Call,
    group: ec2.SecurityGroup,
    *,
    egress: bool,
    cidr: IPv4Network | IPv6Network | None = None,
    peer_group: str | None = None,
) -> ec2.SecurityGroupRule:
    """A rule for all protocols."""
    return call.tx.put(
        GROUP_RULES,
        ec2.SecurityGroupRule(
            id=call.ids.resource("sgr"),
            group=group.id,
            egress=egress,
            protocol="-1",
            from_port=-1,
            to_port=-1,
            cidr=cidr,
            peer_group=peer_group,
            peer_account=call.account if peer_group is not None else None,
        ),
    )


def group_by_name(reader: Reader, vpc: str, name: str) -> ec2.SecurityGroup | None:
    """The VPC's group of that name; names are unique within a VPC whatever their case."""
    return next(reader.find(GROUPS_BY_NAME, group_name_key(vpc, name)), None)


def default_group(reader: Reader, vpc: str) -> ec2.SecurityGroup:
    """The VPC's default group. Raises InvalidGroup.NotFound for a VPC that does not exist."""
    group = group_by_name(reader, vpc, DEFAULT_NAME)
    if group is None:
        raise AwsError("InvalidGroup.NotFound", f"The security group '{DEFAULT_NAME}' does not exist in VPC '{vpc}'")
    return group


def usable_in(reader: Reader, group: ec2.SecurityGroup, vpc: str) -> bool:
    """Whether interfaces of a VPC may have the group: its own VPC's, and those of VPCs it is associated with."""
    return group.vpc == vpc or reader.get(GROUP_ASSOCIATIONS, f"{group.id}/{vpc}") is not None


def number_group_set(tx: Transaction, vpc: str, groups: Iterable[str]) -> None:
    """See that the groups of an interface of the VPC have a number together."""
    if tx.get(GROUP_SETS, group_set_key(vpc, groups)) is not None:
        return
    home = tx.get(VPCS, vpc)
    assert home is not None, f"interfaces without the VPC {vpc}"
    tx.put(GROUP_SETS, ec2.GroupSet(vpc=vpc, groups=tuple(sorted(groups)), ordinal=home.next_group_set))
    tx.put(VPCS, msgspec.structs.replace(home, next_group_set=home.next_group_set + 1))


def number_group_sets(tx: Transaction) -> None:
    """Number what has no number: a store that was written before sets of groups had any."""
    for row in list(tx.rows(INTERFACES)):
        number_group_set(tx, row.vpc, row.groups)


def forget_group_sets(tx: Transaction, part: str) -> None:
    """Delete the numbers of a VPC's sets of groups, or of the sets that a group was in."""
    for key in list(tx.keys(GROUP_SETS_BY_PART, part)):
        tx.delete(GROUP_SETS, key)


def remove_group(call: Call, group: str) -> None:
    """Delete a group with its rules, without asking who uses it."""
    forget_group_sets(call.tx, group)
    for rule in list(call.tx.keys(RULES_BY_GROUP, group)):
        call.tx.delete(GROUP_RULES, rule)
    idempotency.forget(call, group)
    call.tx.delete(GROUPS, group)
