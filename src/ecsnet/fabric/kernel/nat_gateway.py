"""Nat → a namespace with one port that translates connections of its VPC to the port's address.

It sends packets out of the port on which they came: they cross the router twice, as two flows of two interfaces.
Source: VPC user guide, "NAT gateways" (protocols, ports 1024 to 65535, idle timeout 350 seconds answered with RST).

When every port of an address is in use towards one destination, the kernel finds none and drops the connection's first
packet where it would be confirmed, after the last hook: no rule can log that. It is counted as `insert_failed` in the
namespace's connection tracking statistics (`agent/conntrack.py`), which is AWS's metric ErrorPortAllocation.
"""

from __future__ import annotations

from collections.abc import Iterator

from ecsnet.fabric.kernel import naming, nft
from ecsnet.hostplan.kernel import HostObject, Namespace, NftRule, NftTable
from ecsnet.logical.network import Nat

_SYSCTLS: tuple[tuple[str, str], ...] = (
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    # Every packet leaves where it came in; redirects would tell the tasks to bypass the gateway.
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/conf/default/accept_redirects", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/default/addr_gen_mode", "1"),
    ("net/netfilter/nf_conntrack_tcp_loose", "0"),
)
_IDLE_SYSCTLS = ("tcp_timeout_established", "udp_timeout", "udp_timeout_stream")
_PROTOCOLS = "ip protocol { tcp, udp, icmp }"


def lower(nat: Nat) -> Iterator[HostObject]:
    netns = naming.nat_gateway_namespace(nat.id)
    rules = nft.Table(netns, "ip", naming.TABLE)
    idle = tuple((f"net/netfilter/nf_conntrack_{name}", str(nat.idle)) for name in _IDLE_SYSCTLS)
    yield Namespace(name=netns, owner=nat.id, sysctls=(*_SYSCTLS, *idle))
    yield NftTable(netns=netns, family="ip", name=naming.TABLE, owner=nat.id)
    yield rules.chain(
        "nat_post",
        *_translations(nat),
        hook=nft.nat_hook("postrouting", 100),
    )
    yield rules.chain(
        "nat_fwd",
        nft.rule("ct state invalid meta l4proto tcp", nft.log(f"nat-state {nat.id}"), "reject with tcp reset"),
        nft.rule("ct state established,related accept"),
        nft.rule("ip protocol != { tcp, udp, icmp }", nft.deny(f"nat-protocol {nat.id}")),
        *(
            nft.rule(f"{_PROTOCOLS} ct state new ip saddr {nft.network_text(network)} counter accept")
            for network in nat.networks
        ),
        nft.rule("ct state new", nft.deny(f"nat-source {nat.id}")),
        nft.rule(nft.deny(f"nat-state {nat.id}")),
        hook=nft.filter_hook("forward", 0, "drop"),
    )
    yield rules.chain("nat_in", nft.rule(nft.deny(f"nat-in {nat.id}")), hook=nft.filter_hook("input", 0, "drop"))


def _translations(nat: Nat) -> Iterator[NftRule]:
    """One rule per address; each takes its share of the connections that the rules before it left."""
    first, last = nat.ports
    for index, address in enumerate(nat.addresses):
        left = len(nat.addresses) - index
        share = f"numgen inc mod {left} == 0" if left > 1 else ""
        target = f"snat to {address}:{first}-{last} fully-random"
        yield nft.rule(f'iifname "eth0" oifname "eth0" {_PROTOCOLS}', share, target)
