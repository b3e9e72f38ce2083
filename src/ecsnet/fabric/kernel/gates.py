"""The two stateful gates of a router and what they remember of a flow.

Tracking is bits of the connection mark, one per side, instead of `ct state established`: a tracked flow survives the
removal of its rule while an untracked one dies at once (EC2 user guide, "Connection tracking"), one side's tracking
never opens the other side's gate, and a flow through an appliance is judged on both of its passes.

    1 the initiator's side is tracked    2 the responder's side    4, 8 the same for a pass through an appliance

Packet mark: the low 16 bits are the source segment; 0x10000 and 0x20000 say that this pass is an appliance's, 0x40000
and 0x80000 that the packet comes from or goes to a port without source/destination check, which may be one.
"""

from __future__ import annotations

from collections.abc import Iterator

from ecsnet.fabric.kernel import naming, nft, void
from ecsnet.hostplan.kernel import HostObject, NftRule

SEGMENT = "0x0000ffff"
FROM_APPLIANCE = "0x00010000"
"""This pass began at an appliance: whoever sent the packet first is hidden."""
_TO_APPLIANCE = "0x00020000"
FROM_UNCHECKED = 0x40000
TO_UNCHECKED = "0x00080000"
NOT_TO_UNCHECKED = "0xfff7ffff"


_BOTH_SIDES = 0x3
_ALL_BITS = 0xF


def _tracked(direction: str, bit: int) -> NftRule:
    return nft.rule(f"ct direction {direction} ct mark and {bit} == {bit} accept")


_UNTRACKED = (
    nft.rule("ct state invalid", nft.deny("invalid")),
    nft.rule("ct state related accept"),  # ICMP errors: path MTU is learned without any rule
)


_BETWEEN_PORTS = nft.rule(
    f'ct mark and 0x{_ALL_BITS:08x} == 0x{_BOTH_SIDES:08x} oifname "{naming.INTERFACE_LINK}*" accept'
)
"""A flow that both its ends' groups track, on its way to an interface. The first rule of both gates in a network where
no border stops what they admitted (`Router.borderless`); that saves every later packet the look-ups of the border. The
bits say that each end owned its address and neither was passed through, and the link that the packet is not about to
leave the network: a flow whose destination is gone, or reached by an appliance now, is judged like any other."""


def chains(rules: nft.Table, borderless: bool) -> Iterator[HostObject]:
    shortcut = (_BETWEEN_PORTS,) if borderless else ()
    yield rules.chain(
        "gate_e",
        *shortcut,
        nft.rule("jump border"),
        nft.rule(f"meta mark and 0x{FROM_UNCHECKED:08x} != 0 jump transit_e"),
        # An invalid packet has no connection, so that these two never match it.
        _tracked("original", 1),
        _tracked("reply", 2),
        *_UNTRACKED,
        nft.rule("iifname @uplinks accept"),
        nft.rule("goto judge_e"),
        hook=nft.filter_hook("forward", -10, "drop"),
    )
    yield rules.chain(
        "gate_i",
        *shortcut,
        # Here and not at the border: AWS asks the sender's groups and network ACL before the route table.
        void.drop(),
        nft.rule(f"meta mark and {TO_UNCHECKED} != 0 jump transit_i"),
        _tracked("original", 2),
        _tracked("reply", 1),
        *_UNTRACKED,
        nft.rule("oifname @uplinks accept"),
        nft.rule("goto judge_i"),
        hook=nft.filter_hook("forward", 0, "drop"),
    )
    yield from _transit(rules, "e", "iifname", "saddr", "out", original=8, reply=4, pass_mark=FROM_APPLIANCE)
    yield from _transit(rules, "i", "oifname", "daddr", "in", original=4, reply=8, pass_mark=_TO_APPLIANCE)
    yield _track(rules, "e", bit=1, appliance_bit=8, pass_mark=FROM_APPLIANCE)
    yield _track(rules, "i", bit=2, appliance_bit=4, pass_mark=_TO_APPLIANCE)
    yield _open(rules, "e", "iifname", "in")
    yield _open(rules, "i", "oifname", "out")


def _transit(
    rules: nft.Table, side: str, link: str, end: str, direction: str, *, original: int, reply: int, pass_mark: str
) -> Iterator[HostObject]:
    """Ports without source/destination check: their own traffic is ordinary, anything else passes through them.

    Appliances in series share the bits. Until the other end has answered, each of them judges: the first one's bit
    would otherwise open the second one on the way of the very first packet.
    """
    address = (f"ip {end} . {link} @own4 return", f"ip6 {end} . {link} @own6 return")
    yield rules.chain(
        f"transit_{side}",
        *_UNTRACKED,
        *(nft.rule(text) for text in address),
        nft.rule(f"ct state established ct direction original ct mark and {original} == {original} accept"),
        _tracked("reply", reply),
        nft.rule(f"meta mark set meta mark or {pass_mark}"),
        nft.rule(f"goto judge_{side}"),
    )
    # The number of the port's set of groups goes by way of the packet's priority (as in `border`): an interface more
    # changes no verdict map, so that the kernel walks no rules. One chain for gate and transit, because it walks a
    # verdict map once per rule that looks into it.
    yield rules.chain(
        f"judge_{side}",
        nft.rule(f"meta priority set {link} map @sgs meta priority vmap @sgs_{direction}"),
        nft.rule(nft.deny("gate")),
    )


def _track(rules: nft.Table, side: str, *, bit: int, appliance_bit: int, pass_mark: str) -> HostObject:
    return rules.chain(
        f"{side}_trk",
        nft.rule("ct direction reply accept"),  # only the original direction sets bits
        nft.rule(f"meta mark and {pass_mark} == {pass_mark} ct mark set ct mark or {appliance_bit} accept"),
        nft.rule(f"ct mark set ct mark or {bit}"),
        nft.rule("accept"),
    )


def _open(rules: nft.Table, side: str, link: str, opposite: str) -> HostObject:
    """Reached from rules for any address: untracked when the opposite direction of the port is wholly open.

    An untracked flow gets no bit and is judged again on every packet. ICMP is always tracked.
    """
    return rules.chain(
        f"{side}_open",
        *(
            nft.rule(
                f"meta nfproto ipv{version} meta l4proto {protocol} {link} @{opposite}_open_{protocol}{version} accept"
            )
            for version in (4, 6)
            for protocol in ("tcp", "udp")
        ),
        nft.rule(f"goto {side}_trk"),
    )
