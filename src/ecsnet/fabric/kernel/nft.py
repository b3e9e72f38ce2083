"""Typed builders of nft rule text (nft 1.0.6). Numbers, `ipaddress` objects and generated names in, text out.

Nothing that a user typed can get here as text: names come from `naming`, comments from AWS ids. Every rule is checked
against the characters that the grammar needs, so a mistake is an error here and never a different rule.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Literal

from ecsnet.hostplan.kernel import NftChain, NftElement, NftHook, NftRule, NftSet
from ecsnet.model.base import IpNetwork

Side = Literal["saddr", "daddr"]

_TEXT = re.compile(r'[A-Za-z0-9 _.:,/{}@!=<>"*-]+')
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_COMMENT = re.compile(r"[A-Za-z0-9/_.* -]{0,128}")  # nft refuses longer comments
_PREFIX_LIMIT = 127  # a log prefix of 128 characters is refused

DENY_LOG_GROUPS = (1, 3)
ADMIT_LOG_GROUPS = (2, 4)
"""The kernel gives a log group to one reader only: the first of each is the flow reader's, the second the prober's."""

_SNAPLEN = 128
"""Bytes of a logged packet: enough for the headers and first data of the packet that an ICMPv6 error quotes."""


def rule(*parts: str, comment: str = "") -> NftRule:
    """One rule from its parts; empty parts are left out. Raises ValueError for a character outside the grammar."""
    text = " ".join(part for part in parts if part)
    if not _TEXT.fullmatch(text):
        raise ValueError(f"not an nft rule: {text!r}")
    if not _COMMENT.fullmatch(comment):
        raise ValueError(f"not an nft comment: {comment!r}")
    return NftRule(text=text, comment=comment)


def name(text: str) -> str:
    """A checked chain or set name."""
    if not _NAME.fullmatch(text):
        raise ValueError(f"not an nft name: {text!r}")
    return text


def network(side: Side, peer: IpNetwork) -> str:
    """Match one end by network. The all-addresses network still says which IP version it means.

    A rule without any address or `meta nfproto` would cover IPv4 and IPv6 alike.
    """
    if peer.prefixlen == 0:
        return f"meta nfproto ipv{peer.version}"
    field = "ip" if isinstance(peer, IPv4Network) else "ip6"
    return f"{field} {side} {network_text(peer)}"


def network_text(peer: IpNetwork) -> str:
    """A network as nft prints it: a single address has no prefix length."""
    return str(peer.network_address) if peer.prefixlen == peer.max_prefixlen else str(peer)


def member(side: Side, version: int, set_name: str) -> str:
    """Match one end by membership in an address set."""
    return f"{'ip' if version == 4 else 'ip6'} {side} @{name(set_name)}"


def protocol(number: int | None, ports: tuple[int, int] | None, icmp: tuple[int, int | None] | None) -> str:
    """Match protocol and destination ports or ICMP type and code; None for everything."""
    if number is None:
        return ""
    if number in (6, 17) and ports is not None:
        first, last = ports
        if not 0 <= first <= last <= 65535:
            raise ValueError(f"not a port range: {first}-{last}")
        keyword = "tcp" if number == 6 else "udp"
        return f"{keyword} dport {first}" if first == last else f"{keyword} dport {first}-{last}"
    if number in (1, 58) and icmp is not None:
        keyword = "icmp" if number == 1 else "icmpv6"
        kind, code = icmp
        if not (0 <= kind <= 255 and (code is None or 0 <= code <= 255)):
            raise ValueError(f"not an ICMP type and code: {kind}, {code}")
        return f"{keyword} type {kind}" if code is None else f"{keyword} type {kind} {keyword} code {code}"
    if not 0 <= number <= 255:
        raise ValueError(f"not a protocol number: {number}")
    return f"meta l4proto {number}"


def log(reason: str) -> str:
    """Log the first bytes of the packet under `D <reason>`, and count it."""
    return f"{_words(f'D {reason}', DENY_LOG_GROUPS)} counter"


def deny(reason: str) -> str:
    """Log, count and drop the packet."""
    return f"{log(reason)} drop"


def admitted(rule_id: str) -> str:
    """Log the first bytes of the packet under `A <rule id>`; no verdict."""
    return _words(f"A {rule_id}", ADMIT_LOG_GROUPS)


def _words(prefix: str, groups: tuple[int, ...]) -> str:
    if len(prefix) > _PREFIX_LIMIT:
        raise ValueError(f"log prefix too long: {prefix!r}")
    return " ".join(f'log prefix "{prefix}" group {group} snaplen {_SNAPLEN}' for group in groups)


def link(link_name: str) -> str:
    """A link name inside an element, as nft prints it."""
    return f'"{link_name}"'


def mark(number: int) -> str:
    """A packet mark inside an element, as nft prints it."""
    return f"0x{number:08x}"


def priority(number: int) -> str:
    """A packet priority inside an element, as nft prints it."""
    return f"{number >> 16:x}:{number & 0xFFFF:x}"


def concat(*fields: str | IPv4Address | IPv6Address) -> str:
    return " . ".join(str(field) for field in fields)


class Table:
    """Makes the objects of one nft table; it only saves repeating where they are."""

    __slots__ = ("_family", "_name", "_netns")

    def __init__(self, netns: str, family: Literal["inet", "ip", "ip6", "arp"], table: str) -> None:
        self._netns = netns
        self._family: Literal["inet", "ip", "ip6", "arp"] = family
        self._name = table

    def set(
        self, set_name: str, kind: str, value: str | None = None, flags: tuple[str, ...] = (), size: int | None = None
    ) -> NftSet:
        return NftSet(
            netns=self._netns,
            family=self._family,
            table=self._name,
            name=name(set_name),
            type=kind,
            value=value,
            flags=flags,
            size=size,
        )

    def chain(self, chain_name: str, *rules: NftRule, hook: NftHook | None = None) -> NftChain:
        """A chain; which sets and chains it needs is read from its rules."""
        texts = " ; ".join(item.text for item in rules)
        return NftChain(
            netns=self._netns,
            family=self._family,
            table=self._name,
            name=name(chain_name),
            hook=hook,
            rules=rules,
            uses_sets=tuple(sorted(set(re.findall(r"@([a-z0-9_]+)", texts)))),
            uses_chains=tuple(sorted(set(re.findall(r"(?:goto|jump) ([a-z0-9_]+)", texts)))),
        )

    def element(
        self,
        set_name: str,
        element: str,
        value: str | None = None,
        *,
        uses_chain: str | None = None,
        publish: bool = False,
        owner: str = "",
        after: tuple[str, ...] = (),
    ) -> NftElement:
        return NftElement(
            netns=self._netns,
            family=self._family,
            table=self._name,
            set=name(set_name),
            element=element,
            value=value,
            uses_chain=uses_chain,
            publish=publish,
            owner=owner,
            after=after,
        )

    def verdict(self, map_name: str, element: str, action: Literal["goto", "jump"], chain: str) -> NftElement:
        """A verdict-map element that leads into a chain."""
        return self.element(map_name, element, f"{action} {name(chain)}", uses_chain=chain)


def filter_hook(
    hook: Literal["prerouting", "input", "forward", "output", "postrouting"],
    priority: int,
    policy: Literal["accept", "drop"],
) -> NftHook:
    return NftHook(type="filter", hook=hook, priority=priority, policy=policy)


def nat_hook(hook: Literal["prerouting", "output", "postrouting"], priority: int) -> NftHook:
    return NftHook(type="nat", hook=hook, priority=priority, policy="accept")
