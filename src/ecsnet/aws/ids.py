"""Random identifiers."""

from __future__ import annotations

import os


class RandomIds:
    """Identifiers from the operating system's random numbers; see `ecsnet.services.call.Ids`."""

    __slots__ = ()

    def resource(self, prefix: str) -> str:
        return f"{prefix}-{os.urandom(9).hex()[:17]}"

    def uuid(self) -> str:
        """A version 4 UUID (RFC 9562)."""
        raw = bytearray(os.urandom(16))
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        text = raw.hex()
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"

    def hex(self, digits: int) -> str:
        return os.urandom((digits + 1) // 2).hex()[:digits]
