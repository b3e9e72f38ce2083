"""The sockets of one router's namespace, and the table that they fill."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Callable

from ecsnet.agent.driver import Namespaces
from ecsnet.agent.flows.conntrack import ConntrackEvents, ConntrackTable, Lost
from ecsnet.agent.flows.table import FlowTable
from ecsnet.agent.nflog import ACCEPTS, Logged, LogReader, Missed
from ecsnet.hostplan.flows import Interval, Part

_SIOCGIFNAME = 0x8910
_REQUEST = struct.Struct("16si20x")
_ROUNDS = 16
"""Of one `read`, so that a flood does not keep it for ever."""


class RouterFlows:
    """Reads one router. Raises FileNotFoundError when there is no such namespace, BusyError when its log groups have
    another reader, OSError while its namespace is being made."""

    def __init__(self, name: str, namespaces: Namespaces, clock: Callable[[], float]) -> None:
        self.name = name
        self._clock = clock
        self._missed = False
        with namespaces.inside(name):
            self._links = _Links()
            # The log first: what it admits before the events are heard waits in the table.
            self.log = LogReader(name)
            self.events = ConntrackEvents()
            self._connections = ConntrackTable()
        self._table = FlowTable(self._links.name, clock())
        for entry in self._connections.entries():
            self._table.begin(entry)

    def read(self, *, live: bool) -> list[Part]:
        """Take what was decided since the last call; with `live`, say it too."""
        now = self._clock()
        connections = self.events.read()
        denials: list[Logged] = []
        # A connection is announced behind its first packet's last filter, and what is denied in its middle comes after
        # that. So the log must be read after the announcements for the ones, and before them for the others.
        for _round in range(_ROUNDS):
            logged = self.log.read()
            for event in logged:
                if isinstance(event, Missed):
                    self._missed = True
                elif event.group == ACCEPTS:
                    self._table.admitted(event)
                else:
                    denials.append(event)
            if not logged:
                break
            connections += self.events.read()
        parts: list[Part] = []
        for entry in connections:
            if isinstance(entry, Lost):
                self._missed = True
            elif (begun := self._table.connection(entry, now)) is not None and live:
                parts.append(begun.first_packet())
        for event in denials:
            denied = self._table.denied(event, now)
            if denied is not None and live:
                parts.append(denied.last_packet())
        return parts

    def interval(self, *, live: bool) -> tuple[Interval, list[Part]]:
        """End the interval; the second part is what `read` would have given."""
        self._table.refresh(list(self._connections.entries()))
        parts = self.read(live=live)
        now = self._clock()
        start, told = self._table.interval(now)
        missed, self._missed = self._missed, False
        return Interval(router=self.name, start=start, end=now, parts=told, missed=missed), parts

    def close(self) -> None:
        """Let go of the namespace: a netlink socket keeps one alive."""
        self.log.close()
        self.events.close()
        self._connections.close()
        self._links.close()


class _Links:
    """Names of the namespace's links. Indexes are not used twice in the life of a namespace."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._names: dict[int, str] = {0: ""}

    def name(self, index: int) -> str:
        known = self._names.get(index)
        if known is None:
            try:
                answer = fcntl.ioctl(self._socket, _SIOCGIFNAME, _REQUEST.pack(b"", index))
            except OSError:
                return ""  # gone by now
            known = self._names[index] = _REQUEST.unpack(answer)[0].rstrip(b"\0").decode()
        return known

    def close(self) -> None:
        self._socket.close()
