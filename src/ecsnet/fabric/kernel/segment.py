"""Segment → gateway address, policy rule into its route table, and the chains at its border."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ecsnet.fabric.kernel import naming, nft, router
from ecsnet.fabric.kernel.route import table_number
from ecsnet.hostplan.kernel import Address, HostObject, NftChain, NftElement, PolicyRule
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
    yield _border(rules, segment, "in")
    yield _border(rules, segment, "out")
    yield border_element(segment.router, segment.id, segment.number)


def _policy(segment: Segment, netns: str) -> Iterator[PolicyRule]:
    if segment.table is None:
        return
    lookup = PolicyRule(
        netns=netns,
        family="ip",
        priority=SEGMENT_RULE,
        mark=segment.number,
        mask=MARK_MASK,
        table=table_number(segment.table),
    )
    yield lookup
    if segment.inside_routes:
        inside = table_number(segment.table, inside=True)
        yield msgspec.structs.replace(lookup, priority=INSIDE_RULE, table=inside)
        if segment.network is not None:
            own = str(segment.network)
            yield msgspec.structs.replace(lookup, priority=OWN_NETWORK_RULE, destination=own, table=_MAIN)


def border_element(router_id: str, segment: str, number: int) -> NftElement:
    """Sends what comes from a segment through its outbound filter. Ports publish only after it."""
    return router.table(router_id).verdict("nacl_out", nft.mark(number), "jump", naming.subnet_chain(segment, "out"))


def _border(rules: nft.Table, segment: Segment, direction: str) -> NftChain:
    """One chain per segment, so that associating another ACL changes two chains and not every port."""
    filtered = (
        nft.rule(nft.deny(f"acl {direction}"))
        if segment.acl is None
        else nft.rule(f"jump {naming.acl_chain(segment.acl, direction)}")
    )
    return rules.chain(naming.subnet_chain(segment.id, direction), filtered)
