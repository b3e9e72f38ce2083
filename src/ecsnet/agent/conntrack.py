"""Forget tracked connections of an address, so that its next owner does not inherit what the last one was allowed.

ctnetlink as in linux/netfilter/nfnetlink_conntrack.h. One dump serves all addresses of a namespace: it walks the
machine's one hash table (2 to 5 ms), which is why this runs when an address is given back, not when it is taken.
"""

from __future__ import annotations

import struct
from collections.abc import Collection
from ipaddress import ip_address

from ecsnet.agent.driver import Namespaces
from ecsnet.agent.netlink import NETLINK_NETFILTER, Netlink, Request, attribute, attributes

_GET, _DELETE = 1 << 8 | 1, 1 << 8 | 2
_TUPLE_ORIGINAL, _TUPLE_REPLY, _ID = 1, 2, 12
_TUPLE_IP = 1
_IP_ADDRESSES = (1, 2, 3, 4)
"""CTA_IP_V4_SRC, CTA_IP_V4_DST, CTA_IP_V6_SRC, CTA_IP_V6_DST."""
_NESTED = 0x8000
_GENERIC = struct.Struct("=BBH")
"""struct nfgenmsg: family, version, resource."""


def forget(namespaces: Namespaces, netns: str, addresses: Collection[str]) -> int:
    """Delete the entries of a namespace that have one of `addresses` as source or destination in either direction.

    The answer is how many there were. A namespace that is gone has none.
    """
    packed = frozenset(ip_address(address).packed for address in addresses)
    try:
        with namespaces.inside(netns), Netlink(NETLINK_NETFILTER) as netlink:
            doomed = []
            for body in netlink.dump(Request(type=_GET, flags=0, body=_GENERIC.pack(0, 0, 0))):
                entry = attributes(body[_GENERIC.size :])
                if packed & (_addresses(entry[_TUPLE_ORIGINAL]) | _addresses(entry[_TUPLE_REPLY])):
                    original = attribute(_TUPLE_ORIGINAL | _NESTED, entry[_TUPLE_ORIGINAL])
                    header = _GENERIC.pack(body[0], 0, 0)
                    doomed.append(Request(type=_DELETE, flags=0, body=header + original + attribute(_ID, entry[_ID])))
            netlink.execute(doomed)  # what ended by itself meanwhile is refused, and gone all the same
            return len(doomed)
    except FileNotFoundError:
        return 0


def _addresses(packed_tuple: bytes) -> set[bytes]:
    found = attributes(attributes(packed_tuple)[_TUPLE_IP])
    return {found[kind] for kind in _IP_ADDRESSES if kind in found}
