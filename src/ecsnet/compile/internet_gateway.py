"""Internet gateway → Gateway; Elastic IPs and automatic public addresses → PublicAddress; the internet itself."""

from __future__ import annotations

from collections.abc import Iterator

from ecsnet.compile import facts
from ecsnet.compile.view import FragmentSpec, View
from ecsnet.logical.network import INTERNET_CLIENT, INTERNET_CLIENT6, Gateway, Internet, PublicAddress
from ecsnet.model.tables import (
    ASSOCIATIONS_BY_GATEWAY,
    ELASTIC_IPS,
    ELASTIC_IPS_BY_INTERFACE,
    INTERFACES,
    INTERNET_GATEWAYS,
    ROUTE_TABLES,
)


def gateway(view: View, key: str) -> Iterator[Gateway]:
    """An internet gateway that is attached to a VPC with a router."""
    row = view.get(INTERNET_GATEWAYS, key)
    if row is not None and row.vpc is not None and facts.gateway_of(view, row.vpc) == row.id:
        networks = facts.networks(view, row.vpc)
        yield Gateway(router=row.vpc, id=row.id, networks=networks, table=_edge_table(view, row.id, row.vpc))


def _edge_table(view: View, gateway: str, vpc: str) -> int | None:
    """The route table for what enters the VPC (VPC user guide, "Gateway route tables")."""
    for association in view.find(ASSOCIATIONS_BY_GATEWAY, gateway):
        if association.vpc == vpc:
            return view.project("ordinal", lambda row: row.ordinal, ROUTE_TABLES, association.route_table)
    return None


def elastic_ip(view: View, key: str) -> Iterator[PublicAddress]:
    """An Elastic IP that is associated with an interface of a VPC with an attached internet gateway."""
    row = view.get(ELASTIC_IPS, key)
    if row is None or row.interface is None or row.private_ip is None:
        return
    vpc = view.project("vpc", lambda interface: interface.vpc, INTERFACES, row.interface)
    through = None if vpc is None else facts.gateway_of(view, vpc)
    if through is not None:
        yield PublicAddress(gateway=through, public=row.public_ip, private=row.private_ip)


def automatic_address(view: View, key: str) -> Iterator[PublicAddress]:
    """The public address that AWS assigned to an interface; an Elastic IP on the same address takes its place."""
    row = view.get(INTERFACES, key)
    if row is None or row.auto_public_ip is None or row.private_ip is None:
        return
    if any(address.private_ip == row.private_ip for address in view.find(ELASTIC_IPS_BY_INTERFACE, row.id)):
        return
    through = facts.gateway_of(view, row.vpc)
    if through is not None:
        yield PublicAddress(gateway=through, public=row.auto_public_ip, private=row.private_ip)


def internet(view: View, key: str) -> Iterator[Internet]:
    """The internet exists whatever the store holds."""
    yield Internet(client=INTERNET_CLIENT, client6=INTERNET_CLIENT6)


FRAGMENTS = (
    FragmentSpec(name="gateway", table=INTERNET_GATEWAYS, run=gateway),
    FragmentSpec(name="elastic_ip", table=ELASTIC_IPS, run=elastic_ip),
    FragmentSpec(name="automatic_address", table=INTERFACES, run=automatic_address),
    FragmentSpec(name="internet", table=None, run=internet),
)
