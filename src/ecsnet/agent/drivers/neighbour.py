"""Permanent neighbour entries; they do not count against the machine-wide limit of 1,024 dynamic ones."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence

from ecsnet.agent.drivers.rtnl import Indexes, index_of, put_all, remove_all
from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.agent.netlink import (
    NLM_F_CREATE,
    NLM_F_REPLACE,
    Request,
    address_bytes,
    address_text,
    attribute,
    attributes,
    family_of,
    mac_bytes,
    mac_text,
)
from ecsnet.hostplan.kernel import HostObject, Neighbour

_RTM_NEWNEIGH, _RTM_DELNEIGH, _RTM_GETNEIGH = 28, 29, 30
_NDA_DST, _NDA_LLADDR = 1, 2
_PERMANENT = 0x80


def _header(family: int, index: int, state: int) -> bytes:
    """struct ndmsg."""
    return struct.pack("=BBHiHBB", family, 0, 0, index, state, 0, 0)


def _new(item: Neighbour, indexes: Indexes) -> Sequence[Request]:
    body = _header(family_of(item.address), index_of(indexes, item.link), _PERMANENT)
    body += attribute(_NDA_DST, address_bytes(item.address)) + attribute(_NDA_LLADDR, mac_bytes(item.mac))
    return (Request(type=_RTM_NEWNEIGH, flags=NLM_F_CREATE | NLM_F_REPLACE, body=body),)


def _delete(rest: str, indexes: Indexes) -> Request | None:
    link, _, address = rest.partition("/")
    index = indexes.find(link)
    if index is None:
        return None
    body = _header(family_of(address), index, 0) + attribute(_NDA_DST, address_bytes(address))
    return Request(type=_RTM_DELNEIGH, flags=0, body=body)


class Neighbours:
    """Implements `rtnl.Sort` for `Neighbour`."""

    listing = Request(type=_RTM_GETNEIGH, flags=0, body=_header(0, 0, 0))

    def __init__(self, files: NamespaceFiles) -> None:
        self._files = files

    def recognise(
        self, netns: str, bodies: Iterable[bytes], links: Mapping[int, str], desired: Mapping[str, HostObject]
    ) -> Mapping[str, HostObject | None]:
        found: dict[str, HostObject | None] = {}
        for body in bodies:
            index, state = struct.unpack_from("=iH", body, 4)
            if not state & _PERMANENT or index not in links:
                continue
            values = attributes(body[12:])
            key = f"neighbour:{netns}/{links[index]}/{address_text(values[_NDA_DST])}"
            wanted = desired.get(key)
            same = isinstance(wanted, Neighbour) and wanted.mac == mac_text(values.get(_NDA_LLADDR, b""))
            found[key] = wanted if same else None
        return found

    def apply(self, put: Sequence[HostObject], remove: Sequence[str]) -> Mapping[str, str]:
        failures = remove_all(self._files, remove, _delete)
        return failures | put_all(self._files, [item for item in put if isinstance(item, Neighbour)], _new)
