"""Acl → its two chains: allow returns to the walk, deny logs and drops, and so does the end."""

from __future__ import annotations

from collections.abc import Iterator

from ecsnet.fabric.kernel import naming, nft, router
from ecsnet.hostplan.kernel import HostObject, NftRule
from ecsnet.logical.network import Acl, AclRule


def lower(acl: Acl) -> Iterator[HostObject]:
    rules = router.table(acl.router)
    for direction, side, entries in (("in", "saddr", acl.inbound), ("out", "daddr", acl.outbound)):
        end = f"{acl.id}/{direction}/*"
        yield rules.chain(
            naming.acl_chain(acl.id, direction),
            *(_entry(acl.id, direction, "saddr" if side == "saddr" else "daddr", entry) for entry in entries),
            nft.rule(nft.deny(end), comment=end),
        )


def _entry(acl: str, direction: str, side: nft.Side, entry: AclRule) -> NftRule:
    comment = f"{acl}/{direction}/{entry.number}"
    return nft.rule(
        nft.network(side, entry.network),
        nft.protocol(entry.protocol, entry.ports, entry.icmp),
        "counter return" if entry.allow else nft.deny(comment),
        comment=comment,
    )
