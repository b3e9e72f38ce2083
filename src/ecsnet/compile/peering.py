"""VPC peering connection → Peering, and the guard of both routers."""

from __future__ import annotations

from collections.abc import Iterator

from ecsnet.compile import facts
from ecsnet.compile.view import FragmentSpec, View
from ecsnet.logical.base import LogicalObject
from ecsnet.logical.network import Peering, PeeringEnd, PeeringGuard
from ecsnet.model.tables import PEERINGS

_MTU, _MTU_BETWEEN_REGIONS = 9001, 8500
"""EC2 user guide, "Network MTU"."""


def peering(view: View, key: str) -> Iterator[LogicalObject]:
    """An active connection between two VPCs that have routers.

    Packets whose source or destination is outside the two VPCs' blocks do not pass: peering is not transitive and
    gives no way to the other side's gateways (VPC peering guide, "VPC peering limitations").
    """
    link = view.ask(facts.PEERED, key)
    if link is None:
        return
    one, other = (PeeringEnd(router=vpc, networks=facts.networks(view, vpc)) for vpc in link.vpcs)
    yield Peering(id=key, ends=(one, other), mtu=_MTU if link.same_region else _MTU_BETWEEN_REGIONS)
    for vpc in link.vpcs:
        yield PeeringGuard(router=vpc)


FRAGMENTS = (FragmentSpec(name="peering", table=PEERINGS, run=peering),)
