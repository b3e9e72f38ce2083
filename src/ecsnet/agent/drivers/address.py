"""Addresses, without the kernel's automatic prefix route and without duplicate address detection."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import ip_interface

from ecsnet.agent.drivers.rtnl import Indexes, index_of, put_all, remove_all
from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.agent.netlink import NLM_F_CREATE, NLM_F_REPLACE, Request, address_text, attribute, attributes, u32
from ecsnet.hostplan.kernel import Address, HostObject

_RTM_NEWADDR, _RTM_DELADDR, _RTM_GETADDR = 20, 21, 22
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_NODAD, _NOPREFIXROUTE = 0x02, 0x200
_SCOPE_LINK, _SCOPE_HOST = 253, 254
_HEADER = struct.Struct("=BBBBI")
"""struct ifaddrmsg."""


def _body(address: str, index: int) -> bytes:
    interface = ip_interface(address)
    family = 10 if interface.version == 6 else 2
    header = _HEADER.pack(family, interface.network.prefixlen, 0, 0, index)
    return header + attribute(_IFA_LOCAL, interface.packed) + attribute(_IFA_ADDRESS, interface.packed)


def _new(item: Address, indexes: Indexes) -> Sequence[Request]:
    flags = u32(_IFA_FLAGS, _NOPREFIXROUTE | (_NODAD if ":" in item.address else 0))
    body = _body(item.address, index_of(indexes, item.link)) + flags
    return (Request(type=_RTM_NEWADDR, flags=NLM_F_CREATE | NLM_F_REPLACE, body=body),)


def _delete(rest: str, indexes: Indexes) -> Request | None:
    link, _, address = rest.partition("/")
    index = indexes.find(link)
    return None if index is None else Request(type=_RTM_DELADDR, flags=0, body=_body(address, index))


class Addresses:
    """Implements `rtnl.Sort` for `Address`."""

    listing = Request(type=_RTM_GETADDR, flags=0, body=bytes(_HEADER.size))

    def __init__(self, files: NamespaceFiles) -> None:
        self._files = files

    def recognise(
        self, netns: str, bodies: Iterable[bytes], links: Mapping[int, str], desired: Mapping[str, HostObject]
    ) -> Mapping[str, HostObject | None]:
        found: dict[str, HostObject | None] = {}
        for body in bodies:
            _family, length, _flags, scope, index = _HEADER.unpack_from(body)
            if index not in links:
                continue
            values = attributes(body[_HEADER.size :])
            flags = struct.unpack("=I", values[_IFA_FLAGS])[0]
            text = f"{address_text(values.get(_IFA_LOCAL) or values[_IFA_ADDRESS])}/{length}"
            key = f"address:{netns}/{links[index]}/{text}"
            if key in desired:
                found[key] = desired[key] if flags & _NOPREFIXROUTE else None
            elif scope not in (_SCOPE_LINK, _SCOPE_HOST):  # those are the kernel's own (127.0.0.1, ::1, fe80)
                found[key] = None
        return found

    def apply(self, put: Sequence[HostObject], remove: Sequence[str]) -> Mapping[str, str]:
        failures = remove_all(self._files, remove, _delete)
        addresses = [item for item in put if isinstance(item, Address)]
        return failures | put_all(self._files, addresses, _new, already=frozenset({errno.EEXIST}))
