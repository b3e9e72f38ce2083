"""A probe's packet. Its number is where address and port translation leave it, and where answers repeat it.

    TCP   the sequence number of a SYN; a SYN-ACK or RST acknowledges it plus one, an ICMP error quotes it
    UDP   behind a signature in the payload; an ICMP error quotes it
    ICMP  the same, and an echo reply repeats it

A SYN is known as a probe by window and urgent pointer, which mean nothing without data or the URG flag.
"""

from __future__ import annotations

import functools
import os
import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import assert_never

from ecsnet.agent.packet import ICMP, ICMPV6, SYN, TCP, UDP
from ecsnet.hostplan.probes import Probe, Protocol

FIRST_PORT, LAST_PORT = 32768, 60999
"""What a Linux client would use (net.ipv4.ip_local_port_range), so that network ACLs judge the same ports."""

ECHO4, ECHO6 = 8, 128
NUMBERED = struct.Struct("!II")
"""The payload's signature and number."""

_HOPS = 64
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
_TCP = struct.Struct("!HHIIBBHHH")
_UDP = struct.Struct("!HHHH")
_ICMP = struct.Struct("!BBHHH")
_HALF, _WORD = struct.Struct("!H"), struct.Struct("!I")
_DONT_FRAGMENT = 0x4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """How one prober process knows its packets; another's are strangers."""

    value: int = field(default_factory=lambda: int.from_bytes(os.urandom(4), "big") | 0x00010001)

    @property
    def window(self) -> int:
        return self.value >> 16

    @property
    def urgent(self) -> int:
        return self.value & 0xFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A probe's packet, from the IP header on, without number, source port and checksum.

    Thousands of probes differ in these only, and a checksum is a sum.
    """

    source: IPv4Address | IPv6Address
    destination: str
    _data: bytes
    _total: int
    """Sum of the words that the checksum covers."""
    _port_at: int
    _number_at: int
    _checksum_at: int

    def fill(self, number: int, source_port: int) -> bytes:
        """The packet of probe `number`. For ICMP the port is the echo's identifier. Raises ValueError."""
        if not 0 <= source_port <= 65535:
            raise ValueError(f"{source_port} is no source port")
        total = self._total + source_port + (number >> 16) + (number & 0xFFFF)
        while total > 0xFFFF:
            total = (total & 0xFFFF) + (total >> 16)
        data = bytearray(self._data)
        _HALF.pack_into(data, self._port_at, source_port)
        _WORD.pack_into(data, self._number_at, number)
        # Its complement 0 would mean "no checksum" in UDP; both stand for the same number.
        _HALF.pack_into(data, self._checksum_at, ~total & 0xFFFF or 0xFFFF)
        return bytes(data)


def craft(probe: Probe, signature: Signature) -> Template:
    """The packet of a probe. Raises ValueError for addresses of two families, a wrong port or none."""
    return _template(probe.source, probe.destination, probe.protocol, probe.port, probe.code, signature)


@functools.lru_cache(maxsize=1 << 16)
def _template(
    source_text: str, destination_text: str, name: Protocol, port: int | None, code: int, signature: Signature
) -> Template:
    source, destination = ip_address(source_text), ip_address(destination_text)
    if source.version != destination.version:
        raise ValueError(f"{source} cannot send to {destination}: another IP version")
    six = source.version == 6
    numbered = NUMBERED.pack(signature.value, 0)
    match name:
        case "tcp":
            protocol, port_at, number_at, checksum_at = TCP, 0, 4, 16
            number = _checked(name, port, 65535)
            upper = _TCP.pack(0, number, 0, 0, 5 << 4, SYN, signature.window, 0, signature.urgent)
        case "udp":
            protocol, port_at, number_at, checksum_at = UDP, 0, 12, 6
            upper = _UDP.pack(0, _checked(name, port, 65535), _UDP.size + NUMBERED.size, 0) + numbered
        case "icmp":
            protocol, port_at, number_at, checksum_at = ICMPV6 if six else ICMP, 4, 12, 2
            kind = _checked(name, (ECHO6 if six else ECHO4) if port is None else port, 255)
            upper = _ICMP.pack(kind, _checked(name, code, 255), 0, 0, 0) + numbered
        case _:
            assert_never(name)
    ends = source.packed + destination.packed
    if six:
        head = _IPV6.pack(6 << 28, len(upper), protocol, _HOPS, source.packed, destination.packed)
    else:
        # The kernel fills in identification and header checksum.
        length = _IPV4.size + len(upper)
        head = _IPV4.pack(0x45, 0, length, 0, _DONT_FRAGMENT, _HOPS, protocol, 0, source.packed, destination.packed)
    pseudo = b"" if protocol == ICMP else ends + struct.pack("!II", len(upper), protocol)
    covered = pseudo + upper
    return Template(
        source=source,
        destination=str(destination),
        _data=head + upper,
        _total=sum(struct.unpack(f"!{len(covered) // 2}H", covered)),
        _port_at=len(head) + port_at,
        _number_at=len(head) + number_at,
        _checksum_at=len(head) + checksum_at,
    )


def _checked(name: Protocol, value: int | None, highest: int) -> int:
    if value is None or not 0 <= value <= highest:
        raise ValueError(f"{name} needs a port or type from 0 to {highest}, not {value}")
    return value
