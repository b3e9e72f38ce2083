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
from typing import BinaryIO

_ALL = 0x0003
_MAGIC_NANOSECONDS, _ETHERNET = 0xA1B23C4D, 1
_LONGEST = 1 << 18
_BUFFER = 4 << 20
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
                    output.write(struct.pack("=IIII", seconds, nanoseconds, len(data), len(data)) + data)
                    output.flush()
                seen += 1
        except (_Ended, BrokenPipeError):
            pass
        return seen


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
