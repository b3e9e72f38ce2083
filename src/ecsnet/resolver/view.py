"""A view: what the askers at one set of addresses see, with its cache of rendered replies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from ecsnet.resolver import wire
from ecsnet.resolver.wire import Query, Rcode
from ecsnet.resolver.zone import Cell, Name, RecordSet, Ring, Zone, soa_record

CACHE_LIMIT = 20_000
"""Entries per view; a full cache is emptied."""
LONGEST_CHAIN = 8
"""CNAMEs that are followed."""
NOBODY_TTL = 5
"""Seconds for which names that nobody serves are negative."""

_NOBODY = soa_record(b"\0", NOBODY_TTL)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A reply except for its id, the question and the choice of records."""

    cell: Cell
    value: object
    """What the cell held: the entry is stale when the cell holds something else."""
    head: bytes
    end: int
    """Where the question ends in the query."""
    ring: Ring | None
    tail: bytes
    """Authority section and OPT record."""


class View:
    """Zones by apex, and another view that is asked for names in none of them.

    The longest matching zone decides alone: a private zone shadows the public names below it.
    """

    def __init__(self, name: str, public: View | None = None) -> None:
        self.name = name
        self.public = public
        self.zones: dict[Name, Zone] = {}
        self._cache: dict[bytes, Rendered] = {}
        self._nobody = Cell(object())

    def add_zone(self, zone: Zone) -> None:
        self.zones[zone.apex] = zone
        self.forget()

    def remove_zone(self, apex: Name) -> None:
        if self.zones.pop(apex, None) is not None:
            self.forget()

    def forget(self) -> None:
        """Empty the cache: another zone may now be the right one for names that it holds."""
        self._cache.clear()

    def answer(self, data: bytes) -> bytes | None:
        """The reply to a packet that came by UDP; None to stay silent."""
        if len(data) < 17:
            return self.answer_uncached(data, udp=True)
        entry = self._cache.get(data[2:])
        if entry is None:
            end = data.find(0, 12) + 1
            name = data[12:end]
            lower = name.lower()
            if lower != name:
                entry = self._cache.get(data[2:12] + lower + data[end:])
        if entry is not None and entry.cell.value is entry.value:
            records = b"" if entry.ring is None else entry.ring.pick()
            return data[:2] + entry.head + data[12 : entry.end] + records + entry.tail
        return self.answer_uncached(data, udp=True)

    def answer_uncached(self, data: bytes, *, udp: bool) -> bytes | None:
        """The reply to a packet, computed; over UDP it is remembered when it does not depend on a chain of names."""
        query = wire.parse(data)
        if not isinstance(query, Query):
            return None if query is None else query.reply
        zone = self._zone(query.name)
        if zone is None:
            return self._negative(data, query, Rcode.NXDOMAIN, _NOBODY, self._nobody, udp=udp)
        found = zone.find(query.name)
        if found == "nxdomain":
            return self._negative(data, query, Rcode.NXDOMAIN, zone.soa, zone.negative, udp=udp)
        if found == "nodata":
            return self._negative(data, query, Rcode.NOERROR, zone.soa, zone.negative, udp=udp)
        cell = found.get(query.type)
        if cell is None and query.type == wire.ANY:
            cell = next(iter(found.values()))  # one record set is enough of an answer (RFC 8482, section 4.1)
        if cell is not None:
            return self._positive(data, query, cell, udp=udp)
        if wire.CNAME in found:
            return self._chain(data, query, cast(RecordSet, found[wire.CNAME].value), udp=udp)
        return self._negative(data, query, Rcode.NOERROR, zone.soa, zone.negative, udp=udp)

    def _zone(self, name: Name) -> Zone | None:
        """The zone with the longest matching apex; own zones go before public ones."""
        view: View | None = self
        while view is not None:
            rest = name
            while True:
                zone = view.zones.get(rest)
                if zone is not None:
                    return zone
                if not rest[0]:
                    break
                rest = rest[1 + rest[0] :]
            view = view.public
        return None

    def _negative(self, data: bytes, query: Query, rcode: Rcode, soa: bytes, cell: Cell, *, udp: bool) -> bytes:
        tail = soa + wire.opt(query, rcode)
        head = wire.head(query, rcode, 0, 1, 0)
        if udp:
            self._remember(data, query, Rendered(cell, cell.value, head, query.end, None, tail))
        return data[:2] + head + data[12 : query.end] + tail

    def _positive(self, data: bytes, query: Query, cell: Cell, *, udp: bool) -> bytes:
        records = cast(RecordSet, cell.value)
        head = wire.head(query, Rcode.NOERROR, records.ring.count, 0, 0)
        tail = wire.opt(query, Rcode.NOERROR)
        whole = data[:2] + head + data[12 : query.end] + records.ring.pick() + tail
        limit = query.limit if udp else wire.TCP_LIMIT
        if len(whole) > limit:
            return wire.truncated(data, query)
        if udp and records.ring.steady:
            self._remember(data, query, Rendered(cell, records, head, query.end, records.ring, tail))
        return whole

    def _chain(self, data: bytes, query: Query, alias: RecordSet, *, udp: bool) -> bytes:
        """Follow CNAMEs, each hop choosing its zone anew; what is missing at the end makes the answer negative."""
        body, count = wire.record(wire.CNAME, alias.ttl, alias.rdatas[0]), 1
        name, rcode, authority = alias.rdatas[0], Rcode.NOERROR, b""
        for _ in range(LONGEST_CHAIN):
            zone = self._zone(name)
            found = "nxdomain" if zone is None else zone.find(name)
            soa = _NOBODY if zone is None else zone.soa
            if isinstance(found, str):
                rcode = Rcode.NXDOMAIN if found == "nxdomain" else Rcode.NOERROR
                authority = soa
                break
            cell = found.get(query.type)
            if cell is not None:
                last = cast(RecordSet, cell.value)
                body += b"".join(wire.record(last.type, last.ttl, rdata, owner=name) for rdata in last.rdatas)
                count += len(last.rdatas)
                break
            if wire.CNAME not in found:
                authority = soa
                break
            alias = cast(RecordSet, found[wire.CNAME].value)
            body += wire.record(wire.CNAME, alias.ttl, alias.rdatas[0], owner=name)
            count += 1
            name = alias.rdatas[0]
        whole = wire.reply(data, query, rcode, count, 1 if authority else 0, body + authority)
        return wire.truncated(data, query) if len(whole) > (query.limit if udp else wire.TCP_LIMIT) else whole

    def _remember(self, data: bytes, query: Query, entry: Rendered) -> None:
        if len(self._cache) >= CACHE_LIMIT:
            self._cache.clear()
        name_end = query.end - 4
        # Only the lower-case spelling: askers that mix case at random would fill the cache with copies.
        self._cache[data[2:12] + query.name + data[name_end:]] = entry
