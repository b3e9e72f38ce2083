"""Route tables, their associations and their routes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import (
    ASSOCIATIONS_BY_GATEWAY,
    ASSOCIATIONS_BY_ROUTE_TABLE,
    ASSOCIATIONS_BY_SUBNET,
    ROUTE_TABLE_ASSOCIATIONS,
    ROUTE_TABLES,
    ROUTE_TABLES_BY_TARGET,
    ROUTE_TABLES_BY_VPC,
    SUBNETS,
)
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ec2 import errors, families, idempotency
from ecsnet.services.ec2.filters import Extract, Filters, flag
from ecsnet.services.ec2.listing import Listing, drop_empty, each
from ecsnet.services.ec2.quotas import quota
from ecsnet.services.ec2.routes import (
    Destination,
    attached_gateway,
    check_destination,
    check_edge,
    destination,
    leads_to,
    route_item,
    route_state,
    routes_fit,
    target,
    target_instance,
    target_record,
)
from ecsnet.services.ec2.tagging import specified, tag_set
from ecsnet.services.ec2.vpc_parts import add_route_table

_ASSOCIATED = {"State": "associated"}


def create_route_table(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateRouteTable. Raises RouteTableLimitExceeded, IdempotentParameterMismatch."""
    known = idempotency.earlier(call, "CreateRouteTable", request)
    if known is not None:
        return _created(call, families.ROUTE_TABLE.require(call, known), request)
    vpc = families.VPC.require(call, request["VpcId"])
    if len(call.tx.keys(ROUTE_TABLES_BY_VPC, vpc.id)) >= quota(call, "route_tables_per_vpc"):
        raise errors.limit_exceeded("RouteTableLimitExceeded", "route tables")
    table = add_route_table(call, vpc, tags=specified(request, families.ROUTE_TABLE.noun))
    idempotency.remember(call, "CreateRouteTable", request, table.id)
    return _created(call, table, request)


def _created(call: Call, table: ec2.RouteTable, request: Request) -> Reply:
    return drop_empty({"RouteTable": _cached(call, table).build(), "ClientToken": request.get("ClientToken")})


def delete_route_table(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DeleteRouteTable. Raises DependencyViolation for the main table and while associated."""
    table = families.ROUTE_TABLE.require(call, request["RouteTableId"])
    associations = list(call.tx.find(ASSOCIATIONS_BY_ROUTE_TABLE, table.id))
    if associations:
        raise errors.dependency("routeTable", table.id, (one.subnet or one.gateway or one.vpc for one in associations))
    idempotency.forget(call, table.id)
    call.tx.delete(ROUTE_TABLES, table.id)
    return {}


def associate_route_table(call: Call, request: Request) -> Reply:
    """With a subnet, or with an internet gateway for what comes in through it. Source: EC2 API, AssociateRouteTable.

    Raises Resource.AlreadyAssociated, InvalidParameterValue, InvalidGatewayID.NotFound, InvalidParameterCombination.
    """
    if request.get("PublicIpv4Pool"):
        raise not_implemented("AssociateRouteTable", "PublicIpv4Pool")
    table = families.ROUTE_TABLE.require(call, request["RouteTableId"])
    subnet = gateway = None
    if request.get("GatewayId"):
        if request.get("SubnetId"):
            raise errors.combination("Only one of subnetId and gatewayId may be given.")
        gateway = attached_gateway(call, table, request["GatewayId"]).id
        found = call.tx.find(ASSOCIATIONS_BY_GATEWAY, gateway)
    elif request.get("SubnetId"):
        subnet = _subnet_of(call, table, request["SubnetId"])
        found = call.tx.find(ASSOCIATIONS_BY_SUBNET, subnet)
    else:
        raise errors.missing_parameter("subnetId")
    for existing in found:
        if existing.route_table == table.id:
            return {"AssociationId": existing.id, "AssociationState": _ASSOCIATED}
        raise AwsError(
            "Resource.AlreadyAssociated",
            f"the specified association for route table {table.id} conflicts with an existing association",
        )
    association = _associate(call, table, subnet=subnet, gateway=gateway)
    return {"AssociationId": association.id, "AssociationState": _ASSOCIATED}


def _subnet_of(call: Call, table: ec2.RouteTable, key: str) -> str:
    subnet = families.SUBNET.require(call, key)
    if subnet.vpc != table.vpc:
        raise AwsError(
            "InvalidParameterValue", f"route table {table.id} and subnet {subnet.id} belong to different networks"
        )
    return subnet.id


def _associate(
    call: Call, table: ec2.RouteTable, *, subnet: str | None = None, gateway: str | None = None, main: bool = False
) -> ec2.RouteTableAssociation:
    if gateway is not None:
        check_edge(call, table, table.routes)
    return call.tx.put(
        ROUTE_TABLE_ASSOCIATIONS,
        ec2.RouteTableAssociation(
            id=call.ids.resource("rtbassoc"),
            vpc=table.vpc,
            route_table=table.id,
            subnet=subnet,
            gateway=gateway,
            main=main,
        ),
    )


def _association(call: Call, key: str) -> ec2.RouteTableAssociation:
    association = call.tx.get(ROUTE_TABLE_ASSOCIATIONS, key)
    if association is None or families.VPC.find(call, association.vpc) is None:
        raise AwsError("InvalidAssociationID.NotFound", f"The association ID '{key}' does not exist")
    return association


def disassociate_route_table(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DisassociateRouteTable; the main association can only be replaced."""
    association = _association(call, request["AssociationId"])
    if association.main:
        raise AwsError(
            "InvalidParameterValue", f"cannot disassociate the main route table association {association.id}"
        )
    call.tx.delete(ROUTE_TABLE_ASSOCIATIONS, association.id)
    return {}


def replace_route_table_association(call: Call, request: Request) -> Reply:
    """Give a subnet, or the VPC's main role, to another table.

    Source: EC2 API, ReplaceRouteTableAssociation. Subnets that follow the main table move at once.
    """
    association = _association(call, request["AssociationId"])
    table = families.ROUTE_TABLE.require(call, request["RouteTableId"])
    if table.vpc != association.vpc:
        raise AwsError(
            "InvalidParameterValue",
            f"route table {table.id} and association {association.id} belong to different networks",
        )
    call.tx.delete(ROUTE_TABLE_ASSOCIATIONS, association.id)
    new = _associate(call, table, subnet=association.subnet, gateway=association.gateway, main=association.main)
    return {"NewAssociationId": new.id, "AssociationState": _ASSOCIATED}


def create_route(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateRoute. Raises RouteAlreadyExists, RouteLimitExceeded, and what `target` raises."""
    table = families.ROUTE_TABLE.require(call, request["RouteTableId"])
    block = destination(call, request)
    chosen = target(call, table, request)
    if _find(table, block) is not None:
        raise AwsError("RouteAlreadyExists", f"The route identified by {block} already exists.")
    check_destination(call, table, block, chosen.kind)
    new = (
        ec2.Route(prefix_list=block, target=chosen)
        if isinstance(block, str)
        else ec2.Route(destination=block, target=chosen)
    )
    if not routes_fit(call, (*table.routes, new)):
        raise errors.limit_exceeded("RouteLimitExceeded", "routes")
    _put_routes(call, table, (*table.routes, new))
    return {"Return": True}


def replace_route(call: Call, request: Request) -> Reply:
    """Source: EC2 API, ReplaceRoute. A local route may be pointed elsewhere and back (LocalTarget)."""
    table = families.ROUTE_TABLE.require(call, request["RouteTableId"])
    block = destination(call, request)
    old = _find(table, block)
    if old is None:
        raise AwsError(
            "InvalidParameterValue",
            f"There is no route defined for '{block}' in the route table. Use CreateRoute instead.",
        )
    chosen = target(call, table, request)
    if old.origin == "CreateRouteTable" and chosen.kind not in ("local", "eni", "vpce"):
        raise errors.invalid_value(
            "destinationCidrBlock", block, "A local route can only point to a network interface or to local again."
        )
    if old.origin != "CreateRouteTable":
        if chosen.kind == "local":
            raise errors.invalid_value("destinationCidrBlock", block, "Only a local route can be restored to local.")
        check_destination(call, table, block, chosen.kind)
    new = msgspec.structs.replace(old, target=chosen)
    _put_routes(call, table, tuple(new if one is old else one for one in table.routes))
    return {}


def delete_route(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DeleteRoute. Raises InvalidRoute.NotFound; local routes stay."""
    table = families.ROUTE_TABLE.require(call, request["RouteTableId"])
    block = destination(call, request)
    old = _find(table, block)
    if old is None:
        kind = "prefix-list-id" if isinstance(block, str) else "cidr-block"
        raise AwsError("InvalidRoute.NotFound", f"no route with destination-{kind} {block} in route table {table.id}")
    if old.origin == "CreateRouteTable":
        raise AwsError("InvalidParameterValue", f"cannot remove local route {block} in route table {table.id}")
    _put_routes(call, table, tuple(one for one in table.routes if one is not old))
    return {}


def _find(table: ec2.RouteTable, where: Destination) -> ec2.Route | None:
    return next((one for one in table.routes if leads_to(one, where)), None)


def _put_routes(call: Call, table: ec2.RouteTable, routes: tuple[ec2.Route, ...]) -> None:
    if any(one.gateway for one in call.tx.find(ASSOCIATIONS_BY_ROUTE_TABLE, table.id)):
        check_edge(call, table, routes)
    call.tx.put(ROUTE_TABLES, msgspec.structs.replace(table, routes=routes))


def _item(
    table: ec2.RouteTable,
    associations: Sequence[ec2.RouteTableAssociation],
    states: Sequence[str],
    instances: Sequence[ec2.Instance | None],
) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape RouteTable)."""
    return {
        "RouteTableId": table.id,
        "VpcId": table.vpc,
        "OwnerId": table.account,
        "Associations": [
            drop_empty(
                {
                    "RouteTableAssociationId": one.id,
                    "RouteTableId": one.route_table,
                    "SubnetId": one.subnet,
                    "GatewayId": one.gateway,
                    "Main": one.main,
                    "AssociationState": _ASSOCIATED,
                }
            )
            for one in associations
        ],
        "Routes": [route_item(*one) for one in zip(table.routes, states, instances, strict=True)],
        "PropagatingVgws": [],
        "Tags": tag_set(table.tags),
    }


def _cached(call: Call, table: ec2.RouteTable) -> Cached:
    associations = sorted(call.tx.find(ASSOCIATIONS_BY_ROUTE_TABLE, table.id), key=lambda one: (not one.main, one.id))
    states = [route_state(call.tx, table, route) for route in table.routes]
    instances = [target_instance(call.tx, route) for route in table.routes]
    return Cached(
        key=("rtb", table.id),
        sources=(table, *associations, *(target_record(call.tx, route) for route in table.routes), *instances),
        build=partial(_item, table, associations, states, instances),
    )


def _of_association(member: str) -> Extract[ec2.RouteTable]:
    def extract(call: Call, table: ec2.RouteTable) -> list[str]:
        found = (getattr(one, member) for one in call.tx.find(ASSOCIATIONS_BY_ROUTE_TABLE, table.id))
        return [value for value in found if value is not None]

    return extract


def _of_target(kind: str) -> Extract[ec2.RouteTable]:
    return lambda call, table: [one.target.id or "local" for one in table.routes if one.target.kind == kind]


def _gateways(call: Call, table: ec2.RouteTable) -> list[str]:
    return [one.target.id or "local" for one in table.routes if one.target.kind in ("local", "igw", "vpce")]


def _around(call: Call, subnet: str) -> Iterator[ec2.RouteTable]:
    row = call.tx.get(SUBNETS, subnet)
    return iter(()) if row is None else call.tx.find(ROUTE_TABLES_BY_VPC, row.vpc)


_LISTING = Listing(
    family=families.ROUTE_TABLE,
    filters=Filters(
        fields={
            "association.gateway-id": _of_association("gateway"),
            "association.main": lambda call, r: [
                flag(one.main)[0] for one in call.tx.find(ASSOCIATIONS_BY_ROUTE_TABLE, r.id)
            ],
            "association.route-table-association-id": _of_association("id"),
            "association.route-table-id": _of_association("route_table"),
            "association.subnet-id": _of_association("subnet"),
            "owner-id": lambda call, r: (r.account,),
            "route-table-id": lambda call, r: (r.id,),
            "route.destination-cidr-block": lambda call, r: [
                str(one.destination) for one in r.routes if isinstance(one.destination, IPv4Network)
            ],
            "route.destination-ipv6-cidr-block": lambda call, r: [
                str(one.destination) for one in r.routes if isinstance(one.destination, IPv6Network)
            ],
            "route.destination-prefix-list-id": lambda call, r: [
                one.prefix_list for one in r.routes if one.prefix_list
            ],
            "route.egress-only-internet-gateway-id": _of_target("eigw"),
            "route.gateway-id": _gateways,
            "route.instance-id": lambda call, r: [
                one.id for one in (target_instance(call.tx, route) for route in r.routes) if one is not None
            ],
            "route.nat-gateway-id": _of_target("nat"),
            "route.network-interface-id": _of_target("eni"),
            "route.origin": lambda call, r: [one.origin for one in r.routes],
            "route.state": lambda call, r: [route_state(call.tx, r, one) for one in r.routes],
            "route.transit-gateway-id": lambda call, r: (),
            "route.vpc-peering-connection-id": _of_target("pcx"),
            "vpc-id": lambda call, r: (r.vpc,),
        },
        lookups={"association.subnet-id": _around},
        indexes={
            "vpc-id": ROUTE_TABLES_BY_VPC,
            "route.nat-gateway-id": ROUTE_TABLES_BY_TARGET,
            "route.network-interface-id": ROUTE_TABLES_BY_TARGET,
            "route.vpc-peering-connection-id": ROUTE_TABLES_BY_TARGET,
        },
        keys=frozenset({"route-table-id", "association.route-table-id"}),
        tags=lambda r: r.tags,
    ),
    ids="RouteTableIds",
    members="RouteTables",
    items=each(_cached),
)

OPERATIONS: tuple[Operation, ...] = (
    write("CreateRouteTable", create_route_table),
    write("DeleteRouteTable", delete_route_table),
    read("DescribeRouteTables", _LISTING.describe),
    write("AssociateRouteTable", associate_route_table),
    write("DisassociateRouteTable", disassociate_route_table),
    write("ReplaceRouteTableAssociation", replace_route_table_association),
    write("CreateRoute", create_route),
    write("ReplaceRoute", replace_route),
    write("DeleteRoute", delete_route),
)
