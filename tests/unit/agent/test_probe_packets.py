"""Probes as bytes: valid packets, recognised whatever a translation changes, and by nobody else's prober."""

from __future__ import annotations

import itertools
import struct
from typing import Any

import pytest

from ecsnet.agent.packet import ICMP, ICMPV6, TCP, UDP, parse
from ecsnet.agent.prober.craft import Signature, craft
from ecsnet.agent.prober.recognise import recognise
from ecsnet.hostplan.probes import Probe

OURS = Signature(value=0x12345678)
THEIRS = Signature(value=0x22345678)
ENDS = {4: ("10.0.1.10", "10.0.2.11"), 6: ("2001:db8::a", "2001:db8::b")}


def packet(version: int, protocol: Any, port: int | None = 80, number: int = 0xFFFFFFFF) -> bytes:
    source, destination = ENDS[version]
    probe = Probe(
        number=1, netns="t1", device="eth0", source=source, destination=destination, protocol=protocol, port=port
    )
    return craft(probe, OURS).fill(number, 40000)


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


CASES = list(itertools.product((4, 6), (("tcp", 80), ("udp", 53), ("icmp", None))))


@pytest.mark.parametrize(("version", "what"), CASES)
def test_the_checksum_is_right(version: int, what: tuple[str, int | None]) -> None:
    data = packet(version, *what)
    parsed = parse(data)
    assert parsed is not None
    upper = data[20 if version == 4 else 40 :]
    pseudo = parsed.source + parsed.destination + struct.pack("!II", len(upper), parsed.protocol)
    assert checksum(upper if parsed.protocol == ICMP else pseudo + upper) == 0xFFFF
    assert parsed.length == len(data)
    assert parsed.protocol in (TCP, UDP, ICMP, ICMPV6)


@pytest.mark.parametrize(("version", "what"), CASES)
def test_it_is_recognised_after_translation_and_when_quoted(version: int, what: tuple[str, int | None]) -> None:
    data = bytearray(packet(version, *what))
    upper = 20 if version == 4 else 40
    data[12 : 12 + 4] = b"\x09\x09\x09\x09"  # another source
    data[upper + (4 if what[0] == "icmp" else 0)] ^= 0xFF  # another source port or identifier
    found = recognise(bytes(data), OURS)
    assert found is not None
    assert (found.number, found.reply if what[0] != "udp" else None) == (0xFFFFFFFF, None)
    error = struct.pack("!BBHI", 3 if version == 4 else 1, 1, 0, 0) + bytes(data)
    if version == 4:
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(error), 0, 0, 64, ICMP, 0, bytes(4), bytes(4))
    else:
        head = struct.pack("!IHBB16s16s", 6 << 28, len(error), ICMPV6, 64, bytes(16), bytes(16))
    quoted = recognise(head + error, OURS)
    assert quoted is not None
    assert (quoted.number, quoted.reply) == (0xFFFFFFFF, "unreachable")


@pytest.mark.parametrize(("flags", "kind"), [(0x12, "syn-ack"), (0x14, "reset"), (0x10, None), (0x04, None)])
def test_answers_of_tcp_acknowledge_the_number(flags: int, kind: str | None) -> None:
    data = bytearray(packet(4, "tcp"))
    data[20 + 4 : 20 + 12] = struct.pack("!II", 5, 0)  # acknowledges 2**32 - 1, plus one
    data[20 + 13] = flags
    found = recognise(bytes(data), OURS)
    assert (None if found is None else (found.number, found.reply)) == (None if kind is None else (0xFFFFFFFF, kind))


def test_a_strangers_echo_is_not_ours() -> None:
    assert recognise(packet(4, "icmp", None), THEIRS) is None
    found = recognise(packet(4, "udp", 53), THEIRS)
    assert found is not None
    assert found.number is None


@pytest.mark.parametrize("number", [0, 1, 0xFFFF, 0x10000, 0x12345678])
def test_every_number_has_its_checksum(number: int) -> None:
    data = packet(4, "udp", 53, number)
    assert checksum(data[12:20] + struct.pack("!II", 16, UDP) + data[20:]) == 0xFFFF


@pytest.mark.parametrize("port", [None, -1, 65536])
def test_no_packet_without_a_port(port: int | None) -> None:
    with pytest.raises(ValueError, match="port"):
        packet(4, "tcp", port)
