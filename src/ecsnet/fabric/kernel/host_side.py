"""The owner's end of a port: addresses and routes inside the host's namespace.

It shows its real IPv4 prefix, but reaches everything, also its neighbours, through the router; IPv6 addresses are
single ones, as on EC2. A host with several ports answers through the port on which the request came.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from ecsnet.hostplan.kernel import Address, HostObject, Neighbour, PolicyRule, Route
from ecsnet.logical.network import IpAddress, Port

ROUTER_MAC = "02:ff:ff:ff:ff:01"
"""The router's end of every port; each veth is a network of its own, so one address serves all."""

ROUTER_LINK_LOCAL = "fe80:ec2::1"
"""The IPv6 gateway of every port (VPC user guide: routers answer from a link-local address)."""

_MAIN = 254

_PORT_TABLE = 100
"""Route table of a host's first port; packets from port k's addresses use table 100 + k."""

_PORT_RULE = 100

_WITH_SEVERAL_PORTS = frozenset({"balancer", "instance"})
_WITH_ALL_ADDRESSES = frozenset({"instance", "task", "nat"})
"""Amazon Linux configures what the metadata service lists; nobody inside a task could do it. A NAT gateway that did not
know its secondary addresses would translate and send back what is addressed to them."""


def lower(port: Port, netns: str, device: str, via: str) -> Iterator[HostObject]:
    """`via` is the key of the port's link."""
    fours = [address for address in port.addresses if isinstance(address, IPv4Address)]
    sixes = [address for address in port.addresses if isinstance(address, IPv6Address)]
    if port.host_kind in _WITH_SEVERAL_PORTS:
        for own in port.addresses:
            yield _source_rule(port, own, netns)
    if port.network is not None:
        yield from _ipv4(port, fours, port.network, netns, device, via)
    if sixes:
        yield from _ipv6(port, sixes, netns, device, via)


def _tables(port: Port) -> list[int]:
    if port.host_kind not in _WITH_SEVERAL_PORTS:
        return [_MAIN]
    return [_PORT_TABLE + port.index, *([_MAIN] if port.index == 0 else [])]


def _source_rule(port: Port, own: IpAddress, netns: str) -> PolicyRule:
    return PolicyRule(
        netns=netns,
        family="ip" if own.version == 4 else "ip6",
        priority=_PORT_RULE,
        source=f"{own}/{own.max_prefixlen}",
        table=_PORT_TABLE + port.index,
    )


def _ipv4(
    port: Port, own: list[IPv4Address], network: IPv4Network, netns: str, device: str, via: str
) -> Iterator[HostObject]:
    address, gateway = str(own[0]), str(port.gateway)
    yield Address(netns=netns, link=device, address=f"{address}/{network.prefixlen}", via=via)
    if port.host_kind in _WITH_ALL_ADDRESSES:
        for secondary in own[1:]:
            yield Address(netns=netns, link=device, address=f"{secondary}/32", via=via)
    yield Neighbour(netns=netns, link=device, address=gateway, mac=ROUTER_MAC, via=via)
    for table in _tables(port):
        yield Route(netns=netns, table=table, destination=f"{gateway}/32", link=device, source=address, via=via)
        for destination in (str(network), "0.0.0.0/0"):
            # onlink: the routes of a table need no order among themselves
            yield Route(
                netns=netns,
                table=table,
                destination=destination,
                gateway=gateway,
                link=device,
                source=address,
                onlink=True,
                via=via,
            )


def _ipv6(port: Port, own: list[IPv6Address], netns: str, device: str, via: str) -> Iterator[HostObject]:
    for address in own:
        yield Address(netns=netns, link=device, address=f"{address}/128", via=via)
    yield Neighbour(netns=netns, link=device, address=ROUTER_LINK_LOCAL, mac=ROUTER_MAC, via=via)
    for table in _tables(port):
        yield Route(
            netns=netns,
            table=table,
            destination="::/0",
            gateway=ROUTER_LINK_LOCAL,
            link=device,
            source=str(own[0]),
            onlink=True,
            via=via,
        )
