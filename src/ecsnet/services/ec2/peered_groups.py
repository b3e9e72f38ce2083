"""Group rules across peerings: what is shown about the far VPC, and which rules are stale.

A rule that names a group of a peered VPC stays when the peering or the group goes, and admits nobody. When the same
VPCs are peered again it is in force again (VPC peering guide, "Identify stale security group rules").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ecsnet.model import ec2
from ecsnet.model.tables import GROUPS, PEERINGS
from ecsnet.services.ec2.vpc_peerings import shares_groups
from ecsnet.store.snapshot import Reader


def link_of(reader: Reader, rule: ec2.SecurityGroupRule, vpc: str) -> ec2.VpcPeeringConnection | None:
    """The connection over which a rule of `vpc` reaches a far group: the active one, else the one it was made over.

    None for rules that name no group of another VPC, and when the connection is no longer known.
    """
    if rule.peer_vpc is None:
        return None
    found = shares_groups(reader, vpc, rule.peer_vpc)
    return found if found is not None or rule.peering is None else reader.get(PEERINGS, rule.peering)


def shown(rule: ec2.SecurityGroupRule, link: ec2.VpcPeeringConnection | None) -> Mapping[str, Any]:
    """The members of a UserIdGroupPair or ReferencedSecurityGroup that only a reference across a peering has."""
    if rule.peer_vpc is None:
        return {}
    known = link.id if link is not None else rule.peering
    return {
        "VpcId": rule.peer_vpc,
        **({"VpcPeeringConnectionId": known} if known else {}),
        "PeeringStatus": link.status if link is not None else "deleted",
    }


def is_stale(reader: Reader, rule: ec2.SecurityGroupRule, vpc: str) -> bool:
    """Whether a rule of `vpc` names a group that is gone or that no peering leads to any more."""
    if rule.peer_vpc is None or rule.peer_group is None:
        return False
    peer = reader.get(GROUPS, rule.peer_group)
    return peer is None or peer.vpc != rule.peer_vpc or shares_groups(reader, vpc, rule.peer_vpc) is None


def references(reader: Reader, vpc: str, rules: Iterable[ec2.SecurityGroupRule]) -> Mapping[str, Mapping[str, Any]]:
    """`shown` of each rule, by the rule's id."""
    return {rule.id: shown(rule, link_of(reader, rule, vpc)) for rule in rules}
