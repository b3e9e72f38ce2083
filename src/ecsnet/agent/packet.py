"""Headers of captured packets: IPv4, IPv6, TCP, UDP, ICMP, ICMPv6, and the packet that an ICMP error quotes.

Layouts as in RFC 791, 8200, 9293, 768, 792 and 4443. Everything tolerates a packet that was cut off: what is not there
is None.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import msgspec

ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

_IPV4 = struct.Struct("!BxHHHBBxx4s4s")
_IPV6 = struct.Struct("!xxxxHBB16s16s")
_PORTS = struct.Struct("!HH")
_TCP = struct.Struct("!HHIIBB")
_ICMP = struct.Struct("!BBxxHH")
_ERRORS4 = frozenset((3, 4, 5, 11, 12))
_EXTENSIONS6 = frozenset((0, 43, 60, 135))
_FRAGMENT6, _AUTHENTICATION = 44, 51

OVERLONG = 1 << 16
"""The least that a packet has whose length does not fit its header."""


class Packet(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the headers of one packet say. Addresses are packed (4 or 16 bytes): thousands are compared a second."""

    source: bytes
    destination: bytes
    protocol: int
    """Of the upper layer, behind IPv6 extension headers."""
    hops: int
    """Time to live, or hop limit."""
    length: int
    """Bytes of the whole packet, by its header; of an excerpt too. One that is too long for that field of IPv4
    ("BIG TCP") says 0 there and counts as OVERLONG."""
    identification: int = 0
    """IPv4 only."""
    fragment: int = 0
    """Offset in bytes; other than 0 there is no upper header."""
    source_port: int | None = None
    destination_port: int | None = None
    flags: int = 0
    """TCP only (FIN, SYN, RST, PSH, ACK)."""
    sequence: int | None = None
    """TCP's sequence number, or that of an ICMP echo."""
    acknowledgement: int | None = None
    type: int | None = None
    """ICMP only, like `code` and `identifier`."""
    code: int | None = None
    identifier: int | None = None
    """Of an ICMP echo."""
    payload: int | None = None
    """Where the data behind the upper header begins, in bytes."""
    quoted: Packet | None = None
    """The packet that an ICMP error is about, as far as it is quoted."""

    @property
    def source_address(self) -> IPv4Address | IPv6Address:
        return _address(self.source)

    @property
    def destination_address(self) -> IPv4Address | IPv6Address:
        return _address(self.destination)

    @property
    def version(self) -> int:
        return 4 if len(self.source) == 4 else 6


def _address(packed: bytes) -> IPv4Address | IPv6Address:
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def parse(data: bytes, start: int = 0) -> Packet | None:
    """The packet whose IP header begins at `start`; None when that is no IP header or not all of one."""
    if len(data) <= start:
        return None
    match data[start] >> 4:
        case 4:
            return _parse4(data, start)
        case 6:
            return _parse6(data, start)
        case _:
            return None


def _parse4(data: bytes, start: int) -> Packet | None:
    if len(data) < start + _IPV4.size:
        return None
    first, length, identification, fragment, hops, protocol, source, destination = _IPV4.unpack_from(data, start)
    offset = (fragment & 0x1FFF) * 8
    return Packet(
        source=source,
        destination=destination,
        protocol=protocol,
        hops=hops,
        length=length or OVERLONG,
        identification=identification,
        fragment=offset,
        **({} if offset else _upper(data, start + (first & 15) * 4, protocol)),
    )


def _parse6(data: bytes, start: int) -> Packet | None:
    if len(data) < start + _IPV6.size:
        return None
    payload_length, protocol, hops, source, destination = _IPV6.unpack_from(data, start)
    upper, fragment = start + _IPV6.size, 0
    while len(data) >= upper + 8:
        if protocol in _EXTENSIONS6:
            step = (data[upper + 1] + 1) * 8
        elif protocol == _AUTHENTICATION:
            step = (data[upper + 1] + 2) * 4
        elif protocol == _FRAGMENT6:
            step, fragment = 8, int.from_bytes(data[upper + 2 : upper + 4], "big") & 0xFFF8
        else:
            break
        protocol = data[upper]
        upper += step
        if fragment:
            break
    return Packet(
        source=source,
        destination=destination,
        protocol=protocol,
        hops=hops,
        length=payload_length + _IPV6.size,
        fragment=fragment,
        **({} if fragment else _upper(data, upper, protocol)),
    )


def _upper(data: bytes, at: int, protocol: int) -> dict[str, Any]:
    """What the upper header says, as fields of `Packet`."""
    if len(data) < at + 4:
        return {}
    match protocol:
        case 6:
            return _tcp(data, at)
        case 17:
            source_port, destination_port = _PORTS.unpack_from(data, at)
            return {"source_port": source_port, "destination_port": destination_port, "payload": at + 8}
        case 1 | 58:
            return _icmp(data, at, protocol)
        case _:
            return {}


def _tcp(data: bytes, at: int) -> dict[str, Any]:
    if len(data) >= at + _TCP.size:
        source_port, destination_port, sequence, acknowledgement, words, flags = _TCP.unpack_from(data, at)
        return {
            "source_port": source_port,
            "destination_port": destination_port,
            "sequence": sequence,
            "acknowledgement": acknowledgement,
            "flags": flags,
            "payload": at + (words >> 4) * 4,
        }
    source_port, destination_port = _PORTS.unpack_from(data, at)
    # An ICMP error may quote eight bytes only.
    sequence = int.from_bytes(data[at + 4 : at + 8], "big") if len(data) >= at + 8 else None
    return {"source_port": source_port, "destination_port": destination_port, "sequence": sequence}


def _icmp(data: bytes, at: int, protocol: int) -> dict[str, Any]:
    if len(data) < at + _ICMP.size:
        return {}
    kind, code, identifier, sequence = _ICMP.unpack_from(data, at)
    is_error = kind in _ERRORS4 if protocol == ICMP else kind < 128
    if is_error:
        return {"type": kind, "code": code, "quoted": parse(data, at + 8)}
    return {"type": kind, "code": code, "identifier": identifier, "sequence": sequence, "payload": at + 8}
