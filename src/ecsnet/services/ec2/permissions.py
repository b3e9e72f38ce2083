"""Security group rules as requests spell them: IpPermissions (and the flat old form) to rules and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import IpNetwork
from ecsnet.model.tables import GROUPS, RULES_BY_REMOTE_GROUP
from ecsnet.services.call import AwsError, Call, Request
from ecsnet.services.ec2 import cidrs, errors, families
from ecsnet.services.ec2.listing import drop_empty
from ecsnet.services.ec2.prefix_lists import prefix_list
from ecsnet.services.ec2.security_groups import group_by_name, usable_in
from ecsnet.services.ec2.vpc_peerings import shares_groups

_BY_NUMBER = {6: "tcp", 17: "udp", 1: "icmp", 58: "icmpv6"}
_WITH_PORTS = ("tcp", "udp")
_WITH_TYPES = ("icmp", "icmpv6")
ALL_PROTOCOLS = "-1"


class Permission(msgspec.Struct, frozen=True, kw_only=True):
    """One rule without its id: what makes two rules the same, and its description."""

    protocol: str
    from_port: int
    to_port: int
    cidr: IpNetwork | None = None
    peer_group: str | None = None
    peer_account: str | None = None
    peer_vpc: str | None = None
    peering: str | None = None
    prefix_list: str | None = None
    description: str | None = None

    @property
    def identity(self) -> tuple[object, ...]:
        """Two rules with the same identity in one group and direction are duplicates, whatever they say."""
        return (self.protocol, self.from_port, self.to_port, self.cidr, self.peer_group, self.prefix_list)

    @property
    def text(self) -> str:
        """The rule as AWS's error messages spell it."""
        peer = self.cidr or self.peer_group or self.prefix_list
        if self.protocol == ALL_PROTOCOLS:
            return f"peer: {peer}, ALL, ALLOW"
        if self.protocol in _WITH_PORTS:
            return f"peer: {peer}, {self.protocol.upper()}, from port: {self.from_port}, to port: {self.to_port}, ALLOW"
        if self.protocol in _WITH_TYPES:
            return f"peer: {peer}, {self.protocol.upper()}, type: {self.from_port}, code: {self.to_port}, ALLOW"
        return f"peer: {peer}, protocol: {self.protocol}, ALLOW"


def rule_identity(rule: ec2.SecurityGroupRule) -> tuple[object, ...]:
    """The `identity` of a stored rule."""
    return (rule.protocol, rule.from_port, rule.to_port, rule.cidr, rule.peer_group, rule.prefix_list)


def requested(call: Call, group: ec2.SecurityGroup, request: Request, *, stale: bool = False) -> list[Permission]:
    """The rules that a request names, in IpPermissions or in the flat members.

    With `stale` a group that the group's rules name is good, also when it or its peering is gone.

    Raises MissingParameter, InvalidParameterValue, InvalidGroup.NotFound.
    """
    if request.get("IpPermissions"):
        return [one for block in request["IpPermissions"] for one in _of_block(call, group, block, stale)]
    if not request.get("IpProtocol") and not request.get("SourceSecurityGroupName"):
        raise errors.missing_parameter("ipPermissions")
    block: dict[str, Any] = {name: request[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in request}
    if request.get("SourceSecurityGroupName"):
        block.setdefault("IpProtocol", ALL_PROTOCOLS)
        block["UserIdGroupPairs"] = [
            {"GroupName": request["SourceSecurityGroupName"], "UserId": request.get("SourceSecurityGroupOwnerId")}
        ]
    if request.get("CidrIp"):
        block["IpRanges"] = [{"CidrIp": request["CidrIp"]}]
    return list(_of_block(call, group, block, stale))


def _of_block(call: Call, group: ec2.SecurityGroup, block: Mapping[str, Any], stale: bool) -> Iterator[Permission]:
    protocol, first, last = _ports(block)
    found = False
    for one in block.get("IpRanges") or ():
        found = True
        cidr: IpNetwork = cidrs.ipv4(_text(one, "CidrIp"), "cidrIp")
        yield _permission(protocol, first, last, one, cidr=cidr)
    for one in block.get("Ipv6Ranges") or ():
        found = True
        yield _permission(protocol, first, last, one, cidr=cidrs.ipv6(_text(one, "CidrIpv6"), "cidrIpv6"))
    for one in block.get("PrefixListIds") or ():
        found = True
        listed = prefix_list(call, _text(one, "PrefixListId"))
        yield _permission(protocol, first, last, one, prefix_list=listed.id)
    for one in block.get("UserIdGroupPairs") or ():
        found = True
        yield _permission(protocol, first, last, one, **_reference(call, group, one, stale=stale))
    if not found:
        raise errors.missing_parameter("cidrIp, cidrIpv6, prefixListId or groupId")


def _permission(protocol: str, first: int, last: int, one: Mapping[str, Any], **peer: Any) -> Permission:
    return Permission(
        protocol=protocol,
        from_port=first,
        to_port=last,
        description=checked_description(one.get("Description")),
        **peer,
    )


def _text(one: Mapping[str, Any], member: str) -> str:
    value = one.get(member)
    if not value:
        raise errors.missing_parameter(member[0].lower() + member[1:])
    return str(value)


def _ports(block: Mapping[str, Any]) -> tuple[str, int, int]:
    """Protocol and ports in their one stored form (EC2 API, shape IpPermission)."""
    given = str(block.get("IpProtocol") or "").lower()
    if not given:
        raise errors.missing_parameter("ipProtocol")
    number = cidrs.protocol_number(given)
    protocol = given if number is None else _BY_NUMBER.get(number, str(number))
    first, last = block.get("FromPort"), block.get("ToPort")
    if protocol in _WITH_PORTS:
        return _port_range(protocol, first, last)
    if protocol in _WITH_TYPES:
        kind = -1 if first is None else int(first)
        code = -1 if last is None or kind == -1 else int(last)
        if not -1 <= kind <= 255 or not -1 <= code <= 255:
            raise AwsError("InvalidParameterValue", f"Invalid value '{kind}, {code}' for ICMP type and code.")
        return protocol, kind, code
    if protocol == ALL_PROTOCOLS or number is not None:
        # The ports of a protocol without ports mean nothing: all are covered.
        return protocol, -1, -1
    raise AwsError(
        "InvalidParameterValue",
        f"Invalid value '{given}' for IP protocol. Unknown protocol.",
    )


def _port_range(protocol: str, first: Any, last: Any) -> tuple[str, int, int]:
    if first is None or last is None:
        raise AwsError(
            "InvalidParameterValue",
            f"Invalid value 'Must specify both from and to ports with {protocol.upper()}.' for portRange.",
        )
    if (first, last) == (-1, -1):
        return protocol, 0, 65535
    if not 0 <= first <= 65535 or not 0 <= last <= 65535:
        wrong = first if not 0 <= first <= 65535 else last
        raise AwsError("InvalidParameterValue", f"Invalid value '{wrong}' for port. Must be between 0 and 65535.")
    if first > last:
        raise AwsError(
            "InvalidParameterValue", f"Invalid TCP/UDP port range ({first}:{last}). The first port is above the last."
        )
    return protocol, int(first), int(last)


def _reference(call: Call, group: ec2.SecurityGroup, pair: Mapping[str, Any], *, stale: bool) -> Mapping[str, Any]:
    """The members of a rule that name the group of a UserIdGroupPair: by id, or by name in the group's own VPC.

    A group of another VPC, also of another account (`account/sg-…`), may be named over an active peering within the
    region (VPC peering guide, "Update your security groups to reference peer security groups"). Raises
    InvalidGroup.NotFound.
    """
    if pair.get("GroupId"):
        return _by_id(call, group, str(pair["GroupId"]).rpartition("/")[2], stale)
    name = pair.get("GroupName")
    if not name:
        raise errors.missing_parameter("groupId")
    other = group_by_name(call.tx, group.vpc, name)
    if other is None:
        raise AwsError("InvalidGroup.NotFound", f"The security group '{name}' does not exist in VPC '{group.vpc}'")
    return {"peer_group": other.id, "peer_account": other.account}


def _by_id(call: Call, group: ec2.SecurityGroup, key: str, stale: bool) -> Mapping[str, Any]:
    peer = call.tx.get(GROUPS, key)
    if peer is not None and usable_in(call.tx, peer, group.vpc):
        return {"peer_group": peer.id, "peer_account": peer.account}
    link = None if peer is None else shares_groups(call.tx, group.vpc, peer.vpc)
    if peer is not None and link is not None:
        return {"peer_group": key, "peer_account": peer.account, "peer_vpc": peer.vpc, "peering": link.id}
    for rule in call.tx.find(RULES_BY_REMOTE_GROUP, key) if stale else ():
        if rule.group == group.id:
            return {"peer_group": key, "peer_account": rule.peer_account, "peer_vpc": rule.peer_vpc}
    families.GROUP.require(call, key)
    raise AwsError(
        "InvalidGroup.NotFound",
        f"You have specified two resources that belong to different networks: {group.id} and {key}.",
    )


def checked_description(text: str | None) -> str | None:
    """A rule's description. Raises InvalidParameterValue beyond 255 characters."""
    if text and len(text) > 255:
        raise AwsError(
            "InvalidParameterValue", "Invalid rule description. Rule descriptions must be 255 characters or fewer."
        )
    return text or None


References = Mapping[str, Mapping[str, Any]]
"""What is shown about the peered VPC of a rule, by the rule's id (`peered_groups.references`)."""


def permission_items(rules: Iterable[ec2.SecurityGroupRule], references: References) -> list[Mapping[str, Any]]:
    """Rules as IpPermissions: one block per protocol and port range."""
    blocks: dict[tuple[str, int, int], dict[str, Any]] = {}
    for rule in sorted(rules, key=lambda r: (r.protocol, r.from_port, r.to_port, r.id)):
        key = (rule.protocol, rule.from_port, rule.to_port)
        block = blocks.get(key)
        if block is None:
            block = {"IpProtocol": rule.protocol}
            if rule.protocol in _WITH_PORTS or rule.protocol in _WITH_TYPES:
                block.update(FromPort=rule.from_port, ToPort=rule.to_port)
            block.update(UserIdGroupPairs=[], IpRanges=[], Ipv6Ranges=[], PrefixListIds=[])
            blocks[key] = block
        member, item = _peer_item(rule, references)
        block[member].append(item)
    return list(blocks.values())


def _peer_item(rule: ec2.SecurityGroupRule, references: References) -> tuple[str, Mapping[str, Any]]:
    if rule.peer_group is not None:
        item = {"GroupId": rule.peer_group, "UserId": rule.peer_account, "Description": rule.description}
        return "UserIdGroupPairs", drop_empty({**item, **references.get(rule.id, {})})
    if rule.prefix_list is not None:
        return "PrefixListIds", drop_empty({"PrefixListId": rule.prefix_list, "Description": rule.description})
    if isinstance(rule.cidr, IPv4Network):
        return "IpRanges", drop_empty({"CidrIp": str(rule.cidr), "Description": rule.description})
    return "Ipv6Ranges", drop_empty({"CidrIpv6": str(rule.cidr), "Description": rule.description})
