"""UDP in batches: recvmmsg and sendmmsg by ctypes, without a ctypes object per message.

The kernel's structures are laid out once and seen as arrays of integers. struct mmsghdr is 64 bytes on 64-bit Linux:
name pointer (8), name length (4 + 4), iovec pointer (8), iovec count (8), control (8 + 8), flags (4 + 4),
length (4 + 4).
"""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Callable

BATCH = 64
ROUNDS = 4
"""Batches per visit of a socket; then the next socket has its turn."""
_LARGEST = 4096
_ADDRESS = 32
_ADDRESS_LENGTH = 28

_LIBC = ctypes.CDLL(None, use_errno=True)
_DONTWAIT = socket.MSG_DONTWAIT

Answer = Callable[[bytes], bytes | None]


class UdpBatch:
    """Buffers for one batch, shared by all sockets of the process."""

    def __init__(self) -> None:
        self._received = bytearray(BATCH * _LARGEST)
        self._sending = bytearray(BATCH * _LARGEST)
        self._addresses = bytearray(BATCH * _ADDRESS)
        self._headers_in = bytearray(BATCH * 64)
        self._headers_out = bytearray(BATCH * 64)
        iovecs = bytearray(2 * BATCH * 16)
        self._in32 = memoryview(self._headers_in).cast("I")
        out32, out64 = memoryview(self._headers_out).cast("I"), memoryview(self._headers_out).cast("Q")
        in64, self._iov64 = memoryview(self._headers_in).cast("Q"), memoryview(iovecs).cast("Q")
        self._out32, self._out64 = out32, out64
        received, sending, addresses, vectors = (
            _address(buffer) for buffer in (self._received, self._sending, self._addresses, iovecs)
        )
        self._first_address = addresses
        for i in range(BATCH):
            self._iov64[2 * i], self._iov64[2 * i + 1] = received + i * _LARGEST, _LARGEST
            self._iov64[2 * (BATCH + i)] = sending + i * _LARGEST
            in64[8 * i] = addresses + i * _ADDRESS
            self._in32[16 * i + 2] = _ADDRESS_LENGTH
            in64[8 * i + 2], in64[8 * i + 3] = vectors + 16 * i, 1
            out64[8 * i + 2], out64[8 * i + 3] = vectors + 16 * (BATCH + i), 1
        self._headers_in_address = _address(self._headers_in)
        self._headers_out_address = _address(self._headers_out)

    def serve(self, descriptor: int, answer: Answer) -> None:
        """Answer what waits in a socket, at most `ROUNDS` batches."""
        for _ in range(ROUNDS):
            count = _LIBC.recvmmsg(descriptor, ctypes.c_void_p(self._headers_in_address), BATCH, _DONTWAIT, None)
            if count <= 0:
                return  # nothing there, or an ICMP error of an earlier reply, which the call has consumed
            self._send(descriptor, self._answer(count, answer))
            if count < BATCH:
                return

    def _answer(self, count: int, answer: Answer) -> int:
        """Write the replies to the first `count` packets; how many there are."""
        in32, out32, out64, iov64 = self._in32, self._out32, self._out64, self._iov64
        replies = 0
        for i in range(count):
            start = i * _LARGEST
            reply = answer(bytes(self._received[start : start + in32[16 * i + 14]]))
            name_length = in32[16 * i + 2]
            in32[16 * i + 2] = _ADDRESS_LENGTH  # the kernel shortens it to what the address took
            if reply is None:
                continue
            to = replies * _LARGEST
            self._sending[to : to + len(reply)] = reply
            iov64[2 * (BATCH + replies) + 1] = len(reply)
            out64[8 * replies] = self._first_address + i * _ADDRESS
            out32[16 * replies + 2] = name_length
            replies += 1
        return replies

    def _send(self, descriptor: int, count: int) -> None:
        sent = 0
        while sent < count:
            start = ctypes.c_void_p(self._headers_out_address + 64 * sent)
            done = _LIBC.sendmmsg(descriptor, start, count - sent, _DONTWAIT)
            # One reply that cannot be sent (its asker has gone) must not hold up those behind it.
            sent += done if done > 0 else 1


def _address(buffer: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
