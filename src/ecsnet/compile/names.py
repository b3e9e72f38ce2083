"""VPC → name server; load balancer and public interface → names.

Sources: VPC User Guide, "DNS attributes for your VPC"; Elastic Load Balancing User Guide, "Routing to your load
balancer" (the name of an internet-facing load balancer is public and resolves to public addresses also inside the VPC;
that of an internal one is public too and resolves to private addresses).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from ecsnet.compile import facts
from ecsnet.compile.view import FragmentSpec, Query, View
from ecsnet.logical.names import AddressName, ComputedNames, NameServer, PublicNameServer, ReverseName
from ecsnet.model.dnsnames import private_domain, public_dns_name, public_domain
from ecsnet.model.ec2 import VpcPeeringConnection
from ecsnet.model.tables import (
    ELASTIC_IPS,
    ELASTIC_IPS_BY_INTERFACE,
    INTERFACES,
    LISTENERS_BY_LOAD_BALANCER,
    LOAD_BALANCERS,
    PEERINGS,
    PEERINGS_BY_VPC,
    TARGET_HEALTH_BY_GROUP,
    TARGETS,
    VPCS,
    target_key,
)

PUBLIC_NAME_SERVER = IPv4Address("198.19.255.253")
"""Where the internet's name server listens, beside the internet's client."""

TTL = 60
"""Seconds; what load balancer names have on AWS."""


def name_server(view: View, vpc: str) -> Iterator[NameServer]:
    """The resolver of a VPC that has interfaces, unless enableDnsSupport is off: then nothing answers."""
    attributes = view.project("dns", lambda v: (v.region, v.dns_support, v.dns_hostnames), VPCS, vpc)
    blocks = facts.ipv4_networks(view, vpc)
    if attributes is None or not blocks or not facts.has_router(view, vpc):
        return
    region, support, hostnames = attributes
    if support:
        computed = ComputedNames(domain=private_domain(region), networks=blocks) if hostnames else None
        yield NameServer(
            router=vpc,
            address=blocks[0].network_address + 2,
            ipv6=bool(facts.ipv6_networks(view, vpc)),
            computed=computed,
        )


def balancer_name(view: View, arn: str) -> Iterator[AddressName]:
    balancer = view.get(LOAD_BALANCERS, arn)
    if balancer is None:
        return
    nodes = balancer.nodes
    if balancer.type == "network":
        healthy = view.ask(_HEALTHY_ZONES, arn)
        nodes = tuple(node for node in nodes if node.az in healthy) or nodes
    if balancer.scheme == "internet-facing":
        addresses = tuple(node.public_ip for node in nodes if node.public_ip is not None)
    else:
        addresses = tuple(node.private_ip for node in nodes)
    sixes = tuple(node.ipv6_ip for node in nodes if node.ipv6_ip is not None)
    if addresses:
        name = balancer.dns_name.lower()
        yield AddressName(
            router=None, zone=name.partition(".")[2], name=name, addresses=(*addresses, *sixes), ttl=TTL, owner=arn
        )


def _find_healthy_zones(view: View, arn: str) -> frozenset[str]:
    """The zones in which a network load balancer has a healthy target; DNS leaves the others out.

    Source: guide page "Network Load Balancers" (DNS failover of a zone without healthy targets).
    """
    zones: set[str] = set()
    for listener in view.find(LISTENERS_BY_LOAD_BALANCER, arn):
        for share in (item for action in listener.default_actions for item in action.forward):
            for health in view.find(TARGET_HEALTH_BY_GROUP, share.target_group):
                target = view.get(TARGETS, target_key(health.target_group, health.id, health.port))
                if health.state == "healthy" and target is not None and target.az is not None:
                    zones.add(target.az)
    return frozenset(zones)


_HEALTHY_ZONES = Query(name="healthy_zones", run=_find_healthy_zones)


def interface_name(view: View, interface: str) -> Iterator[AddressName]:
    """The public name of an interface with a public address: private inside its own VPC, public elsewhere.

    Peered VPCs see what its own sees when the VPC allows it (VPC peering guide, "Enable DNS resolution for a VPC
    peering connection").
    """
    row = view.get(INTERFACES, interface)
    if row is None or row.attachment is None:
        return
    public = _public_address(view, interface, row.auto_public_ip)
    attributes = view.project("dns", lambda v: (v.region, v.dns_support, v.dns_hostnames), VPCS, row.vpc)
    if public is None or row.private_ip is None or attributes is None or not (attributes[1] and attributes[2]):
        return
    name = public_dns_name(row.region, public)
    yield AddressName(
        router=None, zone=public_domain(row.region), name=name, addresses=(public,), ttl=TTL, owner=str(public)
    )
    # A zone of its own: the other public names of the region must stay visible in the VPC.
    for router in (row.vpc, *view.ask(_RESOLVING_PEERS, row.vpc)):
        yield AddressName(router=router, zone=name, name=name, addresses=(row.private_ip,), ttl=TTL, owner=interface)


def _find_resolving_peers(view: View, vpc: str) -> frozenset[str]:
    found = set()
    for key in view.keys(PEERINGS_BY_VPC, vpc):
        link = view.ask(facts.PEERED, key)
        allowing = view.project("allowing", _allowing, PEERINGS, key)
        peer = None if link is None else link.far(vpc)
        if peer is not None and allowing is not None and vpc in allowing and _resolves(view, peer):
            found.add(peer)
    return frozenset(found)


def _allowing(row: VpcPeeringConnection) -> frozenset[str]:
    return frozenset(side.vpc for side in (row.requester, row.accepter) if side.remote_dns)


def _resolves(view: View, vpc: str) -> bool:
    attributes = view.project("dns", lambda v: (v.region, v.dns_support, v.dns_hostnames), VPCS, vpc)
    return attributes is not None and attributes[1] and attributes[2]


_RESOLVING_PEERS = Query(name="resolving_peers", run=_find_resolving_peers)
"""The peered VPCs whose hosts see private addresses behind the public names of a VPC."""


def _public_address(view: View, interface: str, automatic: IPv4Address | None) -> IPv4Address | None:
    """The Elastic IP of the primary private address, else the address that AWS assigned by itself."""
    for elastic in view.find(ELASTIC_IPS_BY_INTERFACE, interface):
        row = view.get(INTERFACES, interface)
        if row is not None and elastic.private_ip == row.private_ip:
            return elastic.public_ip
    return automatic


def reverse_name(view: View, allocation: str) -> Iterator[ReverseName]:
    """The PTR record that the owner of an Elastic IP asked for (EC2 API, ModifyAddressAttribute)."""
    named = view.project("reverse", lambda eip: (eip.public_ip, eip.reverse_name), ELASTIC_IPS, allocation)
    if named is not None and named[1] is not None:
        yield ReverseName(address=named[0], name=named[1], ttl=TTL, owner=allocation)


def public_name_server(view: View, key: str) -> Iterator[PublicNameServer]:
    yield PublicNameServer(address=PUBLIC_NAME_SERVER)


FRAGMENTS = (
    FragmentSpec(name="name_server", table=VPCS, run=name_server),
    FragmentSpec(name="balancer_name", table=LOAD_BALANCERS, run=balancer_name),
    FragmentSpec(name="interface_name", table=INTERFACES, run=interface_name),
    FragmentSpec(name="reverse_name", table=ELASTIC_IPS, run=reverse_name),
    FragmentSpec(name="public_name_server", table=None, run=public_name_server),
)
