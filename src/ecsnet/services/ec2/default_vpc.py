"""What AWS gives to a new account in each region: the default VPC (VPC User Guide, "Default VPCs")."""

from __future__ import annotations

from ipaddress import IPv4Network

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import scope
from ecsnet.model.tables import INTERNET_GATEWAYS, ROUTE_TABLES, SEEDED_ACCOUNTS
from ecsnet.services.call import Call
from ecsnet.services.ec2 import families
from ecsnet.services.ec2.regions import region_info
from ecsnet.services.ec2.security_groups import EVERYWHERE
from ecsnet.services.ec2.vpc_parts import add_subnet, add_vpc, main_route_table

DEFAULT_BLOCK = IPv4Network("172.31.0.0/16")
DEFAULT_SUBNET_PREFIX = 20


def seed_account(call: Call) -> None:
    """Make the default VPC of this account and region, once.

    A default VPC that the user deleted does not come back. Raises InvalidParameterValue for an unknown region.
    """
    if call.tx.get(SEEDED_ACCOUNTS, scope(call.account, call.region)) is not None:
        return
    add_default_vpc(call)
    call.tx.put(SEEDED_ACCOUNTS, ec2.SeededAccount(account=call.account, region=call.region))


def add_default_vpc(call: Call) -> ec2.Vpc:
    """172.31.0.0/16 with a /20 subnet per zone, an internet gateway and the default route to it."""
    zones = region_info(call.region).zones
    vpc = add_vpc(call, DEFAULT_BLOCK, is_default=True)
    for zone, block in zip(zones, DEFAULT_BLOCK.subnets(new_prefix=DEFAULT_SUBNET_PREFIX), strict=False):
        add_subnet(call, vpc, zone, block, is_default=True)
    gateway = call.tx.put(
        INTERNET_GATEWAYS,
        ec2.InternetGateway(id=call.ids.resource("igw"), account=call.account, region=call.region, vpc=vpc.id),
    )
    table = main_route_table(call.tx, vpc.id)
    route = ec2.Route(destination=EVERYWHERE, target=ec2.RouteTarget(kind="igw", id=gateway.id))
    call.tx.put(ROUTE_TABLES, msgspec.structs.replace(table, routes=(*table.routes, route)))
    return families.VPC.require(call, vpc.id)


def find_default_vpc(call: Call) -> ec2.Vpc | None:
    """The default VPC of this account and region, if it still exists."""
    return next((vpc for vpc in families.VPC.all(call) if vpc.is_default), None)
