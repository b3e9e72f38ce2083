"""TableRoute → one route of the router's table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from ecsnet.fabric.kernel import edge6, internet_gateway, naming, peering, void
from ecsnet.fabric.kernel.naming import table_number
from ecsnet.hostplan.kernel import HostObject, Route
from ecsnet.logical.network import TableRoute


def lower(route: TableRoute) -> Iterator[HostObject]:
    netns, number, destination = (
        naming.router_namespace(route.router),
        table_number(route.table, inside=route.inside),
        str(route.destination),
    )
    match route.kind:
        case "blackhole":
            yield void.route(netns, route.destination, number)
        case "gateway":
            yield Route(
                netns=netns,
                table=number,
                destination=destination,
                gateway=internet_gateway.GATEWAY_INSIDE if route.destination.version == 4 else edge6.GATEWAY_INSIDE,
                link=naming.uplink(route.target),
                onlink=True,
                via=internet_gateway.inside_link(route.router, route.target).key,
            )
        case "peering":
            yield Route(
                netns=netns,
                table=number,
                destination=destination,
                gateway=peering.next_hop(route.router, route.far, route.destination.version),
                link=naming.peering_link(route.target),
                onlink=True,
                via=peering.link_key(route.target, route.router, route.far),
            )
        case "port":
            yield Route(
                netns=netns,
                table=number,
                destination=destination,
                gateway=str(route.next_hop),
                link=naming.interface_link(route.target),
                onlink=True,
                via=naming.interface_link_key(route.router, route.target),
            )
        case _:
            assert_never(route.kind)
