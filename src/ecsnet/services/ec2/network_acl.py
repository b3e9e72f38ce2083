"""Network ACLs, their entries and their associations with subnets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import IpNetwork
from ecsnet.model.tables import (
    ACL_ASSOCIATIONS,
    ACL_ASSOCIATIONS_BY_ACL,
    ACLS,
    ACLS_BY_VPC,
    SUBNETS,
    VPCS,
)
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, read, write
from ecsnet.services.ec2 import cidrs, errors, families, idempotency
from ecsnet.services.ec2.filters import Extract, Filters, flag
from ecsnet.services.ec2.listing import Listing, drop_empty, each
from ecsnet.services.ec2.quotas import quota
from ecsnet.services.ec2.security_groups import EVERYWHERE, EVERYWHERE_6
from ecsnet.services.ec2.tagging import specified, tag_set

_LAST_NUMBER = 32766
_NUMBERS = {"all": "-1", "icmp": "1", "tcp": "6", "udp": "17", "icmpv6": "58"}
_WITH_PORTS = ("6", "17")
_TYPES_OF = {"1": 4, "58": 6}
"""ICMP has types and codes in its own address family; with a block of the other one an entry covers the bare protocol
number (EC2 API, CreateNetworkAclEntry, Protocol)."""


def create_network_acl(call: Call, request: Request) -> Reply:
    """An ACL that denies everything. Source: EC2 API, CreateNetworkAcl. Raises NetworkAclLimitExceeded."""
    known = idempotency.earlier(call, "CreateNetworkAcl", request)
    if known is not None:
        return _created(call, families.ACL.require(call, known), request)
    vpc = families.VPC.require(call, request["VpcId"])
    if len(call.tx.keys(ACLS_BY_VPC, vpc.id)) >= quota(call, "acls_per_vpc"):
        raise errors.limit_exceeded("NetworkAclLimitExceeded", "network ACLs")
    acl = call.tx.put(
        ACLS,
        ec2.NetworkAcl(
            id=call.ids.resource("acl"),
            account=call.account,
            region=call.region,
            vpc=vpc.id,
            is_default=False,
            entries=(),
            tags=specified(request, families.ACL.noun),
        ),
    )
    idempotency.remember(call, "CreateNetworkAcl", request, acl.id)
    return _created(call, acl, request)


def _created(call: Call, acl: ec2.NetworkAcl, request: Request) -> Reply:
    return drop_empty({"NetworkAcl": _cached(call, acl).build(), "ClientToken": request.get("ClientToken")})


def delete_network_acl(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DeleteNetworkAcl. Raises DependencyViolation for the default ACL and while associated."""
    acl = families.ACL.require(call, request["NetworkAclId"])
    associations = list(call.tx.find(ACL_ASSOCIATIONS_BY_ACL, acl.id))
    if acl.is_default or associations:
        raise errors.dependency("network ACL", acl.id, (one.subnet for one in associations))
    idempotency.forget(call, acl.id)
    call.tx.delete(ACLS, acl.id)
    return {}


def create_network_acl_entry(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateNetworkAclEntry.

    Raises NetworkAclEntryAlreadyExists, NetworkAclEntryLimitExceeded, InvalidParameterValue, MissingParameter.
    """
    acl = families.ACL.require(call, request["NetworkAclId"])
    entry = _entry(request)
    if _find(acl, entry.number, entry.egress) is not None:
        raise AwsError(
            "NetworkAclEntryAlreadyExists", f"The network acl entry identified by {entry.number} already exists."
        )
    if sum(1 for one in acl.entries if one.egress is entry.egress) >= quota(call, "entries_per_acl"):
        raise errors.limit_exceeded("NetworkAclEntryLimitExceeded", "network ACL entries")
    _put_entries(call, acl, (*acl.entries, entry))
    return {}


def replace_network_acl_entry(call: Call, request: Request) -> Reply:
    """Source: EC2 API, ReplaceNetworkAclEntry. Raises InvalidNetworkAclEntry.NotFound."""
    acl = families.ACL.require(call, request["NetworkAclId"])
    entry = _entry(request)
    old = _require(acl, entry.number, entry.egress)
    _put_entries(call, acl, (*(one for one in acl.entries if one is not old), entry))
    return {}


def delete_network_acl_entry(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DeleteNetworkAclEntry. Raises InvalidNetworkAclEntry.NotFound."""
    acl = families.ACL.require(call, request["NetworkAclId"])
    old = _require(acl, request["RuleNumber"], bool(request["Egress"]))
    _put_entries(call, acl, tuple(one for one in acl.entries if one is not old))
    return {}


def _put_entries(call: Call, acl: ec2.NetworkAcl, entries: Sequence[ec2.NetworkAclEntry]) -> None:
    ordered = tuple(sorted(entries, key=lambda one: (one.egress, one.number)))
    call.tx.put(ACLS, msgspec.structs.replace(acl, entries=ordered))


def _find(acl: ec2.NetworkAcl, number: int, egress: bool) -> ec2.NetworkAclEntry | None:
    return next((one for one in acl.entries if one.number == number and one.egress is egress), None)


def _require(acl: ec2.NetworkAcl, number: int, egress: bool) -> ec2.NetworkAclEntry:
    entry = _find(acl, number, egress)
    if entry is None:
        way = "egress" if egress else "ingress"
        raise AwsError(
            "InvalidNetworkAclEntry.NotFound",
            f"The {way} network acl entry identified by {number} does not exist in {acl.id}",
        )
    return entry


def _entry(request: Request) -> ec2.NetworkAclEntry:
    number = int(request["RuleNumber"])
    if not 1 <= number <= _LAST_NUMBER:
        raise errors.invalid_value("ruleNumber", number, f"Rule numbers go from 1 to {_LAST_NUMBER}.")
    action = request["RuleAction"]
    if action not in ("allow", "deny"):
        raise errors.invalid_value("ruleAction", action, "Use allow or deny.")
    entry = ec2.NetworkAclEntry(
        number=number,
        egress=bool(request["Egress"]),
        allow=action == "allow",
        protocol=_protocol(str(request["Protocol"]).lower()),
        cidr=_block(request),
    )
    if entry.protocol in _WITH_PORTS:
        first, last = _ports(request.get("PortRange") or {})
        return msgspec.structs.replace(entry, from_port=first, to_port=last)
    if _TYPES_OF.get(entry.protocol) == entry.cidr.version:
        kind, code = _icmp(request.get("IcmpTypeCode") or {})
        return msgspec.structs.replace(entry, icmp_type=kind, icmp_code=code)
    return entry


def _protocol(given: str) -> str:
    """In its one stored form: the decimal number, or -1 for all."""
    named = _NUMBERS.get(given, given)
    number = cidrs.protocol_number(named)
    if number is None and named != "-1":
        raise errors.invalid_value("protocol", given, "Use a protocol number from 0 to 255, or -1 for all.")
    return named if number is None else str(number)


def _icmp(given: Mapping[str, Any]) -> tuple[int, int]:
    """Type and code; -1 is every one, and every type has every code."""
    kind, code = given.get("Type"), given.get("Code")
    if kind is None:
        raise errors.missing_parameter("icmpTypeCode")
    code = -1 if code is None or kind == -1 else code
    if not -1 <= kind <= 255 or not -1 <= code <= 255:
        raise errors.invalid_value("icmpTypeCode", f"{kind}, {code}", "Types and codes go from 0 to 255; -1 is all.")
    return int(kind), int(code)


def _ports(ports: Mapping[str, Any]) -> tuple[int, int]:
    first, last = ports.get("From"), ports.get("To")
    if first is None or last is None:
        raise errors.missing_parameter("portRange")
    if not 0 <= first <= last <= 65535:
        raise errors.invalid_value("portRange", f"{first}-{last}", "Ports go from 0 to 65535, the lower one first.")
    return int(first), int(last)


def _block(request: Request) -> IpNetwork:
    if request.get("CidrBlock") and request.get("Ipv6CidrBlock"):
        raise errors.combination("Only one of cidrBlock and ipv6CidrBlock may be given.")
    if request.get("CidrBlock"):
        return cidrs.ipv4(request["CidrBlock"], "cidrBlock")
    if request.get("Ipv6CidrBlock"):
        return cidrs.ipv6(request["Ipv6CidrBlock"], "ipv6CidrBlock")
    raise errors.missing_parameter("cidrBlock")


def replace_network_acl_association(call: Call, request: Request) -> Reply:
    """Put a subnet under another ACL; the association gets a new id. Source: EC2 API, ReplaceNetworkAclAssociation."""
    key = request["AssociationId"]
    association = call.tx.get(ACL_ASSOCIATIONS, key)
    if association is None or families.VPC.find(call, association.vpc) is None:
        raise AwsError("InvalidAssociationID.NotFound", f"The association ID '{key}' does not exist")
    acl = families.ACL.require(call, request["NetworkAclId"])
    if acl.vpc != association.vpc:
        raise AwsError(
            "InvalidParameterValue",
            f"network ACL {acl.id} and subnet {association.subnet} belong to different networks",
        )
    call.tx.delete(ACL_ASSOCIATIONS, association.id)
    new = call.tx.put(
        ACL_ASSOCIATIONS,
        ec2.NetworkAclAssociation(id=call.ids.resource("aclassoc"), vpc=acl.vpc, acl=acl.id, subnet=association.subnet),
    )
    return {"NewAssociationId": new.id}


def shown_entries(acl: ec2.NetworkAcl, *, ipv6: bool) -> list[ec2.NetworkAclEntry]:
    """The entries with the final denies that nobody can change: 32767, and 32768 in a VPC with IPv6."""
    final: list[tuple[int, IpNetwork]] = [(32767, EVERYWHERE)]
    if ipv6:
        final.append((32768, EVERYWHERE_6))
    result = []
    for egress in (True, False):
        result += [one for one in acl.entries if one.egress is egress]
        result += [
            ec2.NetworkAclEntry(number=number, egress=egress, allow=False, protocol="-1", cidr=block)
            for number, block in final
        ]
    return result


def _entry_item(entry: ec2.NetworkAclEntry) -> Mapping[str, Any]:
    ports = {"From": entry.from_port, "To": entry.to_port} if entry.from_port is not None else None
    icmp = {"Type": entry.icmp_type, "Code": entry.icmp_code} if entry.icmp_type is not None else None
    return drop_empty(
        {
            "RuleNumber": entry.number,
            "Protocol": entry.protocol,
            "RuleAction": "allow" if entry.allow else "deny",
            "Egress": entry.egress,
            "CidrBlock": str(entry.cidr) if isinstance(entry.cidr, IPv4Network) else None,
            "Ipv6CidrBlock": str(entry.cidr) if isinstance(entry.cidr, IPv6Network) else None,
            "PortRange": ports,
            "IcmpTypeCode": icmp,
        }
    )


def _item(
    acl: ec2.NetworkAcl, vpc: ec2.Vpc | None, associations: Sequence[ec2.NetworkAclAssociation]
) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape NetworkAcl)."""
    return {
        "NetworkAclId": acl.id,
        "VpcId": acl.vpc,
        "OwnerId": acl.account,
        "IsDefault": acl.is_default,
        "Entries": [_entry_item(one) for one in shown_entries(acl, ipv6=_has_ipv6(vpc))],
        "Associations": [
            {"NetworkAclAssociationId": one.id, "NetworkAclId": one.acl, "SubnetId": one.subnet} for one in associations
        ],
        "Tags": tag_set(acl.tags),
    }


def _has_ipv6(vpc: ec2.Vpc | None) -> bool:
    return vpc is not None and bool(vpc.ipv6_cidrs)


def _cached(call: Call, acl: ec2.NetworkAcl) -> Cached:
    vpc = call.tx.get(VPCS, acl.vpc)
    associations = sorted(call.tx.find(ACL_ASSOCIATIONS_BY_ACL, acl.id), key=lambda one: one.id)
    return Cached(key=("acl", acl.id), sources=(acl, vpc, *associations), build=partial(_item, acl, vpc, associations))


def _of_association(member: str) -> Extract[ec2.NetworkAcl]:
    return lambda call, acl: [getattr(one, member) for one in call.tx.find(ACL_ASSOCIATIONS_BY_ACL, acl.id)]


def _of_entries(*members: str) -> Extract[ec2.NetworkAcl]:
    """The values of wire members of all shown entries, for example ("PortRange", "From")."""

    def extract(call: Call, acl: ec2.NetworkAcl) -> list[str]:
        values = []
        for entry in shown_entries(acl, ipv6=_has_ipv6(call.tx.get(VPCS, acl.vpc))):
            value: Any = _entry_item(entry)
            for member in members:
                value = value.get(member) if value is not None else None
            if value is not None:
                values.append(flag(value)[0] if isinstance(value, bool) else str(value))
        return values

    return extract


def _around(call: Call, subnet: str) -> Iterator[ec2.NetworkAcl]:
    row = call.tx.get(SUBNETS, subnet)
    return iter(()) if row is None else call.tx.find(ACLS_BY_VPC, row.vpc)


_LISTING = Listing(
    family=families.ACL,
    filters=Filters(
        fields={
            "association.association-id": _of_association("id"),
            "association.network-acl-id": _of_association("acl"),
            "association.subnet-id": _of_association("subnet"),
            "default": lambda call, r: flag(r.is_default),
            "entry.cidr": _of_entries("CidrBlock"),
            "entry.egress": _of_entries("Egress"),
            "entry.icmp.code": _of_entries("IcmpTypeCode", "Code"),
            "entry.icmp.type": _of_entries("IcmpTypeCode", "Type"),
            "entry.ipv6-cidr": _of_entries("Ipv6CidrBlock"),
            "entry.port-range.from": _of_entries("PortRange", "From"),
            "entry.port-range.to": _of_entries("PortRange", "To"),
            "entry.protocol": _of_entries("Protocol"),
            "entry.rule-action": _of_entries("RuleAction"),
            "entry.rule-number": _of_entries("RuleNumber"),
            "network-acl-id": lambda call, r: (r.id,),
            "owner-id": lambda call, r: (r.account,),
            "vpc-id": lambda call, r: (r.vpc,),
        },
        indexes={"vpc-id": ACLS_BY_VPC},
        lookups={"association.subnet-id": _around},
        keys=frozenset({"network-acl-id", "association.network-acl-id"}),
        tags=lambda r: r.tags,
    ),
    ids="NetworkAclIds",
    members="NetworkAcls",
    items=each(_cached),
)

OPERATIONS: tuple[Operation, ...] = (
    write("CreateNetworkAcl", create_network_acl),
    write("DeleteNetworkAcl", delete_network_acl),
    read("DescribeNetworkAcls", _LISTING.describe),
    write("CreateNetworkAclEntry", create_network_acl_entry),
    write("ReplaceNetworkAclEntry", replace_network_acl_entry),
    write("DeleteNetworkAclEntry", delete_network_acl_entry),
    write("ReplaceNetworkAclAssociation", replace_network_acl_association),
)
