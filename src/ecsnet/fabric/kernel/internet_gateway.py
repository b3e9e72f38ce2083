"""Gateway → a namespace between router and internet; PublicAddress → its translation.

Translation lives outside the router: a packet that crosses the router twice with the same 5-tuple (appliance, NAT
gateway, edge route table) would keep the translation decided on its first pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from ecsnet.fabric.kernel import edge6, naming, nft, router
from ecsnet.hostplan.kernel import Address, HostObject, Link, LinkEnd, Namespace, Neighbour, NftTable, PolicyRule, Route
from ecsnet.logical.network import INTERNET_CLIENT, Gateway, PublicAddress

# Addresses of the links, the same at every gateway: each link is alone in its namespaces. They are of the block for
# protocol use (RFC 6890, 192.0.0.0/24) because an ICMP error from a private address is dropped at the edge, and then
# no path MTU is learned through the gateway.
ROUTER_OUTSIDE = "192.0.0.1"
GATEWAY_INSIDE = "192.0.0.2"
GATEWAY_OUTSIDE = "192.0.0.3"
INTERNET_SIDE = "192.0.0.4"

VPC_MTU = 9001
INTERNET_MTU = 1500
"""The gateway, not the router, tells senders of longer packets (EC2 user guide, "Network MTU"). The link between the
two keeps the larger size: an error made by the router carries the router's own address, and when a NAT gateway sends
it on to a task, it comes back to the router as a martian and no path MTU is learned."""

_INCOMING_RULE = 100
"""Priority of the rule for what comes in through the gateway: before `main`, where the interfaces are."""

_INSIDE, _OUTSIDE = "vpc0", "inet0"
_MACS = {"router": "02:ff:ff:ff:fe:01", "inside": "02:ff:ff:ff:fe:02", "outside": "02:ff:ff:ff:fe:03"}
_INTERNET_MAC = "02:ff:ff:ff:fe:04"

_PRIVATE = "{ 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10 }"

_SYSCTLS: tuple[tuple[str, str], ...] = (
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/conf/default/accept_redirects", "0"),
    ("net/ipv4/conf/all/proxy_arp", "0"),
    ("net/ipv4/conf/default/proxy_arp", "0"),
    *edge6.SYSCTLS,
    # AWS's gateway is stateless: the same pair put back lets the old flow go on, also after lost state.
    ("net/netfilter/nf_conntrack_tcp_loose", "1"),
)


def inside_link(router_id: str, gateway: str) -> Link:
    """The veth between the router (end a) and the gateway."""
    return Link(
        a=LinkEnd(netns=naming.router_namespace(router_id), name=naming.uplink(gateway), mac=_MACS["router"]),
        b=LinkEnd(netns=naming.gateway_namespace(gateway), name=_INSIDE, mac=_MACS["inside"]),
        mtu=VPC_MTU,
        owner=gateway,
    )


def outside_link(gateway: str) -> Link:
    """The veth between the internet (end a) and the gateway."""
    return Link(
        a=LinkEnd(netns=naming.INTERNET, name=naming.uplink(gateway), mac=_INTERNET_MAC),
        b=LinkEnd(netns=naming.gateway_namespace(gateway), name=_OUTSIDE, mac=_MACS["outside"]),
        mtu=INTERNET_MTU,
        owner=gateway,
    )


def lower(gateway: Gateway) -> Iterator[HostObject]:
    netns = naming.gateway_namespace(gateway.id)
    yield Namespace(name=netns, owner=gateway.id, sysctls=_SYSCTLS)
    yield from _inside(gateway, netns)
    yield from _outside(gateway, netns)
    yield from _ipv6(gateway, netns)
    yield NftTable(netns=netns, family="ip", name=naming.TABLE, owner=gateway.id)
    yield from _translation(_table(gateway.id), gateway.id)
    uplink = naming.uplink(gateway.id)
    yield router.table(gateway.router).element("uplinks", nft.link(uplink))
    if gateway.table is not None:
        families: set[Literal["ip", "ip6"]] = {"ip" if one.version == 4 else "ip6" for one in gateway.networks}
        for family in sorted(families):
            yield PolicyRule(
                netns=naming.router_namespace(gateway.router),
                family=family,
                priority=_INCOMING_RULE,
                from_link=uplink,
                table=naming.table_number(gateway.table, inside=True),
            )


def _table(gateway: str) -> nft.Table:
    return nft.Table(naming.gateway_namespace(gateway), "ip", naming.TABLE)


def _inside(gateway: Gateway, netns: str) -> Iterator[HostObject]:
    link = inside_link(gateway.router, gateway.id)
    yield link
    yield Neighbour(netns=link.a.netns, link=link.a.name, address=GATEWAY_INSIDE, mac=link.b.mac, via=link.key)
    yield Address(netns=netns, link=_INSIDE, address=f"{GATEWAY_INSIDE}/32", via=link.key)
    yield Neighbour(netns=netns, link=_INSIDE, address=ROUTER_OUTSIDE, mac=link.a.mac, via=link.key)
    for network in gateway.networks:
        if isinstance(network, IPv4Network):
            yield Route(
                netns=netns,
                destination=str(network),
                gateway=ROUTER_OUTSIDE,
                link=_INSIDE,
                onlink=True,
                via=link.key,
            )


def _outside(gateway: Gateway, netns: str) -> Iterator[HostObject]:
    link = outside_link(gateway.id)
    yield link
    yield Neighbour(netns=link.a.netns, link=link.a.name, address=GATEWAY_OUTSIDE, mac=link.b.mac, via=link.key)
    yield Address(netns=netns, link=_OUTSIDE, address=f"{GATEWAY_OUTSIDE}/32", via=link.key)
    yield Neighbour(netns=netns, link=_OUTSIDE, address=INTERNET_SIDE, mac=link.a.mac, via=link.key)
    yield Route(netns=netns, destination="0.0.0.0/0", gateway=INTERNET_SIDE, link=_OUTSIDE, onlink=True, via=link.key)


def _ipv6(gateway: Gateway, netns: str) -> Iterator[HostObject]:
    """Both ways and without state; groups and ACLs in the router decide (VPC User Guide, "Internet gateways")."""
    networks = [network for network in gateway.networks if isinstance(network, IPv6Network)]
    if not networks:
        return
    yield from edge6.lower(inside_link(gateway.router, gateway.id), outside_link(gateway.id), networks)
    yield NftTable(netns=netns, family="ip6", name=naming.TABLE6, owner=gateway.id)
    rules = nft.Table(netns, "ip6", naming.TABLE6)
    yield rules.chain(
        "igw6_fwd",
        *(
            nft.rule(f'iifname "{one}" oifname "{other}" ip6 {side} {network} accept')
            for network in networks
            for one, other, side in ((_INSIDE, _OUTSIDE, "saddr"), (_OUTSIDE, _INSIDE, "daddr"))
        ),
        nft.rule(f'iifname "{_INSIDE}"', nft.deny(f"igw-no-public {gateway.id}")),
        nft.rule(nft.deny(f"igw-unassigned {gateway.id}")),
        hook=nft.filter_hook("forward", 0, "drop"),
    )
    yield rules.chain(
        "igw6_in", nft.rule(nft.deny(f"igw-unassigned {gateway.id}")), hook=nft.filter_hook("input", 0, "drop")
    )


def _translation(rules: nft.Table, gateway: str) -> Iterator[HostObject]:
    yield rules.set("pub2priv", "ipv4_addr", "ipv4_addr")
    yield rules.set("priv2pub", "ipv4_addr", "ipv4_addr")
    yield rules.set("has_pub", "ipv4_addr")
    yield rules.set("pubs", "ipv4_addr")
    # The two sets are looked at on every packet, so that an address that was taken away cuts its old flows at once.
    yield rules.chain(
        "igw_raw",
        nft.rule(f'iifname "{_OUTSIDE}" ip saddr {_PRIVATE}', nft.deny(f"igw-private {gateway}")),
        nft.rule(f'iifname "{_OUTSIDE}" ip daddr @pubs accept'),
        nft.rule(f'iifname "{_INSIDE}" ip saddr != @has_pub', nft.deny(f"igw-no-public {gateway}")),
        nft.rule(f'iifname "{_INSIDE}" accept'),
        nft.rule(nft.deny(f"igw-unassigned {gateway}")),
        hook=nft.filter_hook("prerouting", -300, "drop"),
    )
    yield rules.chain("igw_dnat", nft.rule("dnat to ip daddr map @pub2priv"), hook=nft.nat_hook("prerouting", -100))
    yield rules.chain(
        "igw_fwd",
        nft.rule(f'oifname "{_OUTSIDE}" ip daddr {_PRIVATE}', nft.deny(f"igw-private {gateway}")),
        nft.rule("ct state invalid", nft.deny(f"igw-invalid {gateway}")),
        nft.rule(f'oifname "{_INSIDE}" ct status dnat accept'),
        nft.rule(f'oifname "{_INSIDE}" ct direction reply accept'),
        nft.rule(f'iifname "{_INSIDE}" oifname "{_OUTSIDE}" accept'),
        nft.rule(nft.deny(f"igw-unassigned {gateway}")),
        hook=nft.filter_hook("forward", 0, "drop"),
    )
    yield rules.chain(
        "igw_snat",
        nft.rule(f'iifname "{_INSIDE}" snat to ip saddr map @priv2pub'),
        hook=nft.nat_hook("postrouting", 100),
    )
    yield rules.chain(
        "igw_in", nft.rule(nft.deny(f"igw-unassigned {gateway}")), hook=nft.filter_hook("input", 0, "drop")
    )


def lower_address(address: PublicAddress) -> Iterator[HostObject]:
    public, private = str(address.public), str(address.private)
    rules = _table(address.gateway)
    yield rules.element("pub2priv", public, private)
    yield rules.element("priv2pub", private, public)
    yield rules.element("has_pub", private)
    yield rules.element("pubs", public)
    yield Route(
        netns=naming.INTERNET,
        destination=f"{public}/32",
        gateway=GATEWAY_OUTSIDE,
        link=naming.uplink(address.gateway),
        source=str(INTERNET_CLIENT),
        onlink=True,
        via=outside_link(address.gateway).key,
    )
