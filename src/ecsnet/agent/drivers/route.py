"""Routes, marked by their protocol number."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network

from ecsnet.agent.conntrack import Flows
from ecsnet.agent.drivers.rtnl import PROTOCOL, Indexes, index_of, put_all, remove_all
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
    prefix_bytes,
    u32,
)
from ecsnet.hostplan.kernel import HostObject, Route

_RTM_NEWROUTE, _RTM_DELROUTE, _RTM_GETROUTE = 24, 25, 26
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_PREFSRC, _RTA_TABLE = 1, 4, 5, 7, 15
_UNICAST = 1
_SCOPE_UNIVERSE, _SCOPE_LINK, _SCOPE_NOWHERE = 0, 253, 255
_ONLINK = 4
_AF_INET6 = 10
_HOST = ("/32", "/128")
_HEADER = struct.Struct("=BBBBBBBBI")


def _new(item: Route, indexes: Indexes) -> Sequence[Request]:
    family = family_of(item.destination)
    packed, length = prefix_bytes(item.destination)
    scope = _SCOPE_UNIVERSE
    if item.gateway is None and family != _AF_INET6:
        scope = _SCOPE_LINK
    flags = _ONLINK if item.onlink else 0
    body = _HEADER.pack(family, length, 0, 0, 0, PROTOCOL, scope, _UNICAST, flags) + u32(_RTA_TABLE, item.table)
    if length:
        body += attribute(_RTA_DST, packed)
    if item.gateway is not None:
        body += attribute(_RTA_GATEWAY, address_bytes(item.gateway))
    if item.link is not None:
        body += u32(_RTA_OIF, index_of(indexes, item.link))
    if item.source is not None:
        body += attribute(_RTA_PREFSRC, address_bytes(item.source))
    return (Request(type=_RTM_NEWROUTE, flags=NLM_F_CREATE | NLM_F_REPLACE, body=body),)


def _delete(rest: str, _indexes: Indexes) -> Request:
    table, _, destination = rest.partition("/")
    packed, length = prefix_bytes(destination)
    family = family_of(destination)
    body = _HEADER.pack(family, length, 0, 0, 0, PROTOCOL, _SCOPE_NOWHERE, 0, 0) + u32(_RTA_TABLE, int(table))
    if length:
        body += attribute(_RTA_DST, packed)
    return Request(type=_RTM_DELROUTE, flags=0, body=body)


def _default(family: int) -> bytes:
    return bytes(16 if family == _AF_INET6 else 4)


class Routes:
    """Implements `rtnl.Sort` for `Route`."""

    listing = Request(type=_RTM_GETROUTE, flags=0, body=bytes(_HEADER.size))

    def __init__(self, files: NamespaceFiles) -> None:
        self._files = files
        self._owners: dict[str, str] = {}
        """The link of every host route by key: an address that changes its link, or loses it, has changed its owner."""
        self._flows = Flows(files)
        self._swept: set[str] = set()
        """The routers (they have routes for their own networks) in which only owners have flows."""

    def recognise(
        self, netns: str, bodies: Iterable[bytes], links: Mapping[int, str], desired: Mapping[str, HostObject]
    ) -> Mapping[str, HostObject | None]:
        found: dict[str, HostObject | None] = {}
        own: list[IPv4Network | IPv6Network] = []
        for body in bodies:
            family, length, _, _, _, protocol, _scope, kind, flags = _HEADER.unpack_from(body)
            if protocol != PROTOCOL:
                continue
            values = attributes(body[_HEADER.size :])
            (table,) = struct.unpack("=I", values[_RTA_TABLE])
            destination = f"{address_text(values.get(_RTA_DST, _default(family)))}/{length}"
            key = f"route:{netns}/{table}/{destination}"
            wanted = desired.get(key)
            same = isinstance(wanted, Route) and _same(wanted, kind, flags, values, links)
            found[key] = wanted if same else None
            if isinstance(wanted, Route) and wanted.own_network:
                own.append(ip_network(destination))
            elif _RTA_GATEWAY not in values and destination.endswith(_HOST):
                self._owners[key] = links.get(struct.unpack("=I", values[_RTA_OIF])[0], "")
        if own and netns not in self._swept:
            self._swept.add(netns)
            self._flows.sweep(netns, own, [_place(key)[1] for key in found if key in self._owners])
        return found

    def apply(self, put: Sequence[HostObject], remove: Sequence[str]) -> Mapping[str, str]:
        routes = [item for item in put if isinstance(item, Route)]
        self._forget_flows(routes, remove)
        failures = remove_all(self._files, remove, _delete)
        routes.sort(key=lambda item: item.gateway is not None)  # a gateway must be reachable when its route is made
        return failures | put_all(self._files, routes, _new)

    def _forget_flows(self, put: Sequence[Route], remove: Sequence[str]) -> None:
        """Nobody inherits the tracked flows of an address that is given back or moves to another link."""
        moved = [item.key for item in put if _owns(item) and self._owners.get(item.key, item.link) != item.link]
        freed = [key for key in remove if self._owners.pop(key, None) is not None]
        addresses: dict[str, list[str]] = {}
        for key in (*moved, *freed):
            name, address = _place(key)
            addresses.setdefault(name, []).append(address)
        for name, group in addresses.items():
            self._flows.free(name, group)
        for item in put:
            if _owns(item):
                self._owners[item.key] = item.link or ""
                self._flows.settle(*_place(item.key))

    def close(self) -> None:
        self._flows.close()


def _owns(item: Route) -> bool:
    """Whether the route gives an address to whatever is at the end of a link."""
    return item.link is not None and item.gateway is None and item.destination.endswith(_HOST)


def _place(key: str) -> tuple[str, str]:
    """Namespace and address of a host route's key."""
    name, _table, destination = key.partition(":")[2].split("/", 2)
    return name, destination.rpartition("/")[0]


def _same(wanted: Route, kind: int, flags: int, values: Mapping[int, bytes], links: Mapping[int, str]) -> bool:
    gateway = address_text(values[_RTA_GATEWAY]) if _RTA_GATEWAY in values else None
    source = address_text(values[_RTA_PREFSRC]) if _RTA_PREFSRC in values else None
    link = links.get(struct.unpack("=I", values[_RTA_OIF])[0]) if _RTA_OIF in values else None
    return (
        kind == _UNICAST
        and gateway == wanted.gateway
        and source == wanted.source
        and (wanted.link is None or link == wanted.link)
        and bool(flags & _ONLINK) == wanted.onlink
    )
