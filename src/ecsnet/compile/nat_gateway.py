"""NAT gateway → Nat. Its interface is an ordinary Port without groups and without source/destination check."""

from __future__ import annotations

from collections.abc import Iterator

from ecsnet.compile import facts
from ecsnet.compile.view import FragmentSpec, View
from ecsnet.logical.network import Nat
from ecsnet.model.ec2 import translating_addresses
from ecsnet.model.tables import NAT_GATEWAYS


def nat(view: View, key: str) -> Iterator[Nat]:
    """A NAT gateway from its creation until it begins to be deleted (VPC user guide, "NAT gateway basics")."""
    row = view.get(NAT_GATEWAYS, key)
    if row is not None and facts.nat_holds_interface(row):
        yield Nat(id=row.id, addresses=translating_addresses(row), networks=facts.ipv4_networks(view, row.vpc))


FRAGMENTS = (FragmentSpec(name="nat", table=NAT_GATEWAYS, run=nat),)
