"""VPC → Router."""

from __future__ import annotations

from collections.abc import Iterator

from ecsnet.compile import facts
from ecsnet.compile.view import FragmentSpec, View
from ecsnet.logical.network import Router
from ecsnet.model.tables import VPCS


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
        )


FRAGMENTS = (FragmentSpec(name="router", table=VPCS, run=router),)
