"""The prober's open sockets by namespace: senders, taps and log readers, kept for the next batch.

A socket keeps its namespace alive, and with it the links that should go, so they are closed soon after the last batch
and as soon as a namespace is no longer pinned.
"""

from __future__ import annotations

import os
import select
import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from typing import Literal, TypeVar

from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.agent.nflog import PROBER_ACCEPTS, PROBER_DROPS, LogReader
from ecsnet.agent.prober import bpf
from ecsnet.agent.prober.craft import Signature

_BUFFER = 4 << 20
"""Bytes; the kernel gives an ordinary user at most net.core.rmem_max. A packet takes about 800 of them."""
_EXCERPT = 160
"""Bytes of a captured packet that are read: both headers of an ICMPv6 error and the number behind them."""
_BURST = 1024
_ETHERTYPES = {4: 0x0800, 6: 0x86DD}
_FREEBIND = {4: (socket.SOL_IP, 15), 6: (socket.IPPROTO_IPV6, 78)}
_SOL_PACKET, _PACKET_STATISTICS = 263, 6

Role = Literal["arrival", "answer"]


@dataclass(slots=True, kw_only=True)
class TapPoint:
    """A packet socket behind the kernel's filter."""

    netns: str
    role: Role
    socket: socket.socket

    def read(self) -> list[bytes]:
        """What came since the last call, each packet's beginning. Never waits."""
        found: list[bytes] = []
        receive = self.socket.recv
        try:
            while len(found) < _BURST:
                found.append(receive(_EXCERPT))
        except BlockingIOError:
            pass
        return found

    def missed(self) -> int:
        """Packets that the kernel dropped since the last call because nobody read."""
        return int.from_bytes(self.socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)[4:8], "little")


@dataclass(slots=True, kw_only=True)
class LogPoint:
    netns: str
    reader: LogReader


Point = TapPoint | LogPoint
P = TypeVar("P", TapPoint, LogPoint)


@dataclass(slots=True, kw_only=True)
class _Open:
    """What is open in one namespace."""

    pin: tuple[int, int]
    senders: dict[str, socket.socket] = field(default_factory=dict)
    taps: dict[tuple[str, int, Role], TapPoint] = field(default_factory=dict)
    log: LogPoint | None = None


class Points:
    """Opens on demand; one thread."""

    def __init__(self, files: NamespaceFiles, signature: Signature) -> None:
        self._files = files
        self._signature = signature
        self._poll = select.epoll()
        self._open: dict[str, _Open] = {}
        self._points: dict[int, Point] = {}

    @property
    def all(self) -> list[Point]:
        return list(self._points.values())

    def sender(self, netns: str, source: IPv4Address | IPv6Address) -> socket.socket:
        """A raw socket whose packets carry their IP header and are routed as those of `source`.

        Raises FileNotFoundError, OSError.
        """
        opened, key = self._namespace(netns), str(source)
        made = opened.senders.get(key)
        if made is None:
            family = socket.AF_INET if source.version == 4 else socket.AF_INET6
            with self._files.inside(netns):
                made = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
            made.setsockopt(*_FREEBIND[source.version], 1)
            made.bind((key, 0))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
            opened.senders[key] = made
        return made

    def tap(self, netns: str, device: str, version: int, role: Role) -> None:
        """Look at what comes in at a link ("": at any). Raises FileNotFoundError, OSError."""
        opened, key = self._namespace(netns), (device, version, role)
        if key in opened.taps:
            return
        steps = bpf.arrivals(version, self._signature) if role == "arrival" else bpf.answers(version)
        # Bound to one link where possible: kernels before 6.16 offer every packet of the machine to the others.
        # Protocol 0 until then: nothing is received before the filter is in place.
        protocol = 0 if device else socket.htons(_ETHERTYPES[version])
        with self._files.inside(netns):
            made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, protocol)
        try:
            bpf.attach(made, bpf.assemble(steps))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            if device:
                made.bind((device, _ETHERTYPES[version]))
        except OSError as error:
            made.close()
            raise OSError(error.errno, f"{device} in {netns}: {error.strerror}") from error
        opened.taps[key] = self._watch(made.fileno(), TapPoint(netns=netns, role=role, socket=made))

    def log(self, netns: str) -> None:
        """Read what the filters of a namespace say. Raises BusyError, FileNotFoundError, OSError."""
        opened = self._namespace(netns)
        if opened.log is None:
            with self._files.inside(netns):
                reader = LogReader(netns, (PROBER_DROPS, PROBER_ACCEPTS))
            opened.log = self._watch(reader.fileno(), LogPoint(netns=netns, reader=reader))

    def ready(self, seconds: float) -> list[Point]:
        """The points that have something to read; waits at most so long for the first."""
        return [self._points[number] for number, _events in self._poll.poll(seconds)]

    def sweep(self) -> None:
        """Close what is open in namespaces that were unpinned or made anew."""
        for netns in [netns for netns, opened in self._open.items() if self._pin(netns) != opened.pin]:
            self._close(netns)

    def close(self) -> None:
        """Close everything; it opens again on demand."""
        for netns in list(self._open):
            self._close(netns)

    def _watch(self, descriptor: int, point: P) -> P:
        self._poll.register(descriptor, select.EPOLLIN)
        self._points[descriptor] = point
        return point

    def _namespace(self, netns: str) -> _Open:
        opened = self._open.get(netns)
        if opened is None:
            pin = self._pin(netns)
            if pin is None:
                raise FileNotFoundError(f"there is no namespace {netns}")
            opened = self._open[netns] = _Open(pin=pin)
        return opened

    def _pin(self, netns: str) -> tuple[int, int] | None:
        try:
            found = os.stat(self._files.path(netns))
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _close(self, netns: str) -> None:
        opened = self._open.pop(netns)
        for sender in opened.senders.values():
            sender.close()
        for tap in opened.taps.values():
            del self._points[tap.socket.fileno()]
            tap.socket.close()
        if opened.log is not None:
            del self._points[opened.log.reader.fileno()]
            opened.log.reader.close()
