"""Frames as a capture writes them."""

from __future__ import annotations

import struct

import pytest

from ecsnet.agent.capture import split_overlong
from ecsnet.agent.packet import ACK, FIN, PSH, TCP, parse

ETHERNET = bytes(12) + b"\x08\x00"


def frame(data: bytes, flags: int, sequence: int, options: int = 12) -> bytes:
    words = 5 + options // 4
    length = 20 + words * 4 + len(data)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length if length < 1 << 16 else 0, 7, 0, 64, TCP, 0, bytes(4), bytes(4))
    return (
        ETHERNET + ip + struct.pack("!HHIIBBHHH", 1, 2, sequence, 9, words << 4, flags, 1, 0, 0) + bytes(options) + data
    )


@pytest.mark.parametrize("size", [0, 65_483, 65_484, 131_000])
def test_every_frame_has_its_length_and_the_stream_is_whole(size: int) -> None:
    data = bytes(n % 251 for n in range(size))
    sequence = 0xFFFFFFFF - 1000
    written = list(split_overlong(frame(data, ACK | PSH | FIN, sequence)))
    found, expected = b"", sequence
    for number, one in enumerate(written, 1):
        packet = parse(one[14:])
        assert packet is not None
        assert packet.payload is not None
        assert packet.length == len(one) - 14 == struct.unpack_from("!H", one, 16)[0]
        assert len(written) == 1 or sum(struct.unpack_from("!10H", one, 14)) % 0xFFFF == 0  # the header's checksum
        assert packet.sequence == expected
        assert packet.flags == (ACK | PSH | FIN if number == len(written) else ACK)
        found += one[14 + packet.payload :]
        expected = (expected + len(one) - 14 - packet.payload) & 0xFFFFFFFF
    assert found == data
    assert len(written) == (1 if size <= 65_483 else -(-size // 65_483))


def test_what_is_no_tcp_over_ipv4_stays_as_it_is() -> None:
    for whole in (bytes(12) + b"\x86\xdd" + bytes(100_000), ETHERNET + bytes(100_000)):
        assert list(split_overlong(whole)) == [whole]
