"""What AWS makes together with a VPC or a subnet, and takes away with it."""

from __future__ import annotations

from ipaddress import IPv4Network

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import IpNetwork, Tags
from ecsnet.model.dnsnames import private_domain
from ecsnet.model.tables import (
    ACL_ASSOCIATIONS,
    ACLS,
    ACLS_BY_VPC,
    DHCP_OPTIONS,
    MAIN_ASSOCIATION_BY_VPC,
    ROUTE_TABLE_ASSOCIATIONS,
    ROUTE_TABLES,
    SUBNETS,
    VPCS,
)
from ecsnet.services.call import AwsError, Call
from ecsnet.services.ec2 import families
from ecsnet.services.ec2.regions import Zone
from ecsnet.services.ec2.security_groups import EVERYWHERE, EVERYWHERE_6, add_default_group
from ecsnet.store.snapshot import Reader

LOCAL = ec2.RouteTarget(kind="local")
_LAST_ORDINAL = 65_535


def add_vpc(
    call: Call,
    block: IPv4Network,
    *,
    is_default: bool = False,
    tenancy: str = "default",
    ipv6_cidrs: tuple[ec2.CidrAssociation, ...] = (),
    tags: Tags = (),
) -> ec2.Vpc:
    """A VPC with its main route table, default ACL and default group (VPC User Guide, "Create a VPC")."""
    vpc = call.tx.put(
        VPCS,
        ec2.Vpc(
            id=call.ids.resource("vpc"),
            account=call.account,
            region=call.region,
            cidrs=(ec2.CidrAssociation(id=call.ids.resource("vpc-cidr-assoc"), cidr=block),),
            ipv6_cidrs=ipv6_cidrs,
            is_default=is_default,
            dns_hostnames=is_default,
            dhcp_options=default_dhcp_options(call).id,
            instance_tenancy=tenancy,
            tags=tags,
        ),
    )
    table = add_route_table(call, vpc)
    call.tx.put(
        ROUTE_TABLE_ASSOCIATIONS,
        ec2.RouteTableAssociation(id=call.ids.resource("rtbassoc"), vpc=vpc.id, route_table=table.id, main=True),
    )
    call.tx.put(
        ACLS,
        ec2.NetworkAcl(
            id=call.ids.resource("acl"),
            account=call.account,
            region=call.region,
            vpc=vpc.id,
            is_default=True,
            entries=default_entries(ipv6=bool(ipv6_cidrs)),
        ),
    )
    add_default_group(call, vpc)
    return families.VPC.require(call, vpc.id)


def default_entries(*, ipv6: bool) -> tuple[ec2.NetworkAclEntry, ...]:
    """What a default ACL begins with (VPC User Guide, "Default network ACL")."""
    blocks: list[tuple[int, IpNetwork]] = [(100, EVERYWHERE)]
    if ipv6:
        blocks.append((101, EVERYWHERE_6))
    return tuple(
        ec2.NetworkAclEntry(number=number, egress=egress, allow=True, protocol="-1", cidr=block)
        for egress in (False, True)
        for number, block in blocks
    )


def default_dhcp_options(call: Call) -> ec2.DhcpOptions:
    """The account's own option set, made when first needed."""
    for options in families.DHCP_OPTIONS.all(call):
        if options.is_default:
            return options
    return call.tx.put(
        DHCP_OPTIONS,
        ec2.DhcpOptions(
            id=call.ids.resource("dopt"),
            account=call.account,
            region=call.region,
            options=(
                ("domain-name", (private_domain(call.region),)),
                ("domain-name-servers", ("AmazonProvidedDNS",)),
            ),
            is_default=True,
        ),
    )


def take_ordinal(call: Call, vpc: str) -> int:
    """The next small number for a subnet or route table of the VPC. Raises ResourceLimitExceeded after 65,535."""
    row = families.VPC.require(call, vpc)
    if row.next_ordinal > _LAST_ORDINAL:
        raise AwsError(
            "ResourceLimitExceeded",
            f"The vpc '{vpc}' has had {_LAST_ORDINAL} subnets and route tables. Make a new VPC.",
        )
    call.tx.put(VPCS, msgspec.structs.replace(row, next_ordinal=row.next_ordinal + 1))
    return row.next_ordinal


def add_route_table(call: Call, vpc: ec2.Vpc, *, tags: Tags = ()) -> ec2.RouteTable:
    """A table with the local routes alone."""
    return call.tx.put(
        ROUTE_TABLES,
        ec2.RouteTable(
            id=call.ids.resource("rtb"),
            account=call.account,
            region=call.region,
            vpc=vpc.id,
            ordinal=take_ordinal(call, vpc.id),
            routes=tuple(
                ec2.Route(destination=one.cidr, target=LOCAL, origin="CreateRouteTable")
                for one in (*vpc.cidrs, *vpc.ipv6_cidrs)
            ),
            tags=tags,
        ),
    )


def add_subnet(
    call: Call,
    vpc: ec2.Vpc,
    zone: Zone,
    block: IPv4Network | None,
    *,
    ipv6_cidr: ec2.CidrAssociation | None = None,
    is_default: bool = False,
    tags: Tags = (),
) -> ec2.Subnet:
    """A subnet under the VPC's default ACL; the main route table governs it until another one is associated.

    Without an IPv4 block it is IPv6-only, and its interfaces get an address by themselves.
    """
    subnet = call.tx.put(
        SUBNETS,
        ec2.Subnet(
            id=call.ids.resource("subnet"),
            account=call.account,
            region=call.region,
            vpc=vpc.id,
            az=zone.name,
            az_id=zone.id,
            cidr=block,
            ipv6_cidr=ipv6_cidr,
            assign_ipv6_on_creation=block is None,
            ordinal=take_ordinal(call, vpc.id),
            map_public_ip_on_launch=is_default,
            default_for_az=is_default,
            tags=tags,
        ),
    )
    call.tx.put(
        ACL_ASSOCIATIONS,
        ec2.NetworkAclAssociation(
            id=call.ids.resource("aclassoc"), vpc=vpc.id, acl=default_acl(call.tx, vpc.id).id, subnet=subnet.id
        ),
    )
    return subnet


def default_acl(reader: Reader, vpc: str) -> ec2.NetworkAcl:
    """The ACL that AWS made with the VPC."""
    return next(acl for acl in reader.find(ACLS_BY_VPC, vpc) if acl.is_default)


def main_association(reader: Reader, vpc: str) -> ec2.RouteTableAssociation:
    """The association that makes one table the VPC's main one."""
    return next(reader.find(MAIN_ASSOCIATION_BY_VPC, vpc))


def main_route_table(reader: Reader, vpc: str) -> ec2.RouteTable:
    """The table that governs subnets without one of their own."""
    table = reader.get(ROUTE_TABLES, main_association(reader, vpc).route_table)
    if table is None:
        raise LookupError(f"{vpc} has a main association to a missing route table")
    return table
