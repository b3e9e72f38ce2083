"""Port → its veth, addresses, permanent neighbours, routes, filter elements and chains; Host → its namespace.

Nothing of a port carries a packet until its element of the map `sgs` is there; it comes after everything else of the
port (`naming.published_key`).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from ecsnet.fabric.kernel import gates, host_side, internet_gateway, naming, nft, router, segment
from ecsnet.hostplan.kernel import (
    Address,
    HostObject,
    Link,
    LinkEnd,
    Namespace,
    Neighbour,
    NftElement,
    Route,
    chain_key,
    element_key,
)
from ecsnet.logical.network import Host, IpAddress, OpenPort, Port
from ecsnet.model.base import IpNetwork

_PORT_LINK_LOCAL = "fe80:ec2::a"
"""The port itself, as a next hop of the router."""


HOST_SYSCTLS: tuple[tuple[str, str], ...] = (
    # A container may listen on port 80 whatever its user is, as on Fargate.
    ("net/ipv4/ip_unprivileged_port_start", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/addr_gen_mode", "1"),
)
_BALANCER_SYSCTLS: tuple[tuple[str, str], ...] = (
    *HOST_SYSCTLS,
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
)
_INSTANCE_SYSCTLS: tuple[tuple[str, str], ...] = (
    *_BALANCER_SYSCTLS,
    # Its processes reach published container ports at 127.0.0.1; `containers.py` keeps everybody else out.
    ("net/ipv4/conf/default/route_localnet", "1"),
    # A machine may be a router (a NAT instance, the host of a bridge); without its source/destination check switched
    # off it still forwards nothing. What it sends back out of the port on which it came must not cause redirects.
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/conf/default/accept_redirects", "0"),
)


def host_namespace(kind: str, host: str) -> str:
    """The namespace of a port's owner."""
    match kind:
        case "task":
            return naming.task_namespace(host)
        case "balancer":
            return naming.load_balancer_namespace(host)
        case "nat":
            return naming.nat_gateway_namespace(host)
        case "instance":
            return naming.instance_namespace(host)
        case _:
            raise ValueError(f"unknown kind of host: {kind}")


def lower_host(host: Host) -> Iterator[HostObject]:
    sysctls = {"task": HOST_SYSCTLS, "balancer": _BALANCER_SYSCTLS, "instance": _INSTANCE_SYSCTLS}[host.kind]
    yield Namespace(name=host_namespace(host.kind, host.id), owner=host.id, sysctls=sysctls)


def lower_open(item: OpenPort) -> Iterator[HostObject]:
    """Without its element a flow is only tracked where AWS would not track it, so publishing does not wait for it."""
    name = f"{item.direction}_open_{item.protocol}{item.version}"
    yield router.table(item.router).element(name, nft.link(naming.interface_link(item.port)))


def lower(port: Port) -> Iterator[HostObject]:
    parts = (*_links(port), *_filter(port))
    yield from parts
    yield _publish(port, tuple(part.key for part in parts if not isinstance(part, Link)))


# ── links, addresses, routes ─────────────────────────────────────────────────────────────────────────────────────────


def _links(port: Port) -> Iterator[HostObject]:
    netns, link = naming.router_namespace(port.router), naming.interface_link(port.id)
    inside, device = host_namespace(port.host_kind, port.host), naming.interface_device(port.index)
    veth = Link(
        a=LinkEnd(netns=netns, name=link, mac=host_side.ROUTER_MAC),
        b=LinkEnd(netns=inside, name=device, mac=port.mac),
        mtu=internet_gateway.VPC_MTU,
        owner=port.id,
    )
    yield veth
    for address in port.addresses:
        # Permanent on both ends of every link: the machine's one neighbour table holds 1,024 dynamic entries, and
        # with about 1,200 namespaces alive links lost their first packets.
        yield Neighbour(netns=netns, link=link, address=str(address), mac=port.mac, via=veth.key)
        yield Route(netns=netns, destination=_single(address), link=link, via=veth.key)
    for prefix in port.prefixes:
        yield _prefix_route(port, netns, link, prefix, veth.key)
    if _has_ipv6(port):
        yield Address(netns=netns, link=link, address=f"{host_side.ROUTER_LINK_LOCAL}/128", via=veth.key)
        yield Neighbour(netns=netns, link=link, address=_PORT_LINK_LOCAL, mac=port.mac, via=veth.key)
    yield from host_side.lower(port, inside, device, veth.key)


def _has_ipv6(port: Port) -> bool:
    return any(one.version == 6 for one in (*port.addresses, *port.prefixes))


def _prefix_route(port: Port, netns: str, link: str, prefix: IpNetwork, via: str) -> Route:
    """Through a next hop that is a permanent neighbour: the block's own addresses would be dynamic ones."""
    next_hop = port.addresses[0] if prefix.version == 4 else _PORT_LINK_LOCAL
    return Route(netns=netns, destination=str(prefix), gateway=str(next_hop), link=link, onlink=True, via=via)


def _single(address: IpAddress) -> str:
    return f"{address}/{address.max_prefixlen}"


# ── filter ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _filter(port: Port) -> Iterator[HostObject]:
    rules = router.table(port.router)
    link = nft.link(naming.interface_link(port.id))
    border = naming.subnet_chain(port.segment)
    for address in port.addresses:
        version = address.version
        if port.checked:
            sender = nft.concat(link, port.mac, address)
            yield rules.element(f"source{version}", sender, nft.mark(port.segment_number))
            yield rules.element(f"receiver{version}", nft.concat(link, address), nft.priority(port.segment_number))
        else:
            yield rules.element(f"own{version}", nft.concat(address, link))
        if isinstance(address, IPv4Address):
            yield router.arp_table(port.router).element("arp_ok", nft.concat(link, port.mac, address))
    if not port.checked:
        unchecked = nft.mark(gates.FROM_UNCHECKED | port.segment_number)
        yield rules.element("unchecked", nft.concat(link, port.mac), unchecked)
        yield rules.verdict("receiver_any", link, "goto", border)
    if port.checked and port.prefixes:
        yield from _prefixes(rules, port, link, border)


def _prefixes(rules: nft.Table, port: Port, link: str, border: str) -> Iterator[HostObject]:
    """The port's own chains for its blocks. One interval set for all ports would cost more the more it holds."""
    sends, receives = (naming.prefix_chain(port.id, direction) for direction in ("out", "in"))
    marked = nft.mark(port.segment_number)
    yield rules.chain(
        sends,
        *(
            nft.rule(f"ether saddr {port.mac}", nft.network("saddr", prefix), f"meta mark set {marked}",
                     f"goto {router.PRE_KNOWN}")
            for prefix in port.prefixes
        ),
    )  # fmt: skip
    yield rules.chain(
        receives,
        *(
            nft.rule(
                nft.network("daddr", prefix),
                f"meta mark set meta mark and {gates.NOT_TO_UNCHECKED}",
                f"goto {border}",
            )
            for prefix in port.prefixes
        ),
        nft.rule(nft.deny("dstcheck")),
    )
    yield rules.verdict("source_prefixes", link, "jump", sends)
    yield rules.verdict("receiver_prefixes", link, "goto", receives)


def _publish(port: Port, after: tuple[str, ...]) -> NftElement:
    """The element that lets packets through, after everything that judges them."""
    netns = naming.router_namespace(port.router)
    judges = tuple(chain_key(netns, naming.TABLE, name) for name in ("pre_raw", "border", "gate_e", "gate_i"))
    borders = segment.border_keys(port.router, port.segment_number)
    number = nft.priority(router.UNFILTERED if port.group_set is None else port.group_set)
    group_set = tuple(element_key(netns, naming.TABLE, name, number) for name in ("sgs_out", "sgs_in"))
    return router.table(port.router).element(
        "sgs",
        nft.link(naming.interface_link(port.id)),
        number,
        publish=True,
        owner=port.id,
        after=(*after, *judges, *borders, *group_set),
    )
