"""veth pairs: made with MTU, both addresses and both namespaces in one request, marked by ifalias at both ends.

The kernel takes no ifalias in the request that makes a link. Until it has one, its group (which it takes) says whose it
is: an agent that is killed in between leaves a pair that the next one recognises.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ecsnet.agent.drivers.rtnl import (
    IFLA_ADDRESS,
    IFLA_IFALIAS,
    IFLA_IFNAME,
    IFLA_LINK,
    IFLA_MTU,
    RTM_DELLINK,
    RTM_GETLINK,
    RTM_NEWLINK,
    RTM_SETLINK,
    ifinfo,
    remove_all,
)
from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.agent.netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    Netlink,
    Request,
    attribute,
    attributes,
    mac_bytes,
    mac_text,
    text,
    u32,
)
from ecsnet.hostplan.kernel import HostObject, Link, LinkEnd, link_key

_IFLA_LINKINFO, _IFLA_AF_SPEC, _IFLA_GROUP, _IFLA_NET_NS_FD = 18, 26, 27, 28
_IFLA_GSO_IPV4_MAX_SIZE = 63
_INFO_KIND, _INFO_DATA, _VETH_INFO_PEER = 1, 2, 1
_AF_INET6, _INET6_ADDR_GEN_MODE, _GEN_MODE_NONE = 10, 8, 1
_IFF_UP = 1
_ALIAS = "ecsnet "
_GROUP = 200
_GSO_MAX_SIZE = 128 << 10
"""Bytes of TCP over IPv4 that cross a link as one packet ("BIG TCP", Linux 6.3; an older kernel ignores the attribute
and keeps 64 KiB). A router costs by the packet: with 64 KiB a stream through one had 0.75 of a bare pair's throughput,
with 128 KiB more than a bare pair; longer ones gained nothing. Not for IPv6, where such packets have another header."""
LISTING = Request(type=RTM_GETLINK, flags=0, body=ifinfo())
_NO_LINK_LOCAL = attribute(
    _IFLA_AF_SPEC, attribute(_AF_INET6, attribute(_INET6_ADDR_GEN_MODE, bytes([_GEN_MODE_NONE])))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenLink:
    """An interface as a listing shows it."""

    name: str
    index: int
    peer: int | None
    mac: str
    mtu: int
    up: bool
    alias: str
    group: int


def _alias(link: Link) -> str:
    return f"{_ALIAS}{link.owner} {link.a.netns}/{link.a.name}"[:255]


def is_own(link: SeenLink) -> bool:
    """Whether ecsnet decides what is on a link: one of its veth ends, or the namespace's loopback."""
    return link.name == "lo" or link.alias.startswith(_ALIAS)


class Links:
    """Makes and recognises veth pairs. A changed pair is deleted and made again."""

    def __init__(self, files: NamespaceFiles) -> None:
        self._files = files

    def recognise(
        self, seen: Mapping[str, Sequence[SeenLink]], desired: Mapping[str, HostObject]
    ) -> Mapping[str, HostObject | None]:
        """What exists, from the interfaces of all namespaces (a pair has an end in each of two)."""
        by_name = {netns: {end.name: end for end in ends} for netns, ends in seen.items()}
        ends_b = {(link.b.netns, link.b.name) for link in desired.values() if isinstance(link, Link)}
        found: dict[str, HostObject | None] = {}
        for netns, ends in by_name.items():
            for name, end in ends.items():
                if end.group == _GROUP and not end.alias and (netns, name) not in ends_b:
                    # Half made, and nothing says which end it is: to remove either is enough.
                    found[link_key(netns, name)] = None
                if not end.alias.startswith(_ALIAS) or not end.alias.endswith(f" {netns}/{name}"):
                    continue  # end b, or not ecsnet's
                key = link_key(netns, name)
                wanted = desired.get(key)
                same = isinstance(wanted, Link) and _same(wanted, end, by_name.get(wanted.b.netns, {}))
                found[key] = wanted if same else None
        return found

    def apply(self, put: Sequence[HostObject], remove: Sequence[str]) -> Mapping[str, str]:
        failures = remove_all(
            self._files,
            remove,
            lambda name, _: Request(type=RTM_DELLINK, flags=0, body=ifinfo() + text(IFLA_IFNAME, name)),
        )
        ends: dict[str, list[tuple[Link, LinkEnd]]] = {}
        made: dict[str, list[Link]] = {}
        for item in put:
            assert isinstance(item, Link)
            made.setdefault(item.a.netns, []).append(item)
        for name, links in made.items():
            for link, problem in zip(links, self._create(name, links), strict=True):
                if problem is None:
                    ends.setdefault(link.b.netns, []).append((link, link.b))
                    ends.setdefault(link.a.netns, []).append((link, link.a))
                else:
                    failures[link.key] = problem
        for name, group in ends.items():
            failures.update(self._finish(name, group))
        return failures

    def _create(self, name: str, links: Sequence[Link]) -> list[str | None]:
        """One newlink each, from inside end a's namespace; what stands in the way is an older version: delete it."""
        problems: list[str | None] = []
        try:
            with self._files.inside(name), Netlink() as netlink:
                for link in links:
                    try:
                        peer = os.open(self._files.path(link.b.netns), os.O_RDONLY | os.O_CLOEXEC)
                    except OSError as error:
                        problems.append(f"namespace {link.b.netns}: {error.strerror}")
                        continue
                    try:
                        problems.append(self._create_one(netlink, link, peer))
                    finally:
                        os.close(peer)
        except OSError as error:
            return [f"namespace {name}: {error.strerror}"] * len(links)
        return problems

    def _create_one(self, netlink: Netlink, link: Link, peer: int) -> str | None:
        request = _newlink(link, peer)
        (refusal,) = netlink.execute([request])
        if refusal is not None and refusal.errno == errno.EEXIST:
            for end in (link.a, link.b):
                with self._files.inside(end.netns), Netlink() as there:
                    there.execute([Request(type=RTM_DELLINK, flags=0, body=ifinfo() + text(IFLA_IFNAME, end.name))])
            (refusal,) = netlink.execute([request])
        return None if refusal is None else str(refusal.strerror)

    def _finish(self, name: str, group: Sequence[tuple[Link, LinkEnd]]) -> dict[str, str]:
        """Owner and no automatic link-local address, then up (the other order would make the fe80 address first)."""
        requests = []
        for link, end in group:
            base = text(IFLA_IFNAME, end.name)
            alias = attribute(IFLA_IFALIAS, _alias(link).encode())
            requests.append(Request(type=RTM_SETLINK, flags=0, body=ifinfo() + base + alias + _NO_LINK_LOCAL))
            requests.append(Request(type=RTM_SETLINK, flags=0, body=ifinfo(0, _IFF_UP, _IFF_UP) + base))
        try:
            with self._files.inside(name), Netlink() as netlink:
                answers = netlink.execute(requests)
        except OSError as error:
            return {link.key: f"namespace {name}: {error.strerror}" for link, _end in group}
        return {
            group[position // 2][0].key: str(refusal.strerror)
            for position, refusal in enumerate(answers)
            if refusal is not None
        }


def _newlink(link: Link, peer_namespace: int) -> Request:
    common = u32(IFLA_MTU, link.mtu) + u32(_IFLA_GSO_IPV4_MAX_SIZE, _GSO_MAX_SIZE) + u32(_IFLA_GROUP, _GROUP)
    peer = (
        ifinfo()
        + text(IFLA_IFNAME, link.b.name)
        + attribute(IFLA_ADDRESS, mac_bytes(link.b.mac))
        + common
        + u32(_IFLA_NET_NS_FD, peer_namespace)
    )
    info = text(_INFO_KIND, "veth") + attribute(_INFO_DATA, attribute(_VETH_INFO_PEER, peer))
    body = (
        ifinfo()
        + text(IFLA_IFNAME, link.a.name)
        + attribute(IFLA_ADDRESS, mac_bytes(link.a.mac))
        + common
        + attribute(_IFLA_LINKINFO, info)
    )
    return Request(type=RTM_NEWLINK, flags=NLM_F_CREATE | NLM_F_EXCL, body=body)


def parse(body: bytes) -> SeenLink:
    """An entry of the listing of all interfaces."""
    index, flags = struct.unpack_from("=iI", body, 4)
    found = attributes(body[16:])
    return SeenLink(
        name=found[IFLA_IFNAME].rstrip(b"\0").decode(),
        index=index,
        peer=struct.unpack("=I", found[IFLA_LINK])[0] if IFLA_LINK in found else None,
        mac=mac_text(found.get(IFLA_ADDRESS, b"")),
        mtu=struct.unpack("=I", found[IFLA_MTU])[0],
        up=bool(flags & _IFF_UP),
        alias=found.get(IFLA_IFALIAS, b"").rstrip(b"\0").decode(errors="replace"),
        group=struct.unpack("=I", found[_IFLA_GROUP])[0],
    )


def _same(wanted: Link, a: SeenLink, others: Mapping[str, SeenLink]) -> bool:
    b = others.get(wanted.b.name)
    return (
        b is not None
        and (a.peer, b.peer) == (b.index, a.index)
        and (a.mac, b.mac) == (wanted.a.mac, wanted.b.mac)
        and a.mtu == b.mtu == wanted.mtu
        and a.up
        and b.up
        and a.alias == b.alias == _alias(wanted)
    )
