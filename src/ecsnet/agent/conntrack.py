"""Tracked connections: forget those of an address, so that its next owner does not inherit what the last one was
allowed; and count those of a translator.

ctnetlink as in linux/netfilter/nfnetlink_conntrack.h. A dump walks the machine's one hash table (about 20 ms whatever
the namespace holds), so it runs on a thread of its own when an address is given back; only who takes the same address
again before that is done has to wait.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from ecsnet.agent.driver import Namespaces
from ecsnet.agent.netlink import NETLINK_NETFILTER, Netlink, Request, attribute, attributes

_GET, _DELETE, _STATS_PER_CPU = 1 << 8 | 1, 1 << 8 | 2, 1 << 8 | 4
_INSERT_FAILED = 9
"""CTA_STATS_INSERT_FAILED."""
_COUNT = struct.Struct(">I")
_TUPLE_ORIGINAL, _TUPLE_REPLY, _ID = 1, 2, 12
_TUPLE_IP = 1
_IP_ADDRESSES = (1, 2, 3, 4)
"""CTA_IP_V4_SRC, CTA_IP_V4_DST, CTA_IP_V6_SRC, CTA_IP_V6_DST."""
_NESTED = 0x8000
_GENERIC = struct.Struct("=BBH")
"""struct nfgenmsg: family, version, resource."""


class Flows:
    """The tracked connections of the routers' namespaces, by the addresses that own them. One caller thread."""

    def __init__(self, namespaces: Namespaces) -> None:
        self._namespaces = namespaces
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="conntrack")
        self._pending: dict[tuple[str, str], Future[int]] = {}
        """What is being forgotten, by namespace and address ("": a sweep of the whole namespace)."""

    def free(self, netns: str, addresses: Collection[str]) -> None:
        """Begin to forget the connections of addresses that nobody owns any more."""
        packed = frozenset(ip_address(address).packed for address in addresses)
        future = self._worker.submit(forget, self._namespaces, netns, packed.__contains__)
        self._pending = {key: job for key, job in self._pending.items() if not job.done()}
        self._pending.update({(netns, address): future for address in addresses})

    def sweep(self, netns: str, networks: Collection[IPv4Network | IPv6Network], owned: Collection[str]) -> None:
        """Begin to forget the connections of all addresses of `networks` but the `owned` ones.

        For a new agent: the last one may have been killed between giving an address back and forgetting it.
        """
        kept = frozenset(ip_address(address).packed for address in owned)

        def doomed(packed: bytes) -> bool:
            address = ip_address(packed)
            return packed not in kept and any(address in network for network in networks)

        self._pending[netns, ""] = self._worker.submit(forget, self._namespaces, netns, doomed)

    def settle(self, netns: str, address: str) -> None:
        """Wait until what was begun for an address is done: call before somebody owns it."""
        for key in ((netns, address), (netns, "")):
            job = self._pending.get(key)
            if job is not None:
                job.result()

    def close(self) -> None:
        self._worker.shutdown(wait=True)


def forget(namespaces: Namespaces, netns: str, doomed: Callable[[bytes], bool]) -> int:
    """Delete the entries of a namespace with a doomed (packed) source or destination address in either direction.

    The answer is how many there were. A namespace that is gone has none.
    """
    try:
        with namespaces.inside(netns), Netlink(NETLINK_NETFILTER) as netlink:
            deletions = []
            for body in netlink.dump(Request(type=_GET, flags=0, body=_GENERIC.pack(0, 0, 0))):
                entry = attributes(body[_GENERIC.size :])
                if any(map(doomed, _addresses(entry[_TUPLE_ORIGINAL]) | _addresses(entry[_TUPLE_REPLY]))):
                    original = attribute(_TUPLE_ORIGINAL | _NESTED, entry[_TUPLE_ORIGINAL])
                    header = _GENERIC.pack(body[0], 0, 0)
                    deletions.append(
                        Request(type=_DELETE, flags=0, body=header + original + attribute(_ID, entry[_ID]))
                    )
            netlink.execute(deletions)  # what ended by itself meanwhile is refused, and gone all the same
            return len(deletions)
    except FileNotFoundError:
        return 0


def _addresses(packed_tuple: bytes) -> set[bytes]:
    found = attributes(attributes(packed_tuple)[_TUPLE_IP])
    return {found[kind] for kind in _IP_ADDRESSES if kind in found}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a namespace's connection tracking counts."""

    active: int
    """Connections that it has now."""
    refused: int
    """Connections for which no source port was left towards their destination; their first packets were dropped."""


def counts(namespaces: Namespaces, netns: str) -> Counts:
    """The counts of a namespace that translates. Raises FileNotFoundError when there is no such namespace."""
    with namespaces.inside(netns), Netlink(NETLINK_NETFILTER) as netlink:
        everything = _GENERIC.pack(0, 0, 0)
        processors = list(netlink.dump(Request(type=_STATS_PER_CPU, flags=0, body=everything)))
        # The kernel's own number of entries goes on counting expired ones, for up to a minute. A dump leaves them out.
        active = sum(1 for _ in netlink.dump(Request(type=_GET, flags=0, body=everything)))
    return Counts(active=active, refused=sum(_insert_failed(one) for one in processors))


def _insert_failed(body: bytes) -> int:
    (number,) = _COUNT.unpack(attributes(body[_GENERIC.size :])[_INSERT_FAILED])
    return int(number)
