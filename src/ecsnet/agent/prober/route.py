"""Which route takes a packet: the kernel's own look-up (RTM_GETROUTE, RTM_F_FIB_MATCH; `ip route get … fibmatch`)."""

from __future__ import annotations

import errno
import socket
import struct

from ecsnet.agent.netlink import Netlink, NetlinkError, Request, address_text, attribute, attributes, u32
from ecsnet.hostplan.probes import RouteSeen

_GETROUTE = 26
_FLAGS = {socket.AF_INET: 0x1000 | 0x2000, socket.AF_INET6: 0x2000}
"""RTM_F_FIB_MATCH: the route, not what becomes of the packet. RTM_F_LOOKUP_TABLE: its table; IPv4 otherwise always says
main, IPv6 always says the truth and refuses the flag."""
_DESTINATION, _SOURCE, _IN, _OUT, _TABLE, _MARK = 1, 2, 3, 4, 15, 16
_MESSAGE = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, destination and source length, tos, table, protocol, scope, type, flags."""

_KINDS = {1: "unicast", 2: "local", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_REFUSALS = {errno.EINVAL: "blackhole", errno.EHOSTUNREACH: "unreachable", errno.EACCES: "prohibit"}


def look_up(source: bytes, destination: bytes, in_link: int, mark: int) -> RouteSeen:
    """The route of the calling thread's namespace for a packet that comes in at `in_link` with `mark`.

    "none" when there is none, or when the kernel would not take such a packet at all.
    """
    bits = 8 * len(destination)
    family = socket.AF_INET if bits == 32 else socket.AF_INET6
    body = _MESSAGE.pack(family, bits, bits, 0, 0, 0, 0, 0, _FLAGS[family])
    body += attribute(_DESTINATION, destination) + attribute(_SOURCE, source) + u32(_MARK, mark)
    if in_link:
        body += u32(_IN, in_link)
    with Netlink() as netlink:
        try:
            answer = netlink.get(Request(type=_GETROUTE, flags=0, body=body))
        except NetlinkError as error:
            kind = _REFUSALS.get(error.errno or 0, "none")
            return RouteSeen(kind=kind)  # type: ignore[arg-type]
    if answer is None:
        return RouteSeen(kind="none")
    _family, length, _source, _tos, table, _protocol, _scope, kind_number, _flags = _MESSAGE.unpack_from(answer)
    found = attributes(answer[_MESSAGE.size :])
    network = address_text(found.get(_DESTINATION, bytes(len(destination))))
    out_link = _number(found.get(_OUT))
    return RouteSeen(
        kind=_KINDS.get(kind_number, "none"),  # type: ignore[arg-type]
        table=_number(found.get(_TABLE)) or table,
        prefix=f"{network}/{length}",
        device=socket.if_indextoname(out_link) if out_link else None,
    )


def _number(value: bytes | None) -> int:
    return int.from_bytes(value[:4], "little") if value else 0
