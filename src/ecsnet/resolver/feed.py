"""What agent and resolver say to each other, and the snapshot file from which the resolver starts alone.

Frames of msgpack on a UNIX stream socket. One `Update` is one visible step: the loop applies it between two packets.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from ecsnet.hostplan.names import DnsRecords, DnsView

Item = DnsView | DnsRecords

VERSION = b"\x01"
"""First byte of the snapshot file; a file of another version is ignored and written anew."""


class Message(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    pass


class Update(Message, frozen=True, kw_only=True, gc=False, tag=True):
    """Make or replace views and record sets, remove keys."""

    id: int
    put: tuple[Item, ...] = ()
    remove: tuple[str, ...] = ()


class Dump(Message, frozen=True, kw_only=True, gc=False, tag=True):
    """Say everything that is served."""

    id: int


class Failed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    key: str
    text: str


class Updated(Message, frozen=True, kw_only=True, gc=False, tag=True):
    """An update is in force, except for what failed."""

    id: int
    failures: tuple[Failed, ...] = ()


class Dumped(Message, frozen=True, kw_only=True, gc=False, tag=True):
    id: int
    items: tuple[Item, ...]


Request = Update | Dump
Reply = Updated | Dumped

ENCODER = msgspec.msgpack.Encoder()
REQUESTS: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
REPLIES: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)
_ITEMS: msgspec.msgpack.Decoder[tuple[Item, ...]] = msgspec.msgpack.Decoder(tuple[Item, ...])


def write_snapshot(path: Path, items: Iterable[Item]) -> None:
    """Write everything that is served; the file is whole or the old one. Raises OSError."""
    temporary = path.with_suffix(".new")
    temporary.write_bytes(VERSION + ENCODER.encode(tuple(items)))
    temporary.replace(path)


def read_snapshot(path: Path) -> tuple[Item, ...]:
    """What the file holds; nothing when there is none, or one that this version cannot read."""
    try:
        body = path.read_bytes()
    except FileNotFoundError:
        return ()
    if body[:1] != VERSION:
        return ()
    try:
        return _ITEMS.decode(body[1:])
    except msgspec.MsgspecError:
        return ()
