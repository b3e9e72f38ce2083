"""EgressGateway → a namespace between router and internet that lets IPv6 connections begin on the router's side only.

Source: VPC User Guide, "Egress-only internet gateways" (stateful, IPv6 alone, no security groups).
"""

from __future__ import annotations

from collections.abc import Iterator

from ecsnet.fabric.kernel import edge6, naming, nft, router
from ecsnet.fabric.kernel.internet_gateway import inside_link, outside_link
from ecsnet.hostplan.kernel import HostObject, Namespace, NftTable
from ecsnet.logical.network import EgressGateway

_SYSCTLS = (*edge6.SYSCTLS, ("net/netfilter/nf_conntrack_tcp_loose", "0"))


def lower(gateway: EgressGateway) -> Iterator[HostObject]:
    inside, outside = inside_link(gateway.router, gateway.id), outside_link(gateway.id)
    netns = inside.b.netns
    yield Namespace(name=netns, owner=gateway.id, sysctls=_SYSCTLS)
    yield from (inside, outside)
    yield from edge6.lower(inside, outside, gateway.networks)
    yield NftTable(netns=netns, family="ip6", name=naming.TABLE, owner=gateway.id)
    rules = nft.Table(netns, "ip6", naming.TABLE)
    deny = nft.rule(nft.deny(f"eigw {gateway.id}"))
    yield rules.chain(
        "eigw_fwd",
        nft.rule("ct state established,related accept"),
        *(
            nft.rule(f'iifname "{inside.b.name}" oifname "{outside.b.name}" ct state new ip6 saddr {network} accept')
            for network in gateway.networks
        ),
        deny,
        hook=nft.filter_hook("forward", 0, "drop"),
    )
    yield rules.chain("eigw_in", deny, hook=nft.filter_hook("input", 0, "drop"))
    yield router.table(gateway.router).element("uplinks", nft.link(naming.uplink(gateway.id)))
