"""Router → its namespace, its link-local services' addresses and the skeleton of its packet filter.

Hooks in this order (`docs/vpc-path.md` has the packet's walk):

    raw prerouting  anti-spoofing, the packet's mark, rate limit of local services
    forward   -45   in routers with peerings: only what is between the two networks (`peering.py`)
    forward   -10   destination check, then network ACLs, at segment borders only; the sender's gate
    forward     0   the receiver's gate, policy drop

The two gates are two base chains: `accept` ends only its own, so one gate can never skip the other. What a tracked
packet costs is its look-ups (0.15 microseconds each) and base chains, so that one map tells everything about the
sender (may it send from there; its segment) and one about the receiver (may it receive; its segment's border).
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

from ecsnet.fabric.kernel import gates, naming, nft, void
from ecsnet.hostplan.kernel import Address, HostObject, Namespace, NftTable
from ecsnet.logical.network import Router

RESOLVER = "169.254.169.253"
RESOLVER6 = "fd00:ec2::253"
"""Source: VPC User Guide, "Amazon DNS server"."""
_LINK_LOCAL = (IPv4Network("169.254.0.0/16"), IPv6Network("fd00:ec2::/32"))
"""Never leave through a default route either."""
METADATA = "169.254.170.2"
MACHINE_METADATA = "169.254.169.254"
"""Source: EC2 User Guide, "Use the Instance Metadata Service"."""
_NEIGHBOURLY = "{ nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld2-listener-report }"
"""What hosts say to their link. Router advertisements are not among it: nobody but the router is one."""

_SERVICE_PACKETS = 1024
"""Packets per second and interface to the local services (VPC user guide, "Amazon DNS quotas")."""

SYSCTLS: tuple[tuple[str, str], ...] = (
    # Written one by one: a new namespace takes the kernel's or the host's defaults, which differ between machines.
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    # With rules of its own, a namespace looks every source up a second time to see that it is not its own address.
    # Anti-spoofing has decided that already; 1.6 % of the processor at 8,000 connections a second went there.
    ("net/ipv4/conf/all/accept_local", "1"),
    # For IPv6 too. A router's packets are hardly ever its own, and the search for a socket costs each of them 1 %.
    ("net/ipv4/ip_early_demux", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/conf/default/accept_redirects", "0"),
    ("net/ipv4/conf/all/proxy_arp", "0"),
    ("net/ipv4/conf/default/proxy_arp", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/dad_transmits", "0"),
    ("net/ipv6/conf/default/addr_gen_mode", "1"),  # no automatic link-local address on every link
    # A packet in the middle of a stream without state is dropped, not adopted (EC2 user guide, connection tracking).
    ("net/netfilter/nf_conntrack_tcp_loose", "0"),
    ("net/netfilter/nf_conntrack_tcp_be_liberal", "1"),
    # Packets, bytes and times of every flow, for flow logs; a flow that began before has none.
    ("net/netfilter/nf_conntrack_acct", "1"),
    ("net/netfilter/nf_conntrack_timestamp", "1"),
    # EC2 API, ConnectionTrackingSpecification: the defaults of an interface.
    ("net/netfilter/nf_conntrack_tcp_timeout_established", "432000"),
    ("net/netfilter/nf_conntrack_udp_timeout", "30"),
    ("net/netfilter/nf_conntrack_udp_timeout_stream", "180"),
)

_SETS: tuple[tuple[str, str, str | None], ...] = (
    ("source4", "ifname . ether_addr . ipv4_addr", "mark"),
    ("source6", "ifname . ether_addr . ipv6_addr", "mark"),
    ("unchecked", "ifname . ether_addr", "mark"),
    ("receiver4", "ifname . ipv4_addr", "classid"),
    ("receiver6", "ifname . ipv6_addr", "classid"),
    ("borders", "classid", "verdict"),
    ("receiver_any", "ifname", "verdict"),
    ("source_prefixes", "ifname", "verdict"),
    ("receiver_prefixes", "ifname", "verdict"),
    ("own4", "ipv4_addr . ifname", None),
    ("own6", "ipv6_addr . ifname", None),
    ("uplinks", "ifname", None),
    ("machines4", "ifname . ipv4_addr", None),
    ("acl_out", "mark", "verdict"),
    ("own_network", "mark", "verdict"),
    ("sgs", "ifname", "classid"),
    ("sgs_out", "classid", "verdict"),
    ("sgs_in", "classid", "verdict"),
    *((f"{side}_open_{protocol}{version}", "ifname", None)
      for side in ("in", "out") for protocol in ("tcp", "udp") for version in (4, 6)),
)  # fmt: skip


PRE_KNOWN = "pre_known"
"""What goes on with a packet whose sender and segment are known."""

UNFILTERED = 0xFFFF0000
"""In place of the number of a set of groups: nothing decides about the port. No set's number gets so far."""

NO_ACL = "acl_missing"
"""The filter of a segment that has none: nothing crosses its border."""


def table(router: str) -> nft.Table:
    """The packet filter of a router."""
    return nft.Table(naming.router_namespace(router), "inet", naming.TABLE)


def arp_table(router: str) -> nft.Table:
    return nft.Table(naming.router_namespace(router), "arp", naming.ARP_TABLE)


def lower(router: Router) -> Iterator[HostObject]:
    netns = naming.router_namespace(router.id)
    resolver = str(router.resolver)
    yield Namespace(name=netns, owner=router.id, sysctls=SYSCTLS)
    for service in (resolver, RESOLVER, METADATA, MACHINE_METADATA):
        yield Address(netns=netns, link="lo", address=f"{service}/32")
    if router.resolver6:
        yield Address(netns=netns, link="lo", address=f"{RESOLVER6}/128")
    for network in dict.fromkeys((*router.networks, *_LINK_LOCAL)):
        yield void.own_network(netns, network)
    yield from void.lower(netns, router.id)

    yield NftTable(netns=netns, family="inet", name=naming.TABLE, owner=router.id)
    rules = table(router.id)
    for set_name, kind, value in _SETS:
        yield rules.set(set_name, kind, value)
    yield from _services(rules, resolver)
    yield from _anti_spoofing(rules, _addresses(resolver))
    yield rules.chain(NO_ACL, nft.rule(nft.deny("acl missing")))
    yield from _borders(rules)
    yield from gates.chains(rules, router.borderless)
    for direction in ("out", "in"):
        yield rules.element(f"sgs_{direction}", nft.priority(UNFILTERED), "accept")
    yield from _arp(router)


def _addresses(resolver: str) -> str:
    """The local services' addresses as an anonymous set."""
    return f"{{ {resolver}, {RESOLVER}, {METADATA}, {MACHINE_METADATA} }}"


def _anti_spoofing(rules: nft.Table, services: str) -> Iterator[HostObject]:
    yield rules.chain(
        PRE_KNOWN,
        nft.rule(f"ip daddr {services} goto svc_limit"),
        nft.rule(f"ip6 daddr {RESOLVER6} goto svc_limit"),
        nft.rule("accept"),
    )
    yield rules.chain(
        "pre_raw",
        # What most packets are comes first. A packet without element in the map leaves its rule there, mark unset.
        nft.rule(f"meta mark set iifname . ether saddr . ip saddr map @source4 ip daddr != {services} accept"),
        nft.rule("iifname @uplinks accept"),
        nft.rule(f"meta mark set iifname . ether saddr . ip6 saddr map @source6 ip6 daddr != {RESOLVER6} accept"),
        # source check off: any address, but never a foreign MAC
        nft.rule("meta mark set iifname . ether saddr map @unchecked"),
        nft.rule("meta mark != 0 goto pre_known"),
        nft.rule("iifname vmap @source_prefixes"),
        nft.rule(
            # A host without a link-local address says these with the unspecified one.
            "ip6 saddr { ::, fe80::/10 } icmpv6 type",
            f"{_NEIGHBOURLY} accept",
        ),
        nft.rule('iifname != "lo" goto spoof_drop'),
        hook=nft.filter_hook("prerouting", -300, "accept"),
    )
    yield rules.chain("spoof_drop", nft.rule(nft.deny("spoof")))


def _borders(rules: nft.Table) -> Iterator[HostObject]:
    """Destination check, and through the receiver's segment the two network ACLs between two segments. What may go on
    returns to the sender's gate; a base chain of its own would cost every packet a hook."""
    yield rules.chain("border_uplink", nft.rule(leave_segment()))
    yield rules.chain(
        "border_void",
        # To an address of its own segment that nobody has: no border is crossed.
        nft.rule(f"meta mark and {gates.SEGMENT} vmap @own_network"),
        nft.rule(leave_segment()),
    )
    yield rules.chain(
        "border",
        # The segment's number goes by way of the packet's priority, which nothing here reads: after every new rule the
        # kernel walks all elements of every verdict map, so that one for each address would make rules slow.
        nft.rule("meta priority set oifname . ip daddr map @receiver4 meta priority vmap @borders"),
        nft.rule("meta priority set oifname . ip6 daddr map @receiver6 meta priority vmap @borders"),
        nft.rule("oifname @uplinks goto border_uplink"),
        nft.rule(f'oifname "{void.LINK}" goto border_void'),
        # A miss of the map leaves the mark set; a port's prefix chain takes it away again.
        nft.rule(f"meta mark set meta mark or {gates.TO_UNCHECKED} oifname vmap @receiver_any"),
        nft.rule("oifname vmap @receiver_prefixes"),
        nft.rule(nft.deny("dstcheck")),
    )


def leave_segment() -> str:
    """Judges the packet by the outbound ACL of the segment that it comes from. Uplinks have mark 0 and no element."""
    return f"meta mark and {gates.SEGMENT} vmap @acl_out"


def _services(rules: nft.Table, resolver: str) -> Iterator[HostObject]:
    """Local services meet `input`, never the forward hooks: groups and ACLs cannot filter them, as in AWS."""
    yield rules.set("svc_lim", "ifname", flags=("dynamic",), size=65535)
    yield rules.chain(
        "svc_limit",
        nft.rule(
            f"update @svc_lim {{ iifname limit rate over {_SERVICE_PACKETS}/second",
            f"burst {_SERVICE_PACKETS} packets }} {nft.deny('limit')}",
        ),
        nft.rule("notrack"),
    )
    yield rules.chain(
        "svc_out",
        nft.rule(f"ip saddr {_addresses(resolver)} notrack"),
        nft.rule(f"ip6 saddr {RESOLVER6} notrack"),
        hook=nft.filter_hook("output", -300, "accept"),
    )
    yield rules.chain(
        "svc_in",
        nft.rule('iifname "lo" accept'),
        nft.rule("iifname @uplinks", nft.deny("service")),
        nft.rule(f"icmpv6 type {_NEIGHBOURLY} accept"),
        nft.rule(f"ip daddr {{ {resolver}, {RESOLVER} }} meta l4proto {{ tcp, udp }} th dport 53 accept"),
        nft.rule(f"ip6 daddr {RESOLVER6} meta l4proto {{ tcp, udp }} th dport 53 accept"),
        nft.rule(f"ip daddr {METADATA} tcp dport 80 accept"),
        nft.rule(f"ip daddr {MACHINE_METADATA} tcp dport 80 iifname . ip saddr @machines4 accept"),
        nft.rule(nft.deny("service")),
        hook=nft.filter_hook("input", 0, "drop"),
    )


def _arp(router: Router) -> Iterator[HostObject]:
    """Every neighbour is permanent, so ARP is needed by raw tools only; forged requests must not fill the table."""
    yield NftTable(netns=naming.router_namespace(router.id), family="arp", name=naming.ARP_TABLE, owner=router.id)
    rules = arp_table(router.id)
    yield rules.set("arp_ok", "ifname . ether_addr . ipv4_addr")
    yield rules.chain(
        "arp_in",
        nft.rule("arp operation request iifname . arp saddr ether . arp saddr ip @arp_ok counter accept"),
        hook=nft.filter_hook("input", 0, "drop"),
    )
