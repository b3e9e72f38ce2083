"""Classic BPF programs (linux/filter.h) that let only probes, or only possible answers, through to a packet socket.

Offsets count from the IP header: the sockets are SOCK_DGRAM. IPv6 extension headers are not followed; probes have none.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence

from ecsnet.agent.packet import ACK, ICMP, ICMPV6, RST, SYN, TCP, UDP
from ecsnet.agent.prober.craft import Signature

SO_ATTACH_FILTER = 26

_LOAD_HALF, _LOAD_BYTE = 0x28, 0x30  # BPF_LD + size + BPF_ABS
_LOAD_WORD_X, _LOAD_HALF_X, _LOAD_BYTE_X = 0x40, 0x48, 0x50  # … + BPF_IND
_INDEX_HEADER, _INDEX = 0xB1, 0x01  # BPF_LDX: 4 * (byte & 15), or a constant
_AND, _EQUAL, _ANY_BIT, _RETURN = 0x54, 0x15, 0x45, 0x06
_WHOLE = 0xFFFF

Step = tuple[int, int, str | None, str | None] | str
"""Operation, constant, label if true, label if false (None: the next); or a label."""


def arrivals(version: int, signature: Signature) -> list[Step]:
    """Probes: a SYN, datagram or ICMP message with the signature."""
    return [
        *_by_protocol(version),
        "tcp",
        (_LOAD_BYTE_X, 13, None, None),
        (_EQUAL, SYN, None, "no"),
        (_LOAD_HALF_X, 14, None, None),
        (_EQUAL, signature.window, None, "no"),
        (_LOAD_HALF_X, 18, None, None),
        (_EQUAL, signature.urgent, "yes", "no"),
        "udp",
        "icmp",
        (_LOAD_WORD_X, 8, None, None),
        (_EQUAL, signature.value, "yes", "no"),
        *_ends(),
    ]


def answers(version: int) -> list[Step]:
    """What may answer a probe: SYN-ACK, RST, any datagram, any ICMP message."""
    return [
        *_by_protocol(version),
        "tcp",
        (_LOAD_BYTE_X, 13, None, None),
        (_ANY_BIT, RST, "yes", None),
        (_AND, SYN | ACK, None, None),
        (_EQUAL, SYN | ACK, "yes", "no"),
        "udp",
        "icmp",
        *_ends(),
    ]


def _by_protocol(version: int) -> list[Step]:
    if version == 4:
        head: list[Step] = [
            (_LOAD_HALF, 6, None, None),
            (_ANY_BIT, 0x1FFF, "no", None),  # a later fragment has no upper header
            (_INDEX_HEADER, 0, None, None),
            (_LOAD_BYTE, 9, None, None),
        ]
    else:
        head = [(_INDEX, 40, None, None), (_LOAD_BYTE, 6, None, None)]
    return [
        *head,
        (_EQUAL, TCP, "tcp", None),
        (_EQUAL, UDP, "udp", None),
        (_EQUAL, ICMP if version == 4 else ICMPV6, "icmp", "no"),
    ]


def _ends() -> list[Step]:
    return ["yes", (_RETURN, _WHOLE, None, None), "no", (_RETURN, 0, None, None)]


def assemble(steps: Sequence[Step]) -> bytes:
    """The program as an array of struct sock_filter."""
    places: dict[str, int] = {}
    at = 0
    for step in steps:
        if isinstance(step, str):
            places[step] = at
        else:
            at += 1
    program = bytearray()
    at = 0
    for step in steps:
        if isinstance(step, str):
            continue
        at += 1
        operation, constant, yes, no = step
        jumps = (0 if label is None else places[label] - at for label in (yes, no))
        program += struct.pack("=HBBI", operation, *jumps, constant)
    return bytes(program)


def attach(made: socket.socket, program: bytes) -> None:
    """Give the socket the program. Raises OSError."""
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(buffer))  # struct sock_fprog: count, pointer
    made.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)
