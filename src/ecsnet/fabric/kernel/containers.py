"""ContainerNetwork → translation on a machine; ContainerStack → a namespace; PublishedPorts → where they lead.

Containers see docker's default bridge: addresses of 172.17.0.0/16 and the gateway 172.17.0.1. There is no bridge under
it but a veth and a /32 route per container: every neighbour is a permanent entry, packets between two containers meet
the machine's hooks without `br_netfilter`, and a container cannot claim another one's address by ARP. What differs from
docker: one more hop between two containers of a machine, and no broadcast.

The rules are those that docker writes (moby, "packet filtering and firewalls"): destinations of the machine's own
addresses are translated by port, what leaves the network takes the machine's address, a container that reaches itself
through the machine sees the gateway, and nobody outside reaches a container except through a published port.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ecsnet.fabric.kernel import naming, nft, port
from ecsnet.hostplan.kernel import (
    Address,
    HostObject,
    Link,
    LinkEnd,
    Namespace,
    Neighbour,
    NftTable,
    PolicyRule,
    Route,
    element_key,
    link_key,
)
from ecsnet.logical.base import LogicalObject
from ecsnet.logical.containers import ContainerNetwork, ContainerPlug, ContainerStack, PublishedPorts

MTU = 1500
"""Bytes; docker's default, whatever the machine's own interface carries."""

METADATA = "169.254.170.2"
METADATA_PORT = 51679
"""Where the container agent listens on a machine; port 80 of `METADATA` leads to it (amazon-ecs-agent, ecs-init)."""

_MAIN = 254
_LOCAL_RULE = 99
"""Before the machine's rules by source address: what its own processes send to containers stays on the machine."""

_DEVICE = "eth0"
_MACHINE_MAC = "02:42:ff:ff:ff:01"


def lower_network(item: ContainerNetwork) -> Iterator[HostObject]:
    netns = naming.instance_namespace(item.machine)
    yield Address(netns=netns, link="lo", address=f"{item.gateway}/32")
    yield Address(netns=netns, link="lo", address=f"{METADATA}/32")
    yield PolicyRule(netns=netns, family="ip", priority=_LOCAL_RULE, destination=str(item.network), table=_MAIN)
    yield NftTable(netns=netns, family="ip", name=naming.TABLE, owner=item.machine)
    rules = _table(item.machine)
    for protocol in ("tcp", "udp"):
        yield rules.set(f"published_{protocol}", "inet_service", "ipv4_addr . inet_service")
    yield rules.set("itself", "ipv4_addr . ipv4_addr")
    yield from _guards(item, rules)
    yield from _translations(item, rules)


def _guards(item: ContainerNetwork, rules: nft.Table) -> Iterator[HostObject]:
    """The machine's loopback is its own although packets of 127.0.0.0/8 may be routed (`route_localnet`)."""
    yield rules.chain(
        "box_raw",
        nft.rule('iifname != "lo" ip daddr 127.0.0.0/8', nft.deny(f"loopback {item.machine}")),
        hook=nft.filter_hook("prerouting", -300, "accept"),
    )
    yield rules.chain(
        "box_fwd",
        nft.rule(f"ip daddr != {item.network} accept"),
        nft.rule(f"ip saddr {item.network} accept"),
        nft.rule("ct state established,related accept"),
        nft.rule("ct status dnat accept"),
        nft.rule(nft.deny(f"unpublished {item.machine}")),
        hook=nft.filter_hook("forward", 0, "accept"),
    )


def _translations(item: ContainerNetwork, rules: nft.Table) -> Iterator[HostObject]:
    yield rules.chain(
        "box_ports",
        nft.rule(f"ip daddr {METADATA} tcp dport 80 dnat to {METADATA}:{METADATA_PORT}"),
        nft.rule("dnat ip to tcp dport map @published_tcp"),
        nft.rule("dnat ip to udp dport map @published_udp"),
    )
    to_itself = nft.rule("fib daddr type local jump box_ports")
    yield rules.chain("box_pre", to_itself, hook=nft.nat_hook("prerouting", -100))
    yield rules.chain("box_out", to_itself, hook=nft.nat_hook("output", -100))
    yield rules.chain(
        "box_post",
        nft.rule(f"ip saddr . ip daddr @itself snat to {item.gateway}"),
        nft.rule(f"ip saddr 127.0.0.0/8 ip daddr {item.network} snat to {item.gateway}"),
        nft.rule(f"ip saddr {item.network} ip daddr != {item.network} masquerade"),
        hook=nft.nat_hook("postrouting", 100),
    )


def _table(machine: str) -> nft.Table:
    return nft.Table(naming.instance_namespace(machine), "ip", naming.TABLE)


def lower_stack(item: ContainerStack) -> Iterator[HostObject]:
    yield Namespace(name=naming.container_namespace(item.id), owner=item.owner, sysctls=port.HOST_SYSCTLS)
    if item.plug is not None:
        yield from _plugged(item, item.plug)


def _plugged(item: ContainerStack, plug: ContainerPlug) -> Iterator[HostObject]:
    inside, netns = naming.container_namespace(item.id), naming.instance_namespace(plug.machine)
    link = naming.container_link(item.id)
    address, gateway = str(plug.address), str(plug.gateway)
    # As docker makes it from the address.
    mac = "02:42:" + ":".join(f"{byte:02x}" for byte in plug.address.packed)
    veth = Link(
        a=LinkEnd(netns=netns, name=link, mac=_MACHINE_MAC),
        b=LinkEnd(netns=inside, name=_DEVICE, mac=mac),
        mtu=MTU,
        owner=item.owner,
    )
    yield veth
    yield Neighbour(netns=netns, link=link, address=address, mac=mac, via=veth.key)
    yield Route(netns=netns, destination=f"{address}/32", link=link, source=gateway, via=veth.key)
    yield Address(netns=inside, link=_DEVICE, address=f"{address}/{plug.network.prefixlen}", via=veth.key)
    yield Neighbour(netns=inside, link=_DEVICE, address=gateway, mac=_MACHINE_MAC, via=veth.key)
    for destination in (str(plug.network), "0.0.0.0/0"):
        yield Route(
            netns=inside, destination=destination, gateway=gateway, link=_DEVICE, source=address, onlink=True,
            via=veth.key,
        )  # fmt: skip
    yield _table(plug.machine).element("itself", nft.concat(plug.address, plug.address))


def lower_ports(item: PublishedPorts) -> Iterator[HostObject]:
    rules = _table(item.machine)
    for offset in range(item.length):
        target = nft.concat(item.address, str(item.target + offset))
        yield rules.element(f"published_{item.protocol}", str(item.port + offset), target)


def ready_keys(stack: str, machine: str, published: Iterable[PublishedPorts]) -> tuple[str, ...]:
    """The host-object keys after which a container's packets go their way: its link and all of its ports."""
    netns = naming.instance_namespace(machine)
    ports = (
        element_key(netns, naming.TABLE, f"published_{one.protocol}", str(one.port + offset))
        for one in published
        for offset in range(one.length)
    )
    inside = naming.container_namespace(stack)
    return (
        link_key(netns, naming.container_link(stack)),
        f"route:{inside}/{_MAIN}/0.0.0.0/0",
        f"nft-chain:{netns}/{naming.TABLE}/box_post",
        *ports,
    )


LOWERINGS: Mapping[type[LogicalObject], Callable[[Any], Iterable[HostObject]]] = {
    ContainerNetwork: lower_network,
    ContainerStack: lower_stack,
    PublishedPorts: lower_ports,
}
