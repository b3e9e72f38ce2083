"""A batch of probes: send, read what sockets and log groups show, end each probe by evidence or by the deadline."""

from __future__ import annotations

import errno
import functools
import itertools
import os
import socket
import time
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Final

from ecsnet.agent.namespaces import NamespaceFiles
from ecsnet.agent.netlink import address_text
from ecsnet.agent.nflog import Logged
from ecsnet.agent.packet import Packet
from ecsnet.agent.prober.craft import FIRST_PORT, LAST_PORT, Signature, craft
from ecsnet.agent.prober.points import LogPoint, Points, TapPoint
from ecsnet.agent.prober.recognise import Found, recognise
from ecsnet.agent.prober.route import look_up
from ecsnet.hostplan.probes import Decision, Direction, Probe, ProbeBatch, ProbeReports, Reply, Report, RouteSeen

_CHUNK = 64
"""Packets between two looks at what they caused: their events must fit every buffer."""
_text = functools.lru_cache(maxsize=1 << 16)(address_text)
"""A batch has few addresses and many packets."""


class _Word:
    """A filter's word about a packet of a probe."""

    __slots__ = ("direction", "event", "packet")

    def __init__(self, event: Logged, packet: Packet, direction: Direction) -> None:
        self.event: Final = event
        self.packet: Final = packet
        self.direction: Final = direction


class _Flight:
    """What is known of a probe so far."""

    __slots__ = ("accepted", "arrived", "done", "dropped", "error", "probe", "reply", "source", "source_port")

    def __init__(self, probe: Probe, source: bytes, source_port: int) -> None:
        self.probe: Final = probe
        self.source: Final = source
        self.source_port: Final = source_port
        self.arrived: list[str] = []
        self.reply: Reply | None = None
        self.dropped: list[_Word] = []
        self.accepted: list[_Word] = []
        self.error: str | None = None
        self.done = False

    def is_answer(self, packet: Packet) -> bool:
        """Whether a datagram that carries the probe's number is its echo and not the probe, translated or not.

        A probe to the sender's own public address comes back to the sender, and its port tells it from the echo.
        """
        if packet.destination == self.source and packet.destination_port != self.probe.port:
            return True
        return not (packet.source == self.source or packet.destination_port == self.probe.port)


class Engine:
    """Runs batches one after another. Numbers are never used again within four thousand million probes."""

    def __init__(self, files: NamespaceFiles) -> None:
        self._files = files
        self._signature = Signature()
        self.points = Points(files, self._signature)
        self._numbers = itertools.count(int.from_bytes(os.urandom(4), "big"))
        self._ports = itertools.cycle(range(FIRST_PORT, LAST_PORT + 1))

    def run(self, batch: ProbeBatch) -> ProbeReports:
        """Send the batch and report. What is to be watched in a namespace that is not there is left out: nothing can
        happen in it. Raises BusyError, OSError about the other places to watch.
        """
        self.points.sweep()
        versions = {6 if ":" in probe.source else 4 for probe in batch.probes}
        for netns in filter(self._files.exists, batch.deciders):
            self.points.log(netns)
        arrivals = [tap for tap in batch.arrivals if self._files.exists(tap.netns)]
        for tap, version in itertools.product(arrivals, versions):
            self.points.tap(tap.netns, tap.device, version, "arrival")
        return _Run(batch, self).go()

    def prepare(self, probe: Probe) -> tuple[int, bytes, str, _Flight]:
        """A probe's number, packet, destination and flight. Raises ValueError."""
        number = next(self._numbers) & 0xFFFFFFFF
        port = probe.source_port if probe.source_port is not None else next(self._ports)
        template = craft(probe, self._signature)
        data = template.fill(number, port)
        return number, data, template.destination, _Flight(probe, template.source.packed, port)

    def sender(self, netns: str, device: str, source: str) -> socket.socket:
        """The socket that sends from an address, with a tap where answers come back. Raises OSError."""
        address = ip_address(source)
        self.points.tap(netns, device, address.version, "answer")
        return self.points.sender(netns, address)

    def recognise(self, data: bytes) -> Found | None:
        return recognise(data, self._signature)

    def link_name(self, netns: str, index: int) -> str:
        """The name of a link; "" for none."""
        if index == 0:
            return ""
        try:
            with self._files.inside(netns):
                return socket.if_indextoname(index)
        except OSError:
            return ""  # gone meanwhile

    def route(self, event: Logged, packet: Packet) -> RouteSeen:
        with self._files.inside(event.netns):
            return look_up(packet.source, packet.destination, event.in_link, event.mark)


class _Run:
    """One batch under way."""

    def __init__(self, batch: ProbeBatch, engine: Engine) -> None:
        self._batch = batch
        self._engine = engine
        self._points = engine.points
        self._flights: dict[int, _Flight] = {}
        self._by_ports: dict[tuple[bytes, int, int | None], _Flight] = {}
        self._order: list[_Flight | Report] = []
        """As the batch; a report where there is no packet to send."""
        self._open = 0
        """Flights without conclusive evidence."""
        self._silent = 0
        """Those of them that are datagrams which arrived: no answer is an answer."""
        self._missed = 0
        self._overrun = False
        """A log reader's buffer was full; how much was missed is known when its next event comes, if one does."""
        self._senders: dict[tuple[str, ...], socket.socket] = {}
        self._names: dict[tuple[str, int], str] = {}
        self._routes: dict[tuple[str, bytes, bytes, int, int], RouteSeen] = {}

    def go(self) -> ProbeReports:
        prepared = list(self._prepare())
        self._discard()
        begun = time.monotonic()
        for start in range(0, len(prepared), _CHUNK):
            for number, data, sender, destination in prepared[start : start + _CHUNK]:
                self._send(number, data, sender, destination)
            self._read(0.0)
        self._wait(time.monotonic() + self._batch.deadline)
        while self._read(0.0):  # what was seen before the last conclusive packet
            pass
        self._missed += sum(point.missed() for point in self._points.all if isinstance(point, TapPoint))
        seconds = time.monotonic() - begun
        reports = tuple(self._report(item) for item in self._order)
        missed = max(self._missed, int(self._overrun))
        return ProbeReports(reports=reports, missed=missed, seconds=seconds)

    # ── sending ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _prepare(self) -> Iterator[tuple[int, bytes, socket.socket, str]]:
        for probe in self._batch.probes:
            try:
                number, data, destination, flight = self._engine.prepare(probe)
                sender = self._sender(probe.netns, probe.device, probe.source)
            except (OSError, ValueError) as error:
                self._order.append(Report(number=probe.number, error=str(error)))
                continue
            self._flights[number] = flight
            if probe.protocol == "udp":
                self._by_ports[flight.source, flight.source_port, probe.port] = flight
            self._order.append(flight)
            yield number, data, sender, destination

    def _sender(self, *start: str) -> socket.socket:
        sender = self._senders.get(start)
        if sender is None:
            sender = self._senders[start] = self._engine.sender(*start)
        return sender

    def _discard(self) -> None:
        """What came before the first packet is nobody's."""
        flights, self._flights = self._flights, {}
        while self._read(0.0):
            pass
        for point in self._points.all:
            if isinstance(point, TapPoint):
                point.missed()
        self._missed, self._overrun = 0, False
        self._flights = flights

    def _send(self, number: int, data: bytes, sender: socket.socket, destination: str) -> None:
        flight = self._flights[number]
        self._open += 1
        try:
            sender.sendto(data, (destination, 0))
        except OSError as error:
            flight.error = error.strerror
            if error.errno != errno.EPERM:  # that is a filter of the sender's own namespace, which says who it is
                self._conclude(flight)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _wait(self, end: float) -> None:
        while self._open:
            until = end if self._open > self._silent else min(end, time.monotonic() + self._batch.grace)
            left = until - time.monotonic()
            if left <= 0 or (not self._read(left) and until < end):
                return

    def _read(self, seconds: float) -> bool:
        """Take in what has come; whether there was anything."""
        ready = self._points.ready(seconds)
        for point in ready:
            if isinstance(point, LogPoint):
                for event in point.reader.read():
                    if isinstance(event, Logged):
                        self._logged(event)
                    elif event.count is None:
                        self._overrun = True
                    else:
                        self._missed += event.count
            else:
                for data in point.read():
                    self._captured(point, data)
        return bool(ready)

    def _captured(self, point: TapPoint, data: bytes) -> None:
        found = self._engine.recognise(data)
        flight = None if found is None else self._flight(found)
        if found is None or flight is None:
            return
        answer = self._is_answer(found, flight)
        if point.role == "arrival":
            if not answer and point.netns not in flight.arrived:
                flight.arrived.append(point.netns)
                if flight.probe.protocol == "udp" and not flight.done and len(flight.arrived) == 1:
                    self._silent += 1
        elif answer and found.reply is not None and point.netns == flight.probe.netns and flight.reply is None:
            packet = found.packet
            is_error = found.reply == "unreachable"
            flight.reply = Reply(
                kind=found.reply,
                source=_text(packet.source),
                type=packet.type if is_error else None,
                code=packet.code if is_error else None,
            )
            self._conclude(flight)

    def _logged(self, event: Logged) -> None:
        found = self._engine.recognise(event.payload)
        flight = None if found is None else self._flight(found)
        if found is None or flight is None:
            return
        word = _Word(event, found.packet, "reply" if self._is_answer(found, flight) else "forward")
        if event.prefix.startswith("A "):
            flight.accepted.append(word)
        elif event.prefix.startswith("D "):
            flight.dropped.append(word)
            self._conclude(flight)

    def _flight(self, found: Found) -> _Flight | None:
        if found.number is not None:
            return self._flights.get(found.number)
        packet = found.packet
        return self._by_ports.get((packet.destination, packet.destination_port or 0, packet.source_port))

    @staticmethod
    def _is_answer(found: Found, flight: _Flight) -> bool:
        match found.reply:
            case "datagram":
                return found.number is None or flight.is_answer(found.packet)
            case "echo-reply":
                return found.packet.type != flight.probe.port  # else an unsolicited one was sent as the probe
            case _:
                return found.reply is not None

    def _conclude(self, flight: _Flight) -> None:
        if not flight.done:
            flight.done = True
            self._open -= 1
            self._silent -= flight.probe.protocol == "udp" and bool(flight.arrived)

    # ── reporting ────────────────────────────────────────────────────────────────────────────────────────────────

    def _report(self, item: _Flight | Report) -> Report:
        if isinstance(item, Report):
            return item
        return Report(
            number=item.probe.number,
            source_port=item.source_port,
            arrived=tuple(item.arrived),
            reply=item.reply,
            dropped=self._decision(_first(item.dropped)),
            # Every router lowers the hop count, so it orders what several namespaces said; of one, the order is kept.
            accepted=tuple(self._decided(word) for word in sorted(item.accepted, key=lambda word: -word.packet.hops)),
            error=None if item.dropped else item.error,
        )

    def _decision(self, word: _Word | None) -> Decision | None:
        return None if word is None else self._decided(word)

    def _decided(self, word: _Word) -> Decision:
        event, packet = word.event, word.packet
        return Decision(
            netns=event.netns,
            prefix=event.prefix,
            direction=word.direction,
            in_link=self._link_name(event.netns, event.in_link),
            out_link=self._link_name(event.netns, event.out_link),
            source=_text(packet.source),
            destination=_text(packet.destination),
            route=self._route(event, packet) if event.prefix == "D route" else None,
        )

    def _link_name(self, netns: str, index: int) -> str:
        name = self._names.get((netns, index))
        if name is None:
            name = self._names[netns, index] = self._engine.link_name(netns, index)
        return name

    def _route(self, event: Logged, packet: Packet) -> RouteSeen:
        key = (event.netns, packet.source, packet.destination, event.in_link, event.mark)
        route = self._routes.get(key)
        if route is None:
            route = self._routes[key] = self._engine.route(event, packet)
        return route


def _first(words: Iterable[_Word]) -> _Word | None:
    """The drop that ended the probe itself; else that of its answer."""
    found = sorted(words, key=lambda word: word.direction == "reply")
    return found[0] if found else None
