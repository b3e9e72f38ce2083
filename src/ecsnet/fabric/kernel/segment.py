"""Segment → gateway address, policy rule into its route table, its border chain and its outbound filter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from ecsnet.fabric.kernel import gates, naming, nft, router
from ecsnet.fabric.kernel.naming import table_number
from ecsnet.hostplan.kernel import Address, HostObject, NftChain, PolicyRule, element_key
from ecsnet.logical.network import Segment

SEGMENT_RULE = 40000
"""Priority of the rules that send a segment's packets to its table. It lies after `main` (32766), where the local
routes are, so packets inside the VPC never see a route table. All segments share it: their marks are disjoint."""

INSIDE_RULE = 101
"""Priority of the rules for routes inside the VPC: before `main`."""

OWN_NETWORK_RULE = 100
"""What stays inside a segment is never routed by a table."""

_MAIN = 254

MARK_MASK = 0xFFFF


def lower(segment: Segment) -> Iterator[HostObject]:
    netns = naming.router_namespace(segment.router)
    rules = router.table(segment.router)
    if segment.gateway is not None:
        yield Address(netns=netns, link="lo", address=f"{segment.gateway}/32")
    yield from _policy(segment, netns)
    border = _border(rules, segment)
    yield border
    yield rules.verdict("borders", nft.priority(segment.number), "goto", border.name)
    yield rules.verdict("acl_out", nft.mark(segment.number), "jump", _filter(segment, "out"))
    own = naming.own_network_chain(segment.id)
    networks = (network for network in (segment.network, segment.network6) if network is not None)
    yield rules.chain(
        own,
        *(nft.rule(nft.network("daddr", network), "return") for network in networks),
        nft.rule(router.leave_segment()),
    )
    yield rules.verdict("own_network", nft.mark(segment.number), "goto", own)


def _policy(segment: Segment, netns: str) -> Iterator[PolicyRule]:
    if segment.table is None:
        return
    for family, network in (("ip", segment.network), ("ip6", segment.network6)):
        if network is not None:
            yield from _lookups(segment, segment.table, netns, "ip" if family == "ip" else "ip6", str(network))


def _lookups(segment: Segment, table: int, netns: str, family: Literal["ip", "ip6"], own: str) -> Iterator[PolicyRule]:
    lookup = PolicyRule(
        netns=netns,
        family=family,
        priority=SEGMENT_RULE,
        mark=segment.number,
        mask=MARK_MASK,
        table=table_number(table),
    )
    yield lookup
    if segment.inside_routes:
        inside = table_number(table, inside=True)
        yield msgspec.structs.replace(lookup, priority=INSIDE_RULE, table=inside)
        yield msgspec.structs.replace(lookup, priority=OWN_NETWORK_RULE, destination=own, table=_MAIN)


def border_keys(router_id: str, number: int) -> tuple[str, str]:
    """The keys of the elements that send what leaves and what enters a segment through its filters. Ports publish after
    them."""
    netns = naming.router_namespace(router_id)
    return (
        element_key(netns, naming.TABLE, "acl_out", nft.mark(number)),
        element_key(netns, naming.TABLE, "borders", nft.priority(number)),
    )


def _border(rules: nft.Table, segment: Segment) -> NftChain:
    """What goes to the segment's ports. One chain, so that associating another ACL does not change every port."""
    return rules.chain(
        naming.subnet_chain(segment.id),
        nft.rule(f"meta mark and {gates.SEGMENT} == {nft.mark(segment.number)} return"),
        nft.rule(router.leave_segment()),
        nft.rule(f"goto {_filter(segment, 'in')}"),
    )


def _filter(segment: Segment, direction: str) -> str:
    return router.NO_ACL if segment.acl is None else naming.acl_chain(segment.acl, direction)
