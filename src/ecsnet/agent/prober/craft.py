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

from ecsnet.agent.packet import ICMP, ICMPV6, SYN, TCP, UDP
from ecsnet.hostplan.probes import Probe

FIRST_PORT, LAST_PORT = 32768, 60999
"""What a Linux client would use (net.ipv4.ip_local_port_range), so that network ACLs judge the same ports."""

ECHO4, ECHO6 = 8, 128
NUMBERED = struct.Struct("!II")
"""The payload's signature and number."""

_parsed = functools.lru_cache(maxsize=1 << 16)(ip_address)
_HOPS = 64
_IPV4 = struct.Struct("!BBHHHBBH4s4s")
_IPV6 = struct.Struct("!IHBB16s16s")
_TCP = struct.Struct("!HHIIBBHHH")
_UDP = struct.Struct("!HHHH")
_ICMP = struct.Struct("!BBHHH")
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
class Crafted:
    """A packet ready for a raw socket that includes the IP header."""

    data: bytes
    source: IPv4Address | IPv6Address
    destination: str
    source_port: int
    """For ICMP the echo's identifier."""


def craft(probe: Probe, number: int, source_port: int, signature: Signature) -> Crafted:
    """The packet of a probe. Raises ValueError for addresses of two families, a wrong port or none."""
    source, destination = _parsed(probe.source), _parsed(probe.destination)
    if source.version != destination.version:
        raise ValueError(f"{source} cannot send to {destination}: another IP version")
    ends = source.packed + destination.packed
    six = source.version == 6
    match probe.protocol:
        case "tcp":
            protocol = TCP
            port = _port(probe)
            upper = _TCP.pack(source_port, port, number, 0, 5 << 4, SYN, signature.window, 0, signature.urgent)
            checksum_at = 16
        case "udp":
            protocol = UDP
            upper = _UDP.pack(source_port, _port(probe), 16, 0) + NUMBERED.pack(signature.value, number)
            checksum_at = 6
        case "icmp":
            protocol = ICMPV6 if six else ICMP
            kind = probe.port if probe.port is not None else (ECHO6 if six else ECHO4)
            upper = _ICMP.pack(kind, probe.code, 0, source_port, number & 0xFFFF)
            upper += NUMBERED.pack(signature.value, number)
            checksum_at = 2
    pseudo = b"" if protocol == ICMP else ends + struct.pack("!II", len(upper), protocol)
    total = _checksum(pseudo + upper)
    if protocol == UDP and total == 0:
        total = 0xFFFF
    upper = upper[:checksum_at] + total.to_bytes(2, "big") + upper[checksum_at + 2 :]
    if six:
        head = _IPV6.pack(6 << 28, len(upper), protocol, _HOPS, source.packed, destination.packed)
    else:
        # The kernel fills in the header checksum.
        length, name = _IPV4.size + len(upper), number & 0xFFFF
        head = _IPV4.pack(0x45, 0, length, name, _DONT_FRAGMENT, _HOPS, protocol, 0, source.packed, destination.packed)
    return Crafted(data=head + upper, source=source, destination=str(destination), source_port=source_port)


def _port(probe: Probe) -> int:
    if probe.port is None or not 0 <= probe.port <= 65535:
        raise ValueError(f"{probe.protocol} needs a port from 0 to 65535, not {probe.port}")
    return probe.port


def _checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
