"""Route table → one TableRoute per route, and per block of a prefix list."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ecsnet.compile import facts
from ecsnet.compile.prefix_list import blocks
from ecsnet.compile.view import FragmentSpec, View
from ecsnet.logical.network import IpAddress, TableRoute
from ecsnet.model.base import IpNetwork
from ecsnet.model.ec2 import NetworkInterface, RouteTable, RouteTarget
from ecsnet.model.tables import INTERFACES, NAT_GATEWAYS, ROUTE_TABLES


def table_routes(view: View, key: str) -> Iterator[TableRoute]:
    """The routes of a table except the local ones, which are the router's own.

    A route for a whole subnet of the VPC, or a local route that was pointed elsewhere, leads packets inside the VPC
    through an appliance (VPC user guide, "Routing for a middlebox appliance").

    A route whose target is gone, detached or not built is a black hole, as AWS shows it (EC2 API, Route `state`).
    """
    table = view.get(ROUTE_TABLES, key)
    if table is None or not facts.has_router(view, table.vpc):
        return
    for destination, target in _destinations(view, table):
        yield _route(view, table.vpc, table.ordinal, destination, target)


def _destinations(view: View, table: RouteTable) -> Iterator[tuple[IpNetwork, RouteTarget]]:
    """Every destination once with the target that counts: a static route before one by prefix list.

    Of two lists with one block the route that was made first counts; AWS leaves the choice open. What a list says about
    the VPC's own blocks is never asked, because the local routes come first (VPC user guide, "Route priority").
    """
    found: dict[IpNetwork, RouteTarget] = {}
    for route in table.routes:
        if route.destination is not None:
            found[route.destination] = route.target
    own = facts.networks(view, table.vpc)
    for route in table.routes:
        if route.prefix_list is not None:
            for block in blocks(view, route.prefix_list):
                if not facts.is_inside(block, own):
                    found.setdefault(block, route.target)
    return iter((block, target) for block, target in found.items() if target.kind != "local")


def _route(view: View, vpc: str, number: int, destination: IpNetwork, target: RouteTarget) -> TableRoute:
    inside = facts.is_inside(destination, facts.networks(view, vpc))
    blackhole = TableRoute(router=vpc, table=number, destination=destination, kind="blackhole", inside=inside)
    match target.kind:
        case "igw":
            if facts.gateway_of(view, vpc) != target.id:
                return blackhole
            return msgspec.structs.replace(blackhole, kind="gateway", target=target.id)
        case "eigw":
            if destination.version != 6 or facts.egress_gateway_of(view, vpc) != target.id:
                return blackhole
            return msgspec.structs.replace(blackhole, kind="gateway", target=target.id)
        case "nat" if destination.version == 6:
            return blackhole  # NAT64 is not built
        case "nat":
            interface = view.project("interface", lambda nat: nat.interface, NAT_GATEWAYS, target.id)
            return blackhole if interface is None else _to_port(view, blackhole, interface)
        case "eni":
            return _to_port(view, blackhole, target.id)
        case "pcx":
            link = view.ask(facts.PEERED, target.id)
            far = None if link is None else link.far(vpc)
            if far is None or inside:
                return blackhole
            return msgspec.structs.replace(blackhole, kind="peering", target=target.id, far=far)
        case _:
            return blackhole


def _to_port(view: View, blackhole: TableRoute, interface: str) -> TableRoute:
    read = _next_hop if blackhole.destination.version == 4 else _next_hop6
    found = view.project(read.__name__, read, INTERFACES, interface)
    if found is None or found[0] != blackhole.router or view.ask(facts.PLACE, interface) is None:
        return blackhole
    next_hop = found[1]
    return (
        blackhole
        if next_hop is None
        else msgspec.structs.replace(blackhole, kind="port", target=interface, next_hop=next_hop)
    )


def _next_hop(row: NetworkInterface) -> tuple[str, IpAddress | None]:
    return row.vpc, row.private_ip


def _next_hop6(row: NetworkInterface) -> tuple[str, IpAddress | None]:
    return row.vpc, row.ipv6_ips[0] if row.ipv6_ips else None


FRAGMENTS = (FragmentSpec(name="route_table", table=ROUTE_TABLES, run=table_routes),)
