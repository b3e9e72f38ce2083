"""Routes as values: destinations and targets read from requests, and the state derived from the target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal, assert_never

from ecsnet.model import ec2
from ecsnet.model.tables import (
    EGRESS_ONLY_GATEWAYS,
    INTERFACES,
    INTERNET_GATEWAYS,
    NAT_GATEWAYS,
    PEERINGS,
    SUBNETS_BY_VPC,
    VPC_ENDPOINTS,
)
from ecsnet.services.call import AwsError, Call, Request, not_implemented
from ecsnet.services.ec2 import cidrs, errors, families
from ecsnet.services.ec2.instances import interfaces_of
from ecsnet.services.ec2.interfaces import is_idle, owning_instance
from ecsnet.services.ec2.prefix_lists import ServiceList, prefix_list, weight
from ecsnet.services.ec2.quotas import quota
from ecsnet.services.ec2.vpc_parts import LOCAL
from ecsnet.services.ec2.vpc_peerings import LIVE
from ecsnet.store.snapshot import Reader

_LINK_LOCAL_SERVICES = IPv4Network("169.254.168.0/22")
_LINK_LOCAL_SERVICES_6 = IPv6Network("fd00:ec2::/32")

_KNOWN_TARGETS = (
    "GatewayId",
    "NatGatewayId",
    "NetworkInterfaceId",
    "InstanceId",
    "VpcPeeringConnectionId",
    "EgressOnlyInternetGatewayId",
)

_UNKNOWN_TARGETS = {
    "TransitGatewayId": ("InvalidTransitGatewayID.NotFound", "The transitGateway ID '{id}' does not exist."),
    "LocalGatewayId": ("InvalidLocalGatewayID.NotFound", "The local gateway ID '{id}' does not exist"),
    "CarrierGatewayId": ("InvalidCarrierGatewayID.NotFound", "The carrier gateway ID '{id}' does not exist"),
}
"""Targets of kinds that cannot be made here, so no id of them exists."""

_UNSUPPORTED = ("CoreNetworkArn", "OdbNetworkArn")


Destination = IPv4Network | IPv6Network | str
"""A block, or the id of a prefix list."""


def destination(call: Call, request: Request) -> Destination:
    """Where the route leads. Raises MissingParameter, InvalidParameterValue, InvalidPrefixListID.NotFound."""
    if request.get("DestinationPrefixListId"):
        listed = prefix_list(call, request["DestinationPrefixListId"])
        if isinstance(listed, ServiceList):
            raise AwsError(
                "InvalidParameterValue",
                f"Routes to {listed.name} are made and removed with a VPC endpoint (CreateVpcEndpoint, "
                "ModifyVpcEndpoint).",
            )
        return listed.id
    block: IPv4Network | IPv6Network
    if request.get("DestinationCidrBlock"):
        block = cidrs.ipv4(request["DestinationCidrBlock"], "destinationCidrBlock")
    elif request.get("DestinationIpv6CidrBlock"):
        block = cidrs.ipv6(request["DestinationIpv6CidrBlock"], "destinationIpv6CidrBlock")
    else:
        raise errors.missing_parameter("destinationCidrBlock")
    return block


def check_edge(call: Call, table: ec2.RouteTable, routes: Iterable[ec2.Route]) -> None:
    """Refuse routes that a gateway's route table cannot have (VPC User Guide, "Gateway route tables").

    Its destinations are the VPC's own blocks or whole subnets, its targets local, network interfaces and gateway load
    balancer endpoints; it has no prefix lists. Raises InvalidParameterValue.
    """
    own = [one.destination for one in table.routes if one.origin == "CreateRouteTable"]
    for route in routes:
        where = route.destination
        if where is None or not any(_within(where, block) for block in own):
            problem = f"destination {where or route.prefix_list}"
        elif route.target.kind not in ("local", "eni"):
            problem = f"target {route.target.id}"
        else:
            continue
        raise AwsError(
            "InvalidParameterValue",
            f"Route table {table.id} cannot be used for a gateway with a route to {problem}. Routes for traffic that "
            "enters a VPC lead from a block or subnet of the VPC to local, a network interface or a Gateway Load "
            "Balancer endpoint.",
        )


def leads_to(route: ec2.Route, where: Destination) -> bool:
    """Whether this is the table's route for exactly this destination."""
    return where in (route.destination, route.prefix_list)


def routes_fit(call: Call, routes: Iterable[ec2.Route]) -> bool:
    """Whether a table's routes are within the quota, which counts per address family.

    A prefix list counts as many times as it may have entries (VPC User Guide, "Amazon VPC quotas").
    """
    limit = quota(call, "routes_per_table")
    routes = list(routes)
    return all(sum(_weight(call, route, version) for route in routes) <= limit for version in (4, 6))


def _weight(call: Call, route: ec2.Route, version: int) -> int:
    if route.prefix_list is not None:
        return weight(call, route.prefix_list, version)
    return int(route.destination is not None and route.destination.version == version)


def check_destination(call: Call, table: ec2.RouteTable, block: Destination, kind: str) -> None:
    """Refuse what the VPC User Guide ("Route table concepts") refuses.

    Raises InvalidParameterValue for link-local services and for a block that is more specific than a local route but
    not a whole subnet, or that goes to another target than a NAT gateway, an interface or a gateway load balancer
    endpoint. Entries of a prefix list may be anything: the local routes are looked at first.
    """
    if isinstance(block, str):
        return
    reserved = _LINK_LOCAL_SERVICES if isinstance(block, IPv4Network) else _LINK_LOCAL_SERVICES_6
    if _within(block, reserved):
        raise errors.invalid_value("destinationCidrBlock", block, f"It is within {reserved}, which AWS services use.")
    if not any(one.origin == "CreateRouteTable" and _within(block, one.destination) for one in table.routes):
        return
    whole = any(
        block in (subnet.cidr, subnet.ipv6_cidr.cidr if subnet.ipv6_cidr else None)
        for subnet in call.tx.find(SUBNETS_BY_VPC, table.vpc)
    )
    if not whole or kind not in ("nat", "eni", "vpce"):
        raise errors.invalid_value(
            "destinationCidrBlock",
            block,
            "A route more specific than a local route must have a whole subnet of the VPC as its destination, and a "
            "NAT gateway, a network interface or a Gateway Load Balancer endpoint as its target.",
        )


def _within(block: IPv4Network | IPv6Network, outer: object) -> bool:
    if isinstance(block, IPv4Network):
        return isinstance(outer, IPv4Network) and block.subnet_of(outer)
    return isinstance(outer, IPv6Network) and block.subnet_of(outer)


def target(call: Call, table: ec2.RouteTable, request: Request) -> ec2.RouteTarget:
    """The one target that the request names.

    Raises MissingParameter, InvalidParameterCombination for several, the NotFound error of the target's kind, and
    InvalidParameterValue for one of another VPC.
    """
    for member in _UNSUPPORTED:
        if request.get(member):
            raise not_implemented("CreateRoute", member)
    given = [member for member in (*_KNOWN_TARGETS, *_UNKNOWN_TARGETS) if request.get(member)]
    if request.get("LocalTarget"):
        given.append("LocalTarget")
    if request.get("VpcEndpointId"):
        endpoint = families.VPC_ENDPOINT.require(call, request["VpcEndpointId"]).id
        raise AwsError(
            "RouteNotSupported",
            f"Route table contains unsupported route target: {endpoint}. VPC Endpoints of this type cannot be used as "
            "route targets.",
        )
    if not given:
        raise AwsError(
            "MissingParameter",
            "The request must contain exactly one of gatewayId, natGatewayId, networkInterfaceId, "
            "vpcPeeringConnectionId, egressOnlyInternetGatewayId, transitGatewayId, localGatewayId, carrierGatewayId, "
            "vpcEndpointId, instanceId",
        )
    if len(given) > 1:
        raise errors.combination(f"Only one route target may be given: {' and '.join(given)} were.")
    (member,) = given
    match member:
        case "LocalTarget":
            return LOCAL
        case "GatewayId":
            return _gateway(call, table, request["GatewayId"])
        case "NatGatewayId":
            return _nat_gateway(call, table, request["NatGatewayId"])
        case "NetworkInterfaceId":
            return _interface(call, table, request["NetworkInterfaceId"])
        case "InstanceId":
            return _instance(call, table, request["InstanceId"])
        case "EgressOnlyInternetGatewayId":
            return _egress_only(call, table, request["EgressOnlyInternetGatewayId"], request)
        case "VpcPeeringConnectionId":
            return _peering(call, table, request["VpcPeeringConnectionId"])
        case _:
            code, text = _UNKNOWN_TARGETS[member]
            raise AwsError(code, text.format(id=request[member]))


def _gateway(call: Call, table: ec2.RouteTable, key: str) -> ec2.RouteTarget:
    if key == "local":
        return LOCAL
    return ec2.RouteTarget(kind="igw", id=attached_gateway(call, table, key).id)


def attached_gateway(call: Call, table: ec2.RouteTable, key: str) -> ec2.InternetGateway:
    """The internet gateway of the table's VPC. Raises InvalidGatewayID.NotFound, InvalidParameterValue."""
    gateway = families.INTERNET_GATEWAY.find(call, key)
    if gateway is None:
        raise AwsError("InvalidGatewayID.NotFound", f"The gateway ID '{key}' does not exist")
    if gateway.vpc != table.vpc:
        raise AwsError(
            "InvalidParameterValue",
            f"route table {table.id} and network gateway {gateway.id} belong to different networks",
        )
    return gateway


def _egress_only(call: Call, table: ec2.RouteTable, key: str, request: Request) -> ec2.RouteTarget:
    """Source: VPC User Guide, "Egress-only internet gateways" (IPv6 alone)."""
    gateway = families.EGRESS_ONLY_GATEWAY.require(call, key)
    if gateway.vpc != table.vpc:
        raise AwsError(
            "InvalidParameterValue", f"route table {table.id} and network gateway {key} belong to different networks"
        )
    if not request.get("DestinationIpv6CidrBlock"):
        raise errors.combination("An egress-only internet gateway is the target of an IPv6 destination only.")
    return ec2.RouteTarget(kind="eigw", id=key)


def _nat_gateway(call: Call, table: ec2.RouteTable, key: str) -> ec2.RouteTarget:
    gateway = families.NAT_GATEWAY.find(call, key)
    if gateway is None or gateway.state in ("failed", "deleted"):
        raise AwsError("InvalidNatGatewayID.NotFound", f"The natGateway ID '{key}' does not exist")
    if gateway.vpc != table.vpc:
        raise AwsError(
            "InvalidParameterValue", f"route table {table.id} and NAT gateway {key} belong to different networks"
        )
    return ec2.RouteTarget(kind="nat", id=key)


def _interface(call: Call, table: ec2.RouteTable, key: str) -> ec2.RouteTarget:
    interface = families.INTERFACE.require(call, key)
    if interface.vpc != table.vpc:
        raise AwsError(
            "InvalidParameterValue", f"route table {table.id} and interface {key} belong to different networks"
        )
    return ec2.RouteTarget(kind="eni", id=key)


def _peering(call: Call, table: ec2.RouteTable, key: str) -> ec2.RouteTarget:
    """A connection of the table's VPC; while it waits to be accepted, the route is a black hole."""
    row = families.PEERING.require(call, key)
    if row.status not in LIVE:
        raise families.PEERING.unknown(key)
    if table.vpc not in (row.requester.vpc, row.accepter.vpc):
        raise AwsError(
            "InvalidParameterValue",
            f"route table {table.id} and VPC peering connection {key} belong to different networks",
        )
    return ec2.RouteTarget(kind="pcx", id=key)


def _instance(call: Call, table: ec2.RouteTable, key: str) -> ec2.RouteTarget:
    """An instance's only interface: what is stored is the interface, as on AWS (EC2 API, CreateRoute, InstanceId)."""
    instance = families.INSTANCE.require(call, key)
    found = interfaces_of(call.tx, instance.id)
    if len(found) > 1:
        raise AwsError(
            "InvalidInstanceID",
            f"There are multiple interfaces attached to instance '{key}'. Please specify an interface ID for the "
            "operation instead.",
        )
    if not found:
        raise AwsError("IncorrectInstanceState", f"The instance '{key}' is terminated.")
    return _interface(call, table, found[0].id)


def target_instance(reader: Reader, route: ec2.Route) -> ec2.Instance | None:
    """The instance that has the interface to which the route leads."""
    eni = reader.get(INTERFACES, route.target.id) if route.target.kind == "eni" else None
    return None if eni is None else owning_instance(reader, eni)


def target_record(reader: Reader, route: ec2.Route) -> object | None:
    """The record on which the state of the route depends."""
    match route.target.kind:
        case "igw":
            return reader.get(INTERNET_GATEWAYS, route.target.id)
        case "nat":
            return reader.get(NAT_GATEWAYS, route.target.id)
        case "eni":
            return reader.get(INTERFACES, route.target.id)
        case "vpce":
            return reader.get(VPC_ENDPOINTS, route.target.id)
        case "eigw":
            return reader.get(EGRESS_ONLY_GATEWAYS, route.target.id)
        case "pcx":
            return reader.get(PEERINGS, route.target.id)
        case "local":
            return None
        case _ as never:
            assert_never(never)


def route_state(reader: Reader, table: ec2.RouteTable, route: ec2.Route) -> Literal["active", "blackhole"]:
    """Active while the target can carry packets (EC2 API, shape Route, member State)."""
    if route.target.kind == "local":
        return "active"
    match target_record(reader, route):
        case ec2.InternetGateway(vpc=vpc):
            return "active" if vpc == table.vpc else "blackhole"
        case ec2.EgressOnlyInternetGateway():
            return "active"
        case ec2.NatGateway(state=state):
            return "active" if state in ("pending", "available") else "blackhole"
        case ec2.NetworkInterface() as interface:
            idle = is_idle(target_instance(reader, route))
            six = route.destination is not None and route.destination.version == 6
            address = (interface.ipv6_ips or None) if six else interface.private_ip
            usable = interface.attachment is not None and not idle and address is not None
            return "active" if usable else "blackhole"
        case ec2.VpcPeeringConnection(status=status):
            return "active" if status == "active" else "blackhole"
        case ec2.VpcEndpoint():
            return "active"
        case _:
            return "blackhole"


_TARGET_MEMBER = {
    "igw": "GatewayId",
    "eigw": "EgressOnlyInternetGatewayId",
    "nat": "NatGatewayId",
    "eni": "NetworkInterfaceId",
    "pcx": "VpcPeeringConnectionId",
    "vpce": "GatewayId",
}


def route_item(route: ec2.Route, state: str, instance: ec2.Instance | None) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape Route); `instance` has the interface to which the route leads."""
    item: dict[str, Any] = {"Origin": route.origin, "State": state}
    match route.destination:
        case IPv4Network():
            item["DestinationCidrBlock"] = str(route.destination)
        case IPv6Network():
            item["DestinationIpv6CidrBlock"] = str(route.destination)
        case None:
            item["DestinationPrefixListId"] = route.prefix_list
    if route.target.kind == "local":
        item["GatewayId"] = "local"
    else:
        item[_TARGET_MEMBER[route.target.kind]] = route.target.id
    if instance is not None:
        item |= {"InstanceId": instance.id, "InstanceOwnerId": instance.account}
    return item
