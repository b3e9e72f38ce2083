"""IPv6 between a router, a gateway's namespace and the internet: no translation, so addresses and routes alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import IPv6Network

from ecsnet.fabric.kernel import naming
from ecsnet.hostplan.kernel import Address, HostObject, Link, Neighbour, Route
from ecsnet.logical.network import INTERNET_CLIENT6, PublicNetwork

# Next hops, the same at every gateway: a link is alone with them.
ROUTER_OUTSIDE = "fe80:ec2::1"
GATEWAY_INSIDE = "fe80:ec2::2"
_GATEWAY_OUTSIDE = "fe80:ec2::3"
_INTERNET_SIDE = "fe80:ec2::4"

_GATEWAY = "2001:db8::2"
"""The source of a gateway's own ICMP errors: routers do not forward packets from link-local addresses, and without
them no path MTU is learned."""

SYSCTLS: tuple[tuple[str, str], ...] = (
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/dad_transmits", "0"),
    ("net/ipv6/conf/default/addr_gen_mode", "1"),
)


def lower(inside: Link, outside: Link, networks: Iterable[IPv6Network]) -> Iterator[HostObject]:
    """`inside` joins the router (end a) and the gateway, `outside` the internet (end a) and the gateway."""
    yield from _next_hops(inside, a=ROUTER_OUTSIDE, b=GATEWAY_INSIDE)
    yield from _next_hops(outside, a=_INTERNET_SIDE, b=_GATEWAY_OUTSIDE)
    gateway = inside.b
    yield Address(netns=gateway.netns, link=gateway.name, address=f"{_GATEWAY}/128", via=inside.key)
    for network in networks:
        yield Route(
            netns=gateway.netns,
            destination=str(network),
            gateway=ROUTER_OUTSIDE,
            link=gateway.name,
            onlink=True,
            via=inside.key,
        )
    yield Route(
        netns=gateway.netns,
        destination="::/0",
        gateway=_INTERNET_SIDE,
        link=outside.b.name,
        onlink=True,
        via=outside.key,
    )


def _next_hops(link: Link, *, a: str, b: str) -> Iterator[Neighbour]:
    yield Neighbour(netns=link.a.netns, link=link.a.name, address=b, mac=link.b.mac, via=link.key)
    yield Neighbour(netns=link.b.netns, link=link.b.name, address=a, mac=link.a.mac, via=link.key)


def lower_network(item: PublicNetwork) -> Iterator[HostObject]:
    """The internet's way to a segment."""
    uplink = naming.uplink(item.gateway)
    yield Route(
        netns=naming.INTERNET,
        destination=str(item.network),
        gateway=_GATEWAY_OUTSIDE,
        link=uplink,
        source=str(INTERNET_CLIENT6),
        onlink=True,
        via=naming.outside_link_key(item.gateway),
    )
