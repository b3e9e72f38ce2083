"""Reads what filters say about packets (docs/decisions.md): netfilter's log groups of one network namespace.

nfnetlink_log by a plain netlink socket (linux/netfilter/nfnetlink_log.h). The kernel gives every group of a namespace
to one socket only: whoever binds it second is refused (`BusyError`). So every
reading process has groups of its own (docs/decisions.md).

Nothing is lost silently: the kernel numbers the events of a group, and says ENOBUFS when its buffer was full.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Collection

import msgspec

from ecsnet.agent.linkowner import LinkOwners
from ecsnet.agent.netlink import NETLINK_NETFILTER, NLM_F_ACK, NLM_F_REQUEST, attribute

DROPS, ACCEPTS = 1, 2
PROBER_DROPS, PROBER_ACCEPTS = 3, 4
"""The groups of docs/decisions.md: the same words twice, because a group has one reader."""

_SUBSYSTEM = 4 << 8
_PACKET, _CONFIG = _SUBSYSTEM, _SUBSYSTEM | 1
_CONFIG_COMMAND, _CONFIG_MODE, _CONFIG_TIMEOUT, _CONFIG_THRESHOLD, _CONFIG_FLAGS = 1, 2, 4, 5, 6
_BIND, _COPY_PACKET, _NUMBERED = 1, 2, 1
_MARK, _IN, _OUT, _PAYLOAD, _PREFIX, _SEQUENCE = 2, 4, 5, 9, 10, 12
_NUMBERS = frozenset((_MARK, _IN, _OUT, _SEQUENCE))
_ERROR = 2
_HEADER = struct.Struct("=IHHII")
_GENERIC = struct.Struct("!BBH")
_ATTRIBUTE = struct.Struct("=HH")
_BIG = struct.Struct("!I")
_BUFFER = 4 << 20
"""Bytes; more than net.core.rmem_max is not given to an ordinary user. An event takes about 700 of them."""
_LONGEST = 65536 + 512
_BURST = 4096
"""Events of one `read`, so that a flood cannot keep its caller from everything else."""


class Logged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A filter's word about one packet."""

    netns: str
    group: int
    prefix: str
    """`D sg-in eni-…`, `A sgr-…`. The filters write `D sg-in` alone; whose link it is, the reader adds."""
    mark: int
    """The packet's mark at that point (a router writes the source's subnet into it)."""
    in_link: int
    """Interface index in `netns`; 0 when the packet did not come from (or does not leave by) a link."""
    out_link: int
    payload: bytes
    """The packet from its IP header on, cut off by the rule's `snaplen`."""


class Missed(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Events that were not read because they came faster than they were."""

    netns: str
    group: int | None
    """None: the kernel says that its buffer was full; whose events they were, the next number of a group tells."""
    count: int | None


LogEvent = Logged | Missed


class BusyError(OSError):
    """Another socket reads this group of this namespace."""


class LogReader:
    """The log groups of a namespace. Make it on a thread inside the namespace; read it anywhere, on one thread.

    Raises BusyError, OSError.
    """

    def __init__(self, netns: str, groups: Collection[int] = (DROPS, ACCEPTS)) -> None:
        self._netns = netns
        self._next: dict[int, int] = {}
        self._early: list[LogEvent] = []
        self._owners = LinkOwners()
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_NETFILTER
        )
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            self._socket.bind((0, 0))
            for group in groups:
                self._bind(group)
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()
        self._owners.close()

    def read(self) -> list[LogEvent]:
        """What has come since the last call, in order; empty when nothing has. Never waits."""
        events, self._early = self._early, []
        while len(events) < _BURST:
            try:
                data = self._socket.recv(_LONGEST)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                events.append(Missed(netns=self._netns, group=None, count=None))
                continue
            self._take(data, events)
        return events

    def _take(self, data: bytes, events: list[LogEvent]) -> None:
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data, offset)
            if kind == _PACKET:
                self._event(data, offset + _HEADER.size, offset + length, events)
            offset += (length + 3) & ~3

    def _event(self, data: bytes, start: int, end: int, events: list[LogEvent]) -> None:
        _family, _version, group = _GENERIC.unpack_from(data, start)
        numbers: dict[int, int] = {}
        prefix = payload = b""
        offset = start + _GENERIC.size
        while offset < end:  # by hand: this runs a hundred thousand times a second
            length, kind = _ATTRIBUTE.unpack_from(data, offset)
            if kind in _NUMBERS:
                (numbers[kind],) = _BIG.unpack_from(data, offset + _ATTRIBUTE.size)
            elif kind == _PAYLOAD:
                payload = data[offset + _ATTRIBUTE.size : offset + length]
            elif kind == _PREFIX:
                prefix = data[offset + _ATTRIBUTE.size : offset + length - 1]
            offset += (length + 3) & ~3
        number, expected = numbers[_SEQUENCE], self._next.get(group, 0)
        if number != expected:
            events.append(Missed(netns=self._netns, group=group, count=(number - expected) & 0xFFFFFFFF))
        self._next[group] = (number + 1) & 0xFFFFFFFF
        events.append(
            Logged(
                netns=self._netns,
                group=group,
                prefix=self._words(prefix.decode(), numbers),
                mark=numbers.get(_MARK, 0),
                in_link=numbers.get(_IN, 0),
                out_link=numbers.get(_OUT, 0),
                payload=payload,
            )
        )

    def _words(self, prefix: str, numbers: dict[int, int]) -> str:
        """The rule that ends a set of groups is shared by all ports that have it: the link says which one it was."""
        match prefix:
            case "D sg-in":
                return f"{prefix} {self._owners.owner(numbers.get(_OUT, 0))}".rstrip()
            case "D sg-out":
                return f"{prefix} {self._owners.owner(numbers.get(_IN, 0))}".rstrip()
            case _:
                return prefix

    # ── configuration ────────────────────────────────────────────────────────────────────────────────────────────

    def _bind(self, group: int) -> None:
        self._configure(group, attribute(_CONFIG_COMMAND, bytes([_BIND])))
        # Without a threshold of one the kernel collects events for up to a second.
        self._configure(
            group,
            attribute(_CONFIG_MODE, struct.pack("!IBB", 0, _COPY_PACKET, 0))
            + attribute(_CONFIG_THRESHOLD, _BIG.pack(1))
            + attribute(_CONFIG_TIMEOUT, _BIG.pack(1))
            + attribute(_CONFIG_FLAGS, struct.pack("!H", _NUMBERED)),
        )

    def _configure(self, group: int, body: bytes) -> None:
        generic = _GENERIC.pack(socket.AF_UNSPEC, 0, group)
        length = _HEADER.size + len(generic) + len(body)
        self._socket.send(_HEADER.pack(length, _CONFIG, NLM_F_REQUEST | NLM_F_ACK, 0, 0) + generic + body)
        while True:
            data = self._socket.recv(_LONGEST)  # the answer is there when `send` returns
            _length, kind, _flags, _sequence, _port = _HEADER.unpack_from(data)
            if kind == _ERROR:
                break
            self._take(data, self._early)
        (code,) = struct.unpack_from("=i", data, _HEADER.size)
        if -code in (errno.EPERM, errno.EBUSY):
            raise BusyError(errno.EBUSY, f"log group {group} of {self._netns} has another reader")
        if code:
            raise OSError(-code, f"log group {group} of {self._netns}: {os.strerror(-code)}")
