"""Length-prefixed frames on a stream: a big-endian u32 length, then that many bytes (msgpack everywhere in ecsnet)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_LENGTH = struct.Struct(">I")
LARGEST = 256 * 1024 * 1024
"""Bytes. A longer frame means that the peer speaks something else; the whole plan of 10,000 interfaces is a tenth."""


def frame(body: bytes) -> bytes:
    """One frame ready to send."""
    return _LENGTH.pack(len(body)) + body


class Frames:
    """Collects received bytes and gives back whole frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that `data` completes. Raises ValueError on a length above `LARGEST`."""
        self._buffer += data
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > LARGEST:
                raise ValueError(f"a frame of {length} bytes is longer than {LARGEST}")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield body
