"""Tracked connections with their counters: events as they come, and the whole table of a namespace.

ctnetlink as in linux/netfilter/nfnetlink_conntrack.h. Counters and times need net.netfilter.nf_conntrack_acct and
nf_conntrack_timestamp before a flow begins. Updates are not subscribed: the table says the same at the end of an
interval, for three to five events less per connection.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator

import msgspec

from ecsnet.agent.netlink import NETLINK_NETFILTER, Netlink, Request, attributes

_SUBSYSTEM = 1 << 8
_GET = _SUBSYSTEM | 1
_NEW, _DELETE = _SUBSYSTEM, _SUBSYSTEM | 2
_SOL_NETLINK, _ADD_MEMBERSHIP = 270, 1
_GROUP_NEW, _GROUP_DESTROY = 1, 3
_HEADER = struct.Struct("=IHHII")
_GENERIC = struct.Struct("=BBH")
_TUPLE_ORIGINAL, _PROTOCOL_INFO, _COUNTERS_ORIGINAL, _COUNTERS_REPLY, _ID, _TIMES = 1, 4, 9, 10, 12, 20
_IP, _PROTOCOL = 1, 2
_V4_SOURCE, _V4_DESTINATION, _V6_SOURCE, _V6_DESTINATION = 1, 2, 3, 4
_NUMBER, _SOURCE_PORT, _DESTINATION_PORT, _ICMP_ID, _ICMPV6_ID = 1, 2, 3, 4, 7
_PACKETS, _BYTES = 1, 2
_START, _STOP = 1, 2
_TCP, _TCP_STATE = 1, 1
_BUFFER = 4 << 20
_LONGEST = 65536
_BURST = 4096

Key = tuple[int, bytes, bytes, int, int]
"""Protocol, source, destination and ports of a flow's first packet. For an ICMP echo both "ports" are its identifier,
so that the key turned round is the key of the answer."""


def turned(key: Key) -> Key:
    """The key of the packets that answer."""
    protocol, source, destination, source_port, destination_port = key
    return protocol, destination, source, destination_port, source_port


class Entry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One connection as the kernel describes it."""

    key: Key
    id: int
    counters: tuple[int, int, int, int]
    """Packets and bytes of the original direction, then of the reply direction."""
    started: float | None
    """Epoch seconds."""
    stopped: float | None
    tcp_state: int | None
    ended: bool
    """Whether this is the word of its end."""


class Lost(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Events came faster than they were read."""


class ConntrackEvents:
    """Beginnings and ends of connections. Make it on a thread inside the namespace; read it on one thread."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_NETFILTER
        )
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._socket.bind((0, 0))
            for group in (_GROUP_NEW, _GROUP_DESTROY):
                self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def read(self) -> list[Entry | Lost]:
        """What has come since the last call, in order. Never waits."""
        events: list[Entry | Lost] = []
        while len(events) < _BURST:
            try:
                data = self._socket.recv(_LONGEST)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                events.append(Lost())
                continue
            offset = 0
            while offset + _HEADER.size <= len(data):
                length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, offset)
                if kind in (_NEW, _DELETE):
                    start = offset + _HEADER.size + _GENERIC.size
                    entry = _entry(data[start : offset + length], ended=kind == _DELETE)
                    if entry is not None:
                        events.append(entry)
                offset += (length + 3) & ~3
        return events


class ConntrackTable:
    """The connections of a namespace. Make it on a thread inside the namespace."""

    def __init__(self) -> None:
        self._netlink = Netlink(NETLINK_NETFILTER)

    def entries(self) -> Iterator[Entry]:
        """All of them; walks the machine's one hash table (about 20 ms)."""
        for body in self._netlink.dump(Request(type=_GET, flags=0, body=_GENERIC.pack(0, 0, 0))):
            entry = _entry(body[_GENERIC.size :], ended=False)
            if entry is not None:
                yield entry

    def close(self) -> None:
        self._netlink.__exit__(None, None, None)


def _entry(body: bytes, *, ended: bool) -> Entry | None:
    found = attributes(body)
    key = _key(found.get(_TUPLE_ORIGINAL, b""))
    if key is None:
        return None
    times = attributes(found.get(_TIMES, b""))
    info = attributes(attributes(found.get(_PROTOCOL_INFO, b"")).get(_TCP, b""))
    return Entry(
        key=key,
        id=_number(found, _ID),
        counters=(*_counters(found, _COUNTERS_ORIGINAL), *_counters(found, _COUNTERS_REPLY)),
        started=_time(times, _START),
        stopped=_time(times, _STOP),
        tcp_state=info[_TCP_STATE][0] if _TCP_STATE in info else None,
        ended=ended,
    )


def _key(packed: bytes) -> Key | None:
    parts = attributes(packed)
    addresses = attributes(parts.get(_IP, b""))
    source = addresses.get(_V4_SOURCE) or addresses.get(_V6_SOURCE)
    destination = addresses.get(_V4_DESTINATION) or addresses.get(_V6_DESTINATION)
    if source is None or destination is None:
        return None
    upper = attributes(parts.get(_PROTOCOL, b""))
    for kind in (_ICMP_ID, _ICMPV6_ID):
        if kind in upper:
            identifier = _number(upper, kind)
            return _number(upper, _NUMBER), source, destination, identifier, identifier
    return (
        _number(upper, _NUMBER),
        source,
        destination,
        _number(upper, _SOURCE_PORT),
        _number(upper, _DESTINATION_PORT),
    )


def _counters(found: dict[int, bytes], kind: int) -> tuple[int, int]:
    counters = attributes(found.get(kind, b""))
    return _number(counters, _PACKETS), _number(counters, _BYTES)


def _time(times: dict[int, bytes], kind: int) -> float | None:
    return _number(times, kind) / 1e9 if kind in times else None


def _number(found: dict[int, bytes], kind: int) -> int:
    return int.from_bytes(found.get(kind, b""), "big")
