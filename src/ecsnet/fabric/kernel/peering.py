"""Peering → a veth between two routers; PeeringGuard → the chain that keeps it from being transitive.

The guard comes before every other filter of the forward hook and looks at both ends of every packet, so that no route
table can make a peering carry what is not between its two networks. The link is an uplink of both routers: packets
from it have mark 0, so that the source's network ACL applies in the source's router and the destination's in its own.

Two peers of one router may have the same addresses. Connections that begin at a peer are therefore tracked in a zone of
the peering (for the original direction alone: an answer does not know where it will go); without that, what one peer's
flow was allowed would hold for the other's of the same addresses and ports.
"""

from __future__ import annotations

from collections.abc import Iterator

from ecsnet.fabric.kernel import naming, nft, router
from ecsnet.hostplan.kernel import HostObject, Link, LinkEnd, Neighbour, NftRule
from ecsnet.logical.network import Peering, PeeringEnd, PeeringGuard

# Next hops, the same at every peering: a link is alone with them. No end has an address (the neighbours are permanent),
# so that what the routers say themselves (ICMP errors) has an address of their own VPC.
_ADDRESSES = ("192.0.0.5", "192.0.0.6")
_ADDRESSES6 = ("fe80:ec2::5", "fe80:ec2::6")
_MACS = ("02:ff:ff:ff:fd:01", "02:ff:ff:ff:fd:02")

GUARD_PRIORITY = -45

ZONE_PRIORITY = -299
"""Before connection tracking (-200)."""


def link(peering: str, one: str, other: str, mtu: int) -> Link:
    """The veth between two routers, given in either order."""
    first, second = sorted((one, other))
    name = naming.peering_link(peering)
    return Link(
        a=LinkEnd(netns=naming.router_namespace(first), name=name, mac=_MACS[0]),
        b=LinkEnd(netns=naming.router_namespace(second), name=name, mac=_MACS[1]),
        mtu=mtu,
        owner=peering,
    )


def link_key(peering: str, one: str, other: str) -> str:
    return link(peering, one, other, 0).key


def next_hop(near: str, far: str, version: int) -> str:
    """The far router's address on the link."""
    addresses = _ADDRESSES if version == 4 else _ADDRESSES6
    return addresses[1 if near < far else 0]


def lower(peering: Peering) -> Iterator[HostObject]:
    one, other = peering.ends
    veth = link(peering.id, one.router, other.router, peering.mtu)
    yield veth
    for near, far, mac in ((one, other, _MACS[1]), (other, one, _MACS[0])):
        netns = naming.router_namespace(near.router)
        for version in (4, 6):
            address = next_hop(near.router, far.router, version)
            yield Neighbour(netns=netns, link=veth.a.name, address=address, mac=mac, via=veth.key)
        yield from _guarded(peering.id, near, far)


def _guarded(peering: str, near: PeeringEnd, far: PeeringEnd) -> Iterator[HostObject]:
    """The filter of one end. Without its uplink element nothing from the link gets past anti-spoofing."""
    rules, device = router.table(near.router), nft.link(naming.peering_link(peering))
    came = rules.chain(naming.peering_chain(peering, "in"), *_only(peering, source=far, destination=near))
    goes = rules.chain(naming.peering_chain(peering, "out"), *_only(peering, source=near, destination=far))
    apart = rules.chain(naming.peering_chain(peering, "zone"), nft.rule(f"ct original zone set {_zone(peering)}"))
    checks = (
        rules.verdict("pcx_zone", device, "jump", apart.name),
        rules.verdict("pcx_in", device, "jump", came.name),
        rules.verdict("pcx_out", device, "jump", goes.name),
    )
    yield from (apart, came, goes, *checks)
    yield rules.element("uplinks", device, after=tuple(check.key for check in checks))


def _zone(peering: str) -> int:
    """1 to 65,535, from the id; 0 is where everything else is tracked."""
    return 1 + int(naming.digits(peering)[:8], 16) % 0xFFFF


def _only(peering: str, *, source: PeeringEnd, destination: PeeringEnd) -> Iterator[NftRule]:
    deny = nft.deny(f"pcx {peering}")
    for version, field in ((4, "ip"), (6, "ip6")):
        ends = (_of(version, source), _of(version, destination))
        if not all(ends):
            yield nft.rule(f"meta nfproto ipv{version}", deny)
            continue
        for side, networks in zip(("saddr", "daddr"), ends, strict=True):
            yield nft.rule(f"{field} {side} != {{ {', '.join(networks)} }}", deny)


def _of(version: int, end: PeeringEnd) -> list[str]:
    return [nft.network_text(network) for network in end.networks if network.version == version]


def lower_guard(guard: PeeringGuard) -> Iterator[HostObject]:
    rules = router.table(guard.router)
    yield rules.set("pcx_zone", "ifname", "verdict")
    yield rules.chain(
        "pcx_apart", nft.rule("iifname vmap @pcx_zone"), hook=nft.filter_hook("prerouting", ZONE_PRIORITY, "accept")
    )
    yield rules.set("pcx_in", "ifname", "verdict")
    yield rules.set("pcx_out", "ifname", "verdict")
    yield rules.chain(
        "pcx_guard",
        nft.rule("iifname vmap @pcx_in"),
        nft.rule("oifname vmap @pcx_out"),
        hook=nft.filter_hook("forward", GUARD_PRIORITY, "accept"),
    )
