"""Which way a route table sends a packet: the longest prefix, and whether its target is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ecsnet.model import ec2
from ecsnet.model import tables as t
from ecsnet.model.base import IpNetwork
from ecsnet.reach import services
from ecsnet.reach.flow import IpAddress
from ecsnet.reach.records import Records, nat_works, once

_LOCAL = ec2.RouteTarget(kind="local")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The route that applies. `interface` is the next hop when that is an interface (`eni`, `nat`)."""

    kind: Literal["local", "igw", "eigw", "nat", "eni", "pcx", "vpce"]
    target: str
    destination: IpNetwork
    prefix_list: str = ""
    active: bool
    interface: ec2.NetworkInterface | None = None
    text: str
    """As it is said: `10.0.0.0/16 → local`."""


@once
def choose(records: Records, vpc: str, table_id: str | None, destination: IpAddress) -> Choice | None:
    """The most specific route; a static route beats a prefix list's of equal length (VPC user guide, "Route priority").

    A route whose target is gone still wins and drops the packet: there is no way back to a shorter prefix.
    Without a table (an internet gateway that has none) only the VPC's own blocks are known.
    """
    if services.is_never_routed(destination):
        return None  # local blocks, whatever a table says (VPC user guide, "Route table concepts")
    table = None if table_id is None else records.snapshot.get(t.ROUTE_TABLES, table_id)
    found = max(
        (way for way in _ways(records, vpc, table) if destination in way[0]),
        key=lambda way: (way[0].prefixlen, not way[1]),
        default=None,
    )
    if found is None:
        return None
    network, prefix_list, target = found
    interface = _next_hop(records, vpc, target, destination.version)
    through = f" ({prefix_list})" if prefix_list else ""
    return Choice(
        kind=target.kind,
        target=target.id,
        destination=network,
        prefix_list=prefix_list,
        active=_is_active(records, vpc, target, interface),
        interface=interface,
        text=f"{network}{through} → {target.id or 'local'}",
    )


def _ways(records: Records, vpc: str, table: ec2.RouteTable | None) -> Iterator[tuple[IpNetwork, str, ec2.RouteTarget]]:
    """(block, prefix list or "", target). Every table has a local route per block of the VPC.

    What a list says about the VPC's own blocks is never asked: the local routes come first.
    """
    own = records.blocks(vpc)
    written: set[IpNetwork] = set()
    for route in table.routes if table else ():
        if route.destination is not None:
            written.add(route.destination)
            yield route.destination, "", route.target
        elif route.prefix_list is not None:
            for block in records.prefixes(route.prefix_list):
                if not any(_within(block, one) for one in own):
                    yield block, route.prefix_list, route.target
    for block in own:
        if block not in written:
            yield block, "", _LOCAL


def _within(block: IpNetwork, outer: IpNetwork) -> bool:
    return block.version == outer.version and block.prefixlen >= outer.prefixlen and block.network_address in outer


def _next_hop(records: Records, vpc: str, target: ec2.RouteTarget, version: int) -> ec2.NetworkInterface | None:
    """The interface behind a target; one without an address of the IP version cannot be a next hop."""
    key: str | None = None
    if target.kind == "eni":
        key = target.id
    elif target.kind == "nat":
        nat = records.snapshot.get(t.NAT_GATEWAYS, target.id)
        key = nat.interface if nat is not None and nat_works(nat) else None
    row = records.interface(key) if key else None
    if row is None or row.vpc != vpc or not records.held(row.id):
        return None
    return row if (row.private_ip is not None if version == 4 else row.ipv6_ips) else None


def _is_active(records: Records, vpc: str, target: ec2.RouteTarget, interface: ec2.NetworkInterface | None) -> bool:
    """Derived from the target, as AWS does (EC2 API, Route `state`: active or blackhole)."""
    match target.kind:
        case "local":
            return True
        case "igw":
            return records.internet_gateway(vpc) == target.id
        case "eigw":
            return records.egress_only_gateway(vpc) == target.id
        case "nat" | "eni":
            return interface is not None
        case "pcx":
            return records.peer(target.id, vpc) is not None
        case "vpce":
            return records.snapshot.get(t.VPC_ENDPOINTS, target.id) is not None
