"""Zones: names with record sets, as the serving path wants them.

A `Cell` is where a record set is; an update replaces its value. Cached replies remember the value that they were made
from and are stale when the cell holds another one, so nothing is ever flushed on an update.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from random import random, sample
from typing import Literal, Protocol

from ecsnet.resolver import wire

Name = bytes
"""A name in wire form and lower case."""


class Ring:
    """The records of a set in shuffled order; a reply takes `count` neighbours from a random start.

    All records are doubled into one byte string, so a pick is one slice, whatever the size of the set.
    """

    __slots__ = ("_blob", "_offsets", "_size", "_slots", "count")

    def __init__(self, records: Sequence[bytes], count: int | None) -> None:
        shuffled = sample(records, len(records))
        self.count = len(shuffled) if count is None else min(count, len(shuffled))
        self._slots = len(shuffled)
        around = shuffled + shuffled[: self.count - 1]
        self._blob = b"".join(around)
        sizes = {len(one) for one in shuffled}
        self._size = sizes.pop() if len(sizes) == 1 else 0
        self._offsets = tuple(_sums(around)) if not self._size else ()

    @property
    def steady(self) -> bool:
        """Whether every pick is as long as any other."""
        return bool(self._size) or self.count == self._slots

    def pick(self) -> bytes:
        """The records of one answer."""
        if self._slots == self.count == 1:
            return self._blob
        start = int(random() * self._slots)
        if self._size:
            return self._blob[start * self._size : (start + self.count) * self._size]
        return self._blob[self._offsets[start] : self._offsets[start + self.count]]


def _sums(records: Sequence[bytes]) -> list[int]:
    total, result = 0, [0]
    for one in records:
        total += len(one)
        result.append(total)
    return result


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RecordSet:
    """A value of a cell. The ring's records are owned by the pointer to the question's name."""

    type: int
    ttl: int
    rdatas: tuple[bytes, ...]
    ring: Ring


def record_set(kind: int, ttl: int, rdatas: tuple[bytes, ...], count: int | None = None) -> RecordSet:
    ring = Ring([wire.record(kind, ttl, rdata) for rdata in rdatas], count)
    return RecordSet(type=kind, ttl=ttl, rdatas=rdatas, ring=ring)


class Cell:
    """Holds the newest value of something that cached replies may depend on."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


Node = dict[int, Cell]
"""The record sets of one name by type; each cell holds a RecordSet."""

Negative = Literal["nxdomain", "nodata"]


class Zone(Protocol):
    """What a view asks of a zone."""

    apex: Name
    soa: bytes
    """The whole SOA record as the authority section of negative answers has it."""
    negative: Cell
    """Its value changes whenever a name comes or goes."""

    def find(self, name: Name) -> Node | Negative:
        """The record sets of a name (wildcards considered), or why there are none."""


def soa_record(apex: Name, ttl: int) -> bytes:
    """An SOA record of the zone whose negative answers may be kept for `ttl` seconds."""
    mname = wire.name_to_wire("ns.ecsnet.internal")
    rname = wire.name_to_wire("hostmaster.ecsnet.internal")
    numbers = struct.pack("!IIIII", 1, 7200, 900, 1_209_600, ttl)
    return wire.record(wire.SOA, ttl, mname + rname + numbers, owner=apex)


NEGATIVE_TTL = 5
"""Seconds. Names come and go with every deployment; nobody should remember for long that one was absent."""


class StoredZone:
    """A zone whose names were given one by one."""

    def __init__(self, apex: Name) -> None:
        self.apex = apex
        self.soa = soa_record(apex, NEGATIVE_TTL)
        self.negative = Cell(object())
        self._names: dict[Name, Node] = {}
        self._below: dict[Name, int] = {}
        """How many stored names are below a name, so that empty non-terminals are known."""

    def __bool__(self) -> bool:
        return bool(self._names)

    def put(self, name: Name, records: RecordSet) -> None:
        node = self._names.get(name)
        if node is None:
            node = self._names[name] = {}
            for ancestor in self._ancestors(name):
                self._below[ancestor] = self._below.get(ancestor, 0) + 1
        cell = node.get(records.type)
        if cell is None:
            node[records.type] = Cell(records)
            self.negative.value = object()
        else:
            cell.value = records

    def remove(self, name: Name, kind: int) -> None:
        """Take a record set away; removing a missing one changes nothing."""
        node = self._names.get(name)
        cell = node.pop(kind, None) if node is not None else None
        if cell is None:
            return
        cell.value = None
        self.negative.value = object()
        if not node:
            del self._names[name]
            for ancestor in self._ancestors(name):
                self._below[ancestor] -= 1
                if not self._below[ancestor]:
                    del self._below[ancestor]

    def find(self, name: Name) -> Node | Negative:
        node = self._names.get(name)
        if node is not None:
            return node
        if name in self._below or name == self.apex:
            return "nodata"
        for ancestor in self._ancestors(name):
            if ancestor in self._names or ancestor in self._below or ancestor == self.apex:
                return self._names.get(b"\x01*" + ancestor) or "nxdomain"
        return "nxdomain"

    def _ancestors(self, name: Name) -> list[Name]:
        """The names above `name` up to and with the apex."""
        result = []
        while name != self.apex and len(name) > len(self.apex):
            name = name[1 + name[0] :]
            result.append(name)
        return result


class AddressNames:
    """Computed names `ip-10-0-1-25.<apex>` for every address in some networks (IPv4)."""

    def __init__(self, apex: Name, networks: Sequence[ipaddress.IPv4Network], ttl: int) -> None:
        self.apex = apex
        self.soa = soa_record(apex, NEGATIVE_TTL)
        self.negative = Cell(object())
        self._networks = tuple(networks)
        self._ttl = ttl

    def find(self, name: Name) -> Node | Negative:
        if name == self.apex:
            return "nodata"
        length = name[0]
        if name[1 + length :] != self.apex or not name.startswith(b"ip-", 1):
            return "nxdomain"
        parts = name[4 : 1 + length].split(b"-")
        # Canonical numbers only: ip-010-0-0-1 is no name.
        if len(parts) != 4 or not all(p.isdigit() and len(p) <= 3 and p == b"%d" % int(p) for p in parts):
            return "nxdomain"
        numbers = [int(part) for part in parts]
        if max(numbers) > 255:
            return "nxdomain"
        packed = bytes(numbers)
        address = ipaddress.IPv4Address(packed)
        if not any(address in network for network in self._networks):
            return "nxdomain"
        return {wire.A: Cell(record_set(wire.A, self._ttl, (packed,)))}


class ReverseNames:
    """Computed PTR records of every address in some networks below one `….in-addr.arpa` apex."""

    def __init__(self, apex: Name, networks: Sequence[ipaddress.IPv4Network], suffix: Name, ttl: int) -> None:
        self.apex = apex
        self.soa = soa_record(apex, NEGATIVE_TTL)
        self.negative = Cell(object())
        self._networks = tuple(networks)
        self._suffix = suffix
        self._ttl = ttl

    def find(self, name: Name) -> Node | Negative:
        labels = wire_labels(name)[:-2]
        if not all(label.isdigit() and len(label) <= 3 and label == b"%d" % int(label) for label in labels):
            return "nxdomain"
        numbers = [int(label) for label in reversed(labels)]
        if len(numbers) > 4 or max(numbers, default=0) > 255:
            return "nxdomain"
        missing = 4 - len(numbers)
        first = ipaddress.IPv4Address(bytes(numbers) + bytes(missing))
        asked = ipaddress.IPv4Network((first, 32 - 8 * missing))
        if not any(asked.overlaps(network) for network in self._networks):
            return "nodata" if name == self.apex else "nxdomain"
        if missing:
            return "nodata"
        label = b"ip-" + str(first).replace(".", "-").encode()
        target = bytes((len(label),)) + label + self._suffix
        return {wire.PTR: Cell(record_set(wire.PTR, self._ttl, (target,)))}


def wire_labels(name: Name) -> list[bytes]:
    labels, at = [], 0
    while name[at]:
        labels.append(name[at + 1 : at + 1 + name[at]])
        at += 1 + name[at]
    return labels


def reverse_apex(network: ipaddress.IPv4Network) -> Name:
    """The `in-addr.arpa` name at the octet border at or above a network."""
    octets = str(network.network_address).split(".")[: network.prefixlen // 8]
    return wire.name_to_wire(".".join((*reversed(octets), "in-addr.arpa")))
