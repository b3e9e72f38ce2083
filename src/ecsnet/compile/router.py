"""VPC → Router."""

from __future__ import annotations

from collections.abc import Iterator

from ecsnet.compile import facts, network_acl, segment
from ecsnet.compile.view import FragmentSpec, Query, View
from ecsnet.logical.network import Router
from ecsnet.model.tables import ROUTE_TABLES_BY_VPC, SUBNETS, SUBNETS_BY_VPC, VPCS


def router(view: View, vpc: str) -> Iterator[Router]:
    """The router of a VPC that has interfaces. Its name server is at the primary block's base plus two.

    Source: VPC user guide, "Amazon DNS server" (base of the VPC network range plus two).
    """
    blocks = facts.ipv4_networks(view, vpc)
    if facts.has_router(view, vpc):
        yield Router(
            id=vpc,
            networks=facts.networks(view, vpc),
            resolver=blocks[0].network_address + 2,
            resolver6=bool(facts.ipv6_networks(view, vpc)),
            borderless=view.ask(_BORDERLESS, vpc),
        )


def _find_borderless(view: View, vpc: str) -> bool:
    versions = {network.version for network in facts.networks(view, vpc)}
    acls = {view.ask(_ACL, subnet) for subnet in view.keys(SUBNETS_BY_VPC, vpc)}
    return all(acl is not None and versions <= view.ask(network_acl.OPEN, acl) for acl in acls) and not any(
        view.ask(facts.INSIDE_ROUTES, table) for table in view.keys(ROUTE_TABLES_BY_VPC, vpc)
    )


_BORDERLESS = Query(name="borderless", run=_find_borderless)
"""Whether nothing but security groups stops a packet from one interface of a VPC to another."""


def _find_acl(view: View, key: str) -> str | None:
    subnet = view.get(SUBNETS, key)
    return None if subnet is None else segment.acl_of(view, subnet)


_ACL = Query(name="subnet_acl", run=_find_acl)


FRAGMENTS = (FragmentSpec(name="router", table=VPCS, run=router),)
