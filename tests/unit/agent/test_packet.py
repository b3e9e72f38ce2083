"""Headers of packets, whole and cut off."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest

from ecsnet.agent.packet import ACK, ICMP, ICMPV6, OVERLONG, SYN, TCP, UDP, parse

A, B = IPv4Address("10.0.1.10"), IPv4Address("10.0.2.11")
A6, B6 = IPv6Address("2600::a"), IPv6Address("2600::b")


def ipv4(protocol: int, upper: bytes, fragment: int = 0, options: bytes = b"") -> bytes:
    words, length = 5 + len(options) // 4, 20 + len(options) + len(upper)
    head = struct.pack("!BBHHHBBH4s4s", 4 << 4 | words, 0, length, 7, fragment, 64, protocol, 0, A.packed, B.packed)
    return head + options + upper


def ipv6(protocol: int, upper: bytes) -> bytes:
    return struct.pack("!IHBB16s16s", 6 << 28, len(upper), protocol, 64, A6.packed, B6.packed) + upper


def tcp(flags: int = SYN) -> bytes:
    return struct.pack("!HHIIBBHHH", 40000, 443, 77, 78, 5 << 4, flags, 1024, 0, 0)


def test_tcp() -> None:
    packet = parse(ipv4(TCP, tcp(SYN | ACK), options=bytes(4)))
    assert packet is not None
    assert (packet.source_address, packet.destination_address, packet.version) == (A, B, 4)
    assert (packet.source_port, packet.destination_port, packet.flags) == (40000, 443, SYN | ACK)
    assert (packet.sequence, packet.acknowledgement, packet.payload, packet.length) == (77, 78, 44, 44)


def test_a_packet_too_long_for_its_header() -> None:
    whole = ipv4(TCP, tcp())
    packet = parse(whole[:2] + b"\0\0" + whole[4:])
    assert packet is not None
    assert packet.length == OVERLONG


def test_an_icmp_error_quotes_eight_bytes_of_tcp() -> None:
    packet = parse(ipv4(ICMP, struct.pack("!BBHI", 3, 13, 0, 0) + ipv4(TCP, tcp()[:8])))
    assert packet is not None
    assert packet.quoted is not None
    assert (packet.type, packet.code, packet.identifier) == (3, 13, None)
    assert (packet.quoted.source_port, packet.quoted.destination_port, packet.quoted.sequence) == (40000, 443, 77)
    assert packet.quoted.acknowledgement is None


def test_an_echo_has_an_identifier() -> None:
    packet = parse(ipv6(ICMPV6, struct.pack("!BBHHH", 128, 0, 0, 5, 6) + b"data"))
    assert packet is not None
    assert (packet.type, packet.identifier, packet.sequence, packet.quoted) == (128, 5, 6, None)
    assert (packet.source_address, packet.version, packet.payload) == (A6, 6, 48)


def test_ipv6_extension_headers_are_skipped() -> None:
    datagram = struct.pack("!HHHH", 1, 2, 8, 0)
    hop_by_hop = bytes([44, 0, 1, 4, 0, 0, 0, 0])
    fragment = bytes([UDP, 0, 0, 0, 0, 0, 0, 1])
    packet = parse(ipv6(0, hop_by_hop + fragment + datagram))
    assert packet is not None
    assert (packet.protocol, packet.source_port, packet.destination_port) == (UDP, 1, 2)


def test_a_later_fragment_has_no_ports() -> None:
    packet = parse(ipv4(UDP, bytes(64), fragment=3))
    assert packet is not None
    assert (packet.fragment, packet.source_port) == (24, None)


@pytest.mark.parametrize("whole", [ipv4(TCP, tcp()), ipv6(ICMPV6, bytes([1, 0, 0, 0, 0, 0, 0, 0]) + ipv6(TCP, tcp()))])
def test_any_cut_is_survived(whole: bytes) -> None:
    for length in range(len(whole)):
        packet = parse(whole[:length])
        assert packet is None or packet.protocol in (TCP, ICMPV6)


def test_what_is_not_ip() -> None:
    assert parse(b"\x00\x01\x08\x00" * 8) is None
