"""One message of a data channel, as bytes (amazon-ssm-agent, session/contracts/agentmessage.go, documents the fields).

| length of the header | type (32, padded) | schema version | created (ms) | sequence number | flags | id (16) |
| SHA-256 of the payload | kind of the payload | length of the payload | payload |
"""

from __future__ import annotations

import enum
import hashlib
import struct
import uuid
from dataclasses import dataclass

INPUT, OUTPUT, ACKNOWLEDGE, CLOSED = "input_stream_data", "output_stream_data", "acknowledge", "channel_closed"

_HEAD = struct.Struct(">I32sIQqQ16s32sII")
_AFTER_LENGTH = 4
"""The header's length does not count the length of the payload, its last field."""
_SCHEMA = 1


class Kind(enum.IntEnum):
    """What the payload of a stream message is."""

    NONE = 0
    TEXT = 1
    """Bytes of the terminal, in both directions."""
    SIZE = 3
    HANDSHAKE_REQUEST = 5
    HANDSHAKE_RESPONSE = 6
    HANDSHAKE_COMPLETE = 7
    FLAG = 10


FIRST, LAST = 1, 2
"""Flags: the first and the last message of a sequence."""


class MessageError(ValueError):
    """The bytes are no message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    type: str
    payload: bytes
    kind: int = Kind.NONE
    sequence: int = 0
    flags: int = 0
    id: uuid.UUID
    created: int
    """Milliseconds since the epoch."""


def encode(message: Message) -> bytes:
    head = _HEAD.pack(
        _HEAD.size - _AFTER_LENGTH,
        message.type.encode().ljust(32),
        _SCHEMA,
        message.created,
        message.sequence,
        message.flags,
        _halves_swapped(message.id.bytes),
        hashlib.sha256(message.payload).digest(),
        message.kind,
        len(message.payload),
    )
    return head + message.payload


def decode(data: bytes) -> Message:
    """Raises MessageError. The digest is not compared, as AWS's agent does not: some clients send another one."""
    if len(data) < _HEAD.size:
        raise MessageError("shorter than a header")
    length, name, _schema, created, sequence, flags, identity, _digest, kind, size = _HEAD.unpack_from(data)
    start = length + _AFTER_LENGTH
    if start < _HEAD.size or len(data) - start != size:
        raise MessageError("the lengths do not fit")
    return Message(
        type=name.strip(b"\0 ").decode("ascii", "replace"),
        payload=data[start:],
        kind=kind,
        sequence=sequence,
        flags=flags,
        id=uuid.UUID(bytes=_halves_swapped(identity)),
        created=created,
    )


def _halves_swapped(identity: bytes) -> bytes:
    """On the wire the less significant half of an id comes first."""
    return identity[8:] + identity[:8]
