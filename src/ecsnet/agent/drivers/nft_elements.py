"""Elements of sets and maps as messages of our own, so that an interface costs the same in a network of any size.

Before it adds or deletes an element libnftables lists all chains and sets of the namespace: with 500 groups 10 of the
11 ms that an interface took to go. What an element consists of is plain (linux/netfilter/nf_tables.h): a key and a
value of the set's types, of which the fabric uses a few. Sets with flags (intervals) are left to libnftables.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from ecsnet.agent.drivers.nft_rules import FAMILIES, SUBSYSTEM
from ecsnet.agent.netlink import NLM_F_CREATE, Request, address_bytes, attribute, mac_bytes
from ecsnet.agent.netlink import text as string
from ecsnet.hostplan.kernel import NftElement, NftSet

MOST = 256
"""Elements in one transaction; what is more is a first load, for which one look at everything does not matter."""

_NEW, _DELETE = (SUBSYSTEM << 8 | number for number in (12, 14))
_TABLE, _SET, _ELEMENTS = 1, 2, 3
_ELEMENT, _KEY, _DATA = 1, 1, 2
_VALUE, _VERDICT, _CODE, _CHAIN = 1, 2, 1, 2
_NESTED = 0x8000
_LINK_NAME = 16
_VERDICTS = {"drop": 0, "accept": 1, "jump": -3, "goto": -4, "return": -5}


def _link_name(text: str) -> bytes:
    return text.strip('"').encode().ljust(_LINK_NAME, b"\0")


def _class(text: str) -> bytes:
    """A packet's priority, `major:minor` in hexadecimal digits."""
    major, _, minor = text.partition(":")
    return struct.pack("=I", int(major, 16) << 16 | int(minor, 16))


_BYTES: Mapping[str, Callable[[str], bytes]] = {
    "ifname": _link_name,
    "ether_addr": mac_bytes,
    "ipv4_addr": address_bytes,
    "ipv6_addr": address_bytes,
    "inet_service": lambda text: struct.pack("!H", int(text)),
    "mark": lambda text: struct.pack("=I", int(text, 16)),
    "classid": _class,
}
"""A field as the kernel holds it in a register, by nft's name of its type."""


def can(kind: NftSet) -> bool:
    """Whether elements of a set can be written here."""
    types = [*kind.type.split(" . "), *(() if kind.value in (None, "verdict") else kind.value.split(" . "))]
    return not kind.flags and all(name in _BYTES for name in types)


def requests(put: Sequence[tuple[NftSet, NftElement]], remove: Sequence[tuple[NftSet, NftElement]]) -> list[Request]:
    """The messages that delete elements and then add others, one per set, those that publish an interface last.

    Raises ValueError for text that is not of the set's type.
    """
    published = sorted(put, key=lambda pair: pair[1].publish)
    return [
        *(_request(_DELETE, 0, kind, [_key(kind, item) for item in items]) for kind, items in _by_set(remove)),
        *(
            _request(_NEW, NLM_F_CREATE, kind, [_key(kind, item) + _data(kind, item) for item in items])
            for kind, items in _by_set(published)
        ),
    ]


def _by_set(pairs: Sequence[tuple[NftSet, NftElement]]) -> list[tuple[NftSet, list[NftElement]]]:
    return [(kind, [item for _kind, item in group]) for kind, group in groupby(pairs, key=lambda pair: pair[0])]


def _request(type: int, flags: int, kind: NftSet, elements: Sequence[bytes]) -> Request:
    head = struct.pack("!BBH", FAMILIES[kind.family], 0, 0) + string(_TABLE, kind.table) + string(_SET, kind.name)
    body = b"".join(attribute(_ELEMENT | _NESTED, each) for each in elements)
    return Request(type=type, flags=flags, body=head + attribute(_ELEMENTS | _NESTED, body))


def _key(kind: NftSet, item: NftElement) -> bytes:
    return attribute(_KEY | _NESTED, attribute(_VALUE, _fields(kind.type, item.element)))


def _data(kind: NftSet, item: NftElement) -> bytes:
    if kind.value is None or item.value is None:
        return b""
    if kind.value != "verdict":
        return attribute(_DATA | _NESTED, attribute(_VALUE, _fields(kind.value, item.value)))
    word, _, chain = item.value.partition(" ")
    if word not in _VERDICTS:
        raise ValueError(f"{item.value!r} is not a verdict")
    verdict = attribute(_CODE, struct.pack("!i", _VERDICTS[word])) + (string(_CHAIN, chain) if chain else b"")
    return attribute(_DATA | _NESTED, attribute(_VERDICT | _NESTED, verdict))


def _fields(types: str, text: str) -> bytes:
    """One field as it is, several each padded to a register of four bytes."""
    names, texts = types.split(" . "), text.split(" . ")
    if len(names) != len(texts):
        raise ValueError(f"{text!r} is not of type {types!r}")
    packed = [_BYTES[name](each) for name, each in zip(names, texts, strict=True)]
    if len(packed) == 1:
        return packed[0]
    return b"".join(each + b"\0" * (-len(each) % 4) for each in packed)
