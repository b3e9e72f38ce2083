"""Who decided about a packet: the vocabulary of docs/decisions.md as values.

The packet filter writes these texts as log prefixes and `reach` names the same decisions from the stored resources,
so that what was expected and what was seen are compared as equal values. It imports nothing of ours.
"""

from __future__ import annotations

import enum
import functools
from dataclasses import dataclass


class What(enum.Enum):
    """Where a packet ends. The value is the word of the log prefix; `ACL` has none, its id says it."""

    SPOOF = "spoof"
    DESTINATION_CHECK = "dstcheck"
    ACL = "acl"
    ACL_MISSING = "acl missing"
    SG_OUT = "sg-out"
    SG_IN = "sg-in"
    INVALID = "invalid"
    GATE = "gate"
    ROUTE = "route"
    PEERING = "pcx"
    IGW_NO_PUBLIC = "igw-no-public"
    IGW_PRIVATE = "igw-private"
    IGW_UNASSIGNED = "igw-unassigned"
    IGW_INVALID = "igw-invalid"
    NAT_SOURCE = "nat-source"
    NAT_PROTOCOL = "nat-protocol"
    NAT_STATE = "nat-state"
    NAT_IN = "nat-in"
    EGRESS_ONLY = "eigw"
    LOOPBACK = "loopback"
    UNPUBLISHED = "unpublished"
    LIMIT = "limit"
    SERVICE = "service"


_WORDS = {what.value: what for what in What if what is not What.ACL}
_ALONE = {
    What.SPOOF, What.DESTINATION_CHECK, What.ACL_MISSING, What.INVALID, What.GATE, What.ROUTE, What.LIMIT, What.SERVICE,
}  # fmt: skip
_NAMELESS = {What.SG_OUT, What.SG_IN}
"""Without an id when the interface was gone before the word was read."""


@dataclass(frozen=True, slots=True)
class Drop:
    """The packet ended here. `id` is the interface, gateway or peering; for `ACL` it is `acl-…/in/100`."""

    what: What
    id: str = ""

    def __str__(self) -> str:
        match self.what:
            case What.ACL:
                return f"D {self.id}"
            case _:
                return f"D {self.what.value} {self.id}".rstrip()


@dataclass(frozen=True, slots=True)
class Admit:
    """The first packet of a flow was admitted by this security group rule."""

    rule: str

    def __str__(self) -> str:
        return f"A {self.rule}"


@functools.lru_cache(maxsize=4096)
def parse(prefix: str) -> Drop | Admit:
    """The decision that a log prefix states; `str` of it is the prefix again.

    Raises ValueError for a text that is not in the vocabulary.
    """
    letter, _, rest = prefix.strip().partition(" ")
    if letter == "A" and rest and " " not in rest:
        return Admit(rest)
    if letter == "D":
        if rest.startswith("acl-") and rest.count("/") == 2:
            return Drop(What.ACL, rest)
        if (alone := _WORDS.get(rest)) in _ALONE | _NAMELESS and alone is not None:
            return Drop(alone)
        word, _, identifier = rest.partition(" ")
        what = _WORDS.get(word)
        if what is not None and what not in _ALONE and identifier and " " not in identifier:
            return Drop(what, identifier)
    raise ValueError(f"{prefix!r} is no decision (docs/decisions.md)")
