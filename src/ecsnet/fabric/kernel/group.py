"""FilterGroup → its member sets and chains, shared by all ports of the group; Member → one set element; AddressList and
its entries → a set that all groups share.

A PeerGroup has member sets alone: its rules are in another router.

One nft rule per AWS rule: its comment is the rule's id and its counter belongs to it. A linear rule costs 43 ns, an
interval set lookup over address, protocol and port 3.1 µs, so sets hold addresses only. A group has two chains per
direction, because untracked flows are judged on every packet: a port visits the any-address rules of all its groups
before any other (groups have no order).
"""

from __future__ import annotations

from collections.abc import Iterator

from ecsnet.fabric.kernel import gates, naming, nft, router
from ecsnet.hostplan.kernel import HostObject, NftRule
from ecsnet.logical.network import (
    AddressList,
    AddressListEntry,
    Direction,
    FilterGroup,
    FilterRule,
    GroupSet,
    Member,
    MemberPrefix,
    PeerGroup,
)

PARTS = ("open", "rest")
"""The chains of one direction, in the order in which a port visits them."""

_MOST_NAMED = 5
"""Groups in a comment, which holds 127 bytes: AWS's default quota of groups per interface."""


def lower(group: FilterGroup) -> Iterator[HostObject]:
    rules = router.table(group.router)
    yield rules.set(naming.members_set(group.id, 4), "ipv4_addr")
    yield rules.set(naming.members_set(group.id, 6), "ipv6_addr")
    if group.prefixes:
        yield from _prefix_sets(rules, group.id)
    yield from _direction(rules, group, "in", group.ingress)
    yield from _direction(rules, group, "out", group.egress)


def lower_set(group_set: GroupSet) -> Iterator[HostObject]:
    """What judges all ports with these groups.

    Not a chain per port: after every change of a rule the kernel walks all chains that it can reach from a hook, and
    libnftables lists all chains before; with 10,000 ports that was 90 of the 105 ms that a changed rule took. So the
    last rule cannot name the port. Whoever reads the log knows it by its link (`agent/nflog.py`).
    """
    rules = router.table(group_set.router)
    groups = group_set.groups
    for direction in ("out", "in"):
        chain = naming.group_set_chain(group_set.number, direction)
        yield rules.chain(
            chain,
            *(nft.rule(f"jump {naming.group_chain(name, direction, part)}") for part in PARTS for name in groups),
            nft.rule(nft.deny(f"sg-{direction}"), comment=" ".join(groups[:_MOST_NAMED])),
        )
        yield rules.verdict(f"sgs_{direction}", nft.priority(group_set.number), "goto", chain)


def lower_peer(group: PeerGroup) -> Iterator[HostObject]:
    """Named by rules of this router."""
    rules = router.table(group.router)
    for version in (4, 6):
        yield rules.set(naming.members_set(group.id, version), f"ipv{version}_addr")

    if group.prefixes:
        yield from _prefix_sets(rules, group.id)


def _prefix_sets(rules: nft.Table, group: str) -> Iterator[HostObject]:
    """Apart from the addresses: adding to a set with intervals costs more the more it holds."""
    for version in (4, 6):
        yield rules.set(naming.prefixes_set(group, version), f"ipv{version}_addr", flags=("interval",))


def lower_prefix(member: MemberPrefix) -> Iterator[HostObject]:
    prefix_set = naming.prefixes_set(member.group, member.prefix.version)
    yield router.table(member.router).element(prefix_set, str(member.prefix))


def lower_member(member: Member) -> Iterator[HostObject]:
    group_set = naming.members_set(member.group, member.address.version)
    yield router.table(member.router).element(group_set, str(member.address))


def lower_list(listed: AddressList) -> Iterator[HostObject]:
    """One set per router, shared by every rule that names the list."""
    kind = f"ipv{listed.version}_addr"
    yield router.table(listed.router).set(naming.address_list_set(listed.id), kind, flags=("interval",))


def lower_list_entry(entry: AddressListEntry) -> Iterator[HostObject]:
    list_set = naming.address_list_set(entry.list)
    yield router.table(entry.router).element(list_set, nft.network_text(entry.network))


def _direction(
    rules: nft.Table, group: FilterGroup, direction: Direction, group_rules: tuple[FilterRule, ...]
) -> Iterator[HostObject]:
    gate = "i" if direction == "in" else "e"
    side: nft.Side = "saddr" if direction == "in" else "daddr"
    opened = tuple(rule for rule in group_rules if _any_address(rule))
    rest = tuple(rule for rule in group_rules if not _any_address(rule))
    for part, members, verdict in (("open", opened, f"{gate}_open"), ("rest", rest, f"{gate}_trk")):
        yield rules.chain(
            naming.group_chain(group.id, direction, part),
            *(line for rule in members for line in _lines(rule, side, verdict, group.versions)),
        )


def _any_address(rule: FilterRule) -> bool:
    return rule.network is not None and rule.network.prefixlen == 0


def _lines(rule: FilterRule, side: nft.Side, verdict: str, versions: tuple[int, ...]) -> Iterator[NftRule]:
    """One nft rule; two for a group as the peer in a network with IPv6: its addresses are in a set per version."""
    protocol = nft.protocol(rule.protocol, rule.ports, rule.icmp)
    if rule.network is not None:
        peers = [nft.network(side, rule.network)]
    elif rule.group is not None:
        fitting = {1: (4,), 58: (6,)}.get(rule.protocol or 0, (4, 6))
        used = [version for version in fitting if version in versions]
        peers = [nft.member(side, version, naming.members_set(rule.group, version)) for version in used]
        if rule.prefixes:
            peers += [nft.member(side, version, naming.prefixes_set(rule.group, version)) for version in used]
        if rule.peering is not None:
            link = f"{'iifname' if side == 'saddr' else 'oifname'} {nft.link(naming.peering_link(rule.peering))}"
            peers = [f"{link} {peer}" for peer in peers]
        if side == "saddr":
            # Behind an appliance a group does not recognise its members (VPC user guide, "Security group rules").
            peers = [f"meta mark and {gates.FROM_APPLIANCE} == 0 {peer}" for peer in peers]
    elif rule.address_list is not None:
        list_id, version = rule.address_list
        peers = [nft.member(side, version, naming.address_list_set(list_id))]
    else:
        raise ValueError(f"rule {rule.id} has no peer")
    for peer in peers:
        if _any_address(rule):
            # A line of its own without verdict: were `ct state new` in the admitting line, later packets of an
            # untracked flow would not match that any more.
            yield nft.rule(peer, protocol, "ct state new", nft.admitted(rule.id), comment=rule.id)
            yield nft.rule(peer, protocol, f"counter goto {verdict}", comment=rule.id)
        else:
            # Tracked from here on, so only the first packet of a flow comes by.
            yield nft.rule(peer, protocol, f"counter {nft.admitted(rule.id)} goto {verdict}", comment=rule.id)
