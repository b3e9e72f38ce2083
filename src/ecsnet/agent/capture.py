"""`python -m ecsnet.agent.capture DEVICE COUNT` in a namespace: frames of a link as pcap on standard output.

Ends after COUNT packets (0: never), on SIGINT or SIGTERM, or when nobody reads; how many there were is the last line on
standard error. The format is that of pcap-savefile(5), with nanoseconds.
"""

from __future__ import annotations

import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO

_ALL = 0x0003
_MAGIC_NANOSECONDS, _ETHERNET = 0xA1B23C4D, 1
_LONGEST = 1 << 18
_BUFFER = 4 << 20
_ETHERNET_HEADER, _IPV4_MOST, _FIN_PSH = 14, 0xFFFF, 0b1001
_TIMESTAMP = 35
"""SO_TIMESTAMPNS."""


class _Ended(Exception):  # noqa: N818 - it is how the user ends it
    """A signal came while waiting for a packet."""


def capture(device: str, count: int, output: BinaryIO) -> int:
    """Write packets of a link of this namespace; the answer is how many. Raises OSError."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        made.setsockopt(socket.SOL_SOCKET, _TIMESTAMP, 1)
        made.bind((device, _ALL))
        output.write(struct.pack("=IHHiIII", _MAGIC_NANOSECONDS, 2, 4, 0, 0, _LONGEST, _ETHERNET))
        output.flush()  # whoever waits for the file sees that packets are being taken down from here on
        seen = 0
        try:
            while not count or seen < count:
                data, ancillary, _flags, _address = made.recvmsg(_LONGEST, 64)
                seconds, nanoseconds = _time(ancillary)
                with _undisturbed():
                    for frame in islice(split_overlong(data), count - seen if count else None):
                        output.write(struct.pack("=IIII", seconds, nanoseconds, len(frame), len(frame)) + frame)
                        seen += 1
                    output.flush()
        except (_Ended, BrokenPipeError):
            pass
        return seen


def split_overlong(frame: bytes) -> Iterator[bytes]:
    """The frame; a TCP one too long for the length field of IPv4 ("BIG TCP", length 0) as several that are not.

    Readers of pcap files before 2023 (tcpdump 4.99.3: "bad-len 0") make nothing of the long one.
    """
    if len(frame) <= _ETHERNET_HEADER + _IPV4_MOST or frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_TCP:
        yield frame
        return
    tcp = _ETHERNET_HEADER + (frame[14] & 15) * 4
    payload = tcp + (frame[tcp + 12] >> 4) * 4
    step = _IPV4_MOST - (payload - _ETHERNET_HEADER)
    (sequence,) = struct.unpack_from("!I", frame, tcp + 4)
    for at in range(payload, len(frame), step):
        data = frame[at : at + step]
        head = bytearray(frame[:payload])
        struct.pack_into("!H", head, 16, payload - _ETHERNET_HEADER + len(data))
        struct.pack_into("!H", head, 24, 0)
        struct.pack_into("!H", head, 24, _checksum(bytes(head[_ETHERNET_HEADER:tcp])))
        struct.pack_into("!I", head, tcp + 4, (sequence + at - payload) & 0xFFFFFFFF)
        if at + step < len(frame):
            head[tcp + 13] &= ~_FIN_PSH
        yield bytes(head) + data


def _checksum(header: bytes) -> int:
    """Of an IPv4 header whose own checksum is 0 (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def _time(ancillary: list[tuple[int, int, bytes]]) -> tuple[int, int]:
    for level, kind, value in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _TIMESTAMP):
            seconds, nanoseconds = struct.unpack("=qq", value)
            return seconds, nanoseconds
    return divmod(time.time_ns(), 1_000_000_000)


class _undisturbed:  # noqa: N801 - reads as a word of the language
    """No signal in the middle of a packet."""

    def __enter__(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))

    def __exit__(self, *_: object) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))


def _end(_number: int, _frame: object) -> None:
    raise _Ended


def main(arguments: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end)
    try:
        seen = capture(arguments[0], int(arguments[1]), sys.stdout.buffer)
    except _Ended:
        seen = 0
    except OSError as error:
        print(f"{arguments[0]}: {error.strerror}", file=sys.stderr)
        return 1
    print(seen, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
