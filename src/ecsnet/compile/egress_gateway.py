"""Egress-only internet gateway → EgressGateway; IPv6 subnet → the gateway behind which the internet sees it."""

from __future__ import annotations

from collections.abc import Iterator

from ecsnet.compile import facts
from ecsnet.compile.segment import ipv6_block, route_table_of
from ecsnet.compile.view import FragmentSpec, View
from ecsnet.logical.network import EgressGateway, PublicNetwork
from ecsnet.model.tables import EGRESS_ONLY_GATEWAYS, SUBNETS


def egress_gateway(view: View, key: str) -> Iterator[EgressGateway]:
    """An egress-only internet gateway of a VPC with a router and IPv6 addresses."""
    vpc = view.project("vpc", lambda row: row.vpc, EGRESS_ONLY_GATEWAYS, key)
    if vpc is not None and facts.egress_gateway_of(view, vpc) == key:
        yield EgressGateway(router=vpc, id=key, networks=facts.ipv6_networks(view, vpc))


def public_network(view: View, key: str) -> Iterator[PublicNetwork]:
    """Where the internet sends what is for a subnet's IPv6 addresses.

    They are not translated, so the sender's route does not show in them as it does with IPv4. A subnet whose table
    leads to the egress-only gateway is behind that (VPC User Guide, "Egress-only internet gateways": the internet
    begins no connection with its hosts), every other one behind the internet gateway.
    """
    subnet = view.get(SUBNETS, key)
    block = None if subnet is None else ipv6_block(subnet)
    if subnet is None or block is None:
        return
    table = route_table_of(view, subnet)
    egress_only = table is not None and view.ask(facts.EGRESS_ONLY, table)
    find = facts.egress_gateway_of if egress_only else facts.gateway_of
    gateway = find(view, subnet.vpc)
    if gateway is not None:
        yield PublicNetwork(gateway=gateway, network=block)


FRAGMENTS = (
    FragmentSpec(name="egress_gateway", table=EGRESS_ONLY_GATEWAYS, run=egress_gateway),
    FragmentSpec(name="public_network", table=SUBNETS, run=public_network),
)
