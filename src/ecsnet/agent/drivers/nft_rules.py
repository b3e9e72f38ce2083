"""A few rules of a chain more or less, without libnftables' look at everything else and with every counter kept.

Before it adds a rule libnftables lists all chains and sets of the namespace, and it cannot say which rule is to go but
by its handle. With 500 groups that is 3.5 ms, and a chain that is filled anew is another 2 ms and its counters. Here a
chain's rules are listed alone, rules go by their handles, and a new rule is the bytes that libnftables made of its text
in a namespace of our own, where there is nothing else to list (linux/netfilter/nf_tables.h).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from typing import NamedTuple

from ecsnet.agent.drivers.nft_program import rule_text, set_text
from ecsnet.agent.libnftables import NftContext
from ecsnet.agent.netlink import NETLINK_NETFILTER, NLM_F_CREATE, Netlink, Request, attribute, attributes
from ecsnet.agent.netlink import text as string
from ecsnet.hostplan.kernel import NftChain, NftRule, NftSet

MOST = 16
"""Rules less and more; where more change, the whole chain is filled anew."""

SUBSYSTEM = 10
"""NFNL_SUBSYS_NFTABLES."""
_NEW_RULE, _GET_RULE, _DELETE_RULE = (SUBSYSTEM << 8 | number for number in (6, 7, 8))
_TABLE, _CHAIN, _HANDLE, _EXPRESSIONS, _POSITION, _USER_DATA = 1, 2, 3, 4, 6, 7
_NESTED = 0x8000
FAMILIES = {"inet": 1, "ip": socket.AF_INET, "arp": 3, "ip6": socket.AF_INET6}
_APPEND = 0x800


class Rule(NamedTuple):
    """A rule as the kernel lists it."""

    handle: bytes
    expressions: bytes
    user_data: bytes


class Difference(NamedTuple):
    """How one list of rules becomes another: `old[start:end]` goes, `new` comes in its place."""

    start: int
    end: int
    new: tuple[NftRule, ...]

    @property
    def size(self) -> int:
        return self.end - self.start + len(self.new)

    @property
    def has_sets(self) -> bool:
        """Whether a new rule has a set without a name, which another namespace's rule cannot bring along."""
        return any("{" in rule.text for rule in self.new)

    def sets(self, chain: NftChain) -> list[str]:
        """The names of the sets that the new rules look into."""
        words = {word for rule in self.new for word in rule.text.split()}
        return [name for name in chain.uses_sets if f"@{name}" in words]


def difference(old: Sequence[NftRule], new: Sequence[NftRule]) -> Difference:
    """What is between the rules that both begin with and those that both end with."""
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    alike = 0
    while alike < min(len(old), len(new)) - start and old[-1 - alike] == new[-1 - alike]:
        alike += 1
    return Difference(start, len(old) - alike, tuple(new[start : len(new) - alike]))


def listed(netlink: Netlink, chain: NftChain) -> list[Rule]:
    """The rules of a chain, in order. Raises NetlinkError."""
    body = _head(chain) + string(_TABLE, chain.table) + string(_CHAIN, chain.name)
    found = []
    for answer in netlink.dump(Request(type=_GET_RULE, flags=0, body=body)):
        fields = attributes(answer[4:])
        found.append(Rule(fields[_HANDLE], fields[_EXPRESSIONS], fields.get(_USER_DATA, b"")))
    return found


def requests(chain: NftChain, change: Difference, there: Sequence[Rule], made: Sequence[Rule]) -> list[Request]:
    """The messages of one transaction. `there` are the chain's rules, `made` what shall come in."""
    place = _head(chain) + string(_TABLE, chain.table) + string(_CHAIN, chain.name)
    found = []
    # Before the first rule that stays, one after another; at the end of the chain where none does.
    behind = attribute(_POSITION, there[change.end].handle) if change.end < len(there) else b""
    for rule in made:
        body = place + attribute(_EXPRESSIONS | _NESTED, rule.expressions) + behind
        body += attribute(_USER_DATA, rule.user_data) if rule.user_data else b""
        found.append(Request(type=_NEW_RULE, flags=NLM_F_CREATE | (0 if behind else _APPEND), body=body))
    for rule in there[change.start : change.end]:
        found.append(Request(type=_DELETE_RULE, flags=0, body=place + attribute(_HANDLE, rule.handle)))
    return found


def _head(chain: NftChain) -> bytes:
    return struct.pack("!BBH", FAMILIES[chain.family], 0, 0)


class Assembler:
    """Makes rules of their texts, in a namespace that it keeps for itself. Make it on a thread that is inside it."""

    def __init__(self) -> None:
        self._context = NftContext()
        self._netlink = Netlink(NETLINK_NETFILTER)

    def close(self) -> None:
        self._context.close()
        self._netlink.close()

    def made(self, chain: NftChain, rules: Sequence[NftRule], sets: Sequence[NftSet]) -> list[Rule]:
        """The rules, which may name `sets` and the chains that `chain` uses. Raises NftError, NetlinkError."""
        table = f"{chain.family} {chain.table}"
        lines = [f"add table {table}", *(set_text(item) for item in sets)]
        lines += [f"add chain {table} {name}" for name in dict.fromkeys((*chain.uses_chains, chain.name))]
        lines += [rule_text(chain, rule) for rule in rules]
        self._context.run("\n".join(lines))
        try:
            return listed(self._netlink, chain)
        finally:
            self._context.run(f"delete table {table}")
