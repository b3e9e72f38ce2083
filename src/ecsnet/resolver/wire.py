"""DNS on the wire: a strict parser of queries and an encoder of record data (RFC 1035, 2782, 3596, 6891).

A parser of our own because it runs for every packet that is not in the cache: 0.8 µs against 31 µs of dnspython, which
is the oracle of its tests instead.
"""

from __future__ import annotations

import enum
import ipaddress
import struct
from dataclasses import dataclass


class Rcode(enum.IntEnum):
    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, OPT = 1, 2, 5, 6, 12, 15, 16, 28, 33, 41
ANY = 255
TYPES = {"A": A, "NS": NS, "CNAME": CNAME, "PTR": PTR, "MX": MX, "TXT": TXT, "AAAA": AAAA, "SRV": SRV}
"""The types that a record set may have."""
_TRANSFERS = (251, 252)
_IN = 1
OWNER = b"\xc0\x0c"
"""A compression pointer to the name in the question."""

UDP_LIMIT = 512
EDNS_SIZE = 1232
"""Bytes that we promise and use at most over UDP: never fragmented (DNS flag day 2020)."""
TCP_LIMIT = 65_535

QR, RD, TC, RA = 0x8000, 0x0100, 0x0200, 0x0080
_CD = 0x0010
_KEPT = RD | _CD

_HEADER = struct.Struct("!HHHHHH")
_TWO = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")


@dataclass(frozen=True, slots=True)
class Query:
    """A question that was parsed. `name` is the wire form in lower case, `end` where the question ends."""

    flags: int
    name: bytes
    type: int
    end: int
    edns: bool
    do: bool
    limit: int
    """Bytes that a reply over UDP may have."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """The packet is not answered but refused; `reply` is the whole reply."""

    reply: bytes


def parse(data: bytes) -> Query | Refusal | None:
    """Parse a query. None means: drop it silently (too short to answer, or itself a reply)."""
    size = len(data)
    if size < 12:
        return None
    ident, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(data)
    if flags & QR:
        return None
    if (flags >> 11) & 15:
        return Refusal(_bare(ident, flags, Rcode.NOTIMP))
    if questions != 1 or answers or authorities:
        return Refusal(_bare(ident, flags, Rcode.FORMERR))
    at = 12
    while True:
        if at >= size:
            return Refusal(_bare(ident, flags, Rcode.FORMERR))
        length = data[at]
        if length > 63:  # also compression pointers, which cannot point backwards from the first name
            return Refusal(_bare(ident, flags, Rcode.FORMERR))
        at += length + 1
        if not length:
            break
    if at - 12 > 255 or at + 4 > size:
        return Refusal(_bare(ident, flags, Rcode.FORMERR))
    kind, network = _TWO.unpack_from(data, at)
    end = at + 4
    do, limit, version = False, UDP_LIMIT, 0
    if additionals:
        # A resolver's clients send nothing there but one OPT record (RFC 6891, section 6.1.1).
        extra = _options_record(data, end) if additionals == 1 else None
        if extra is None:
            return Refusal(_bare(ident, flags, Rcode.FORMERR))
        do, limit, version = extra
    elif end != size:
        return Refusal(_bare(ident, flags, Rcode.FORMERR))
    query = Query(flags, data[12:at].lower(), kind, end, bool(additionals), do, limit)
    if version:
        return Refusal(reply(data, query, Rcode.BADVERS, 0, 0, b""))
    if network != _IN or kind in _TRANSFERS:
        return Refusal(reply(data, query, Rcode.REFUSED, 0, 0, b""))
    if kind == OPT:
        return Refusal(reply(data, query, Rcode.FORMERR, 0, 0, b""))
    return query


def _options_record(data: bytes, at: int) -> tuple[bool, int, int] | None:
    """The OPT record that ends the packet: (DO bit, size limit, EDNS version); None when it is anything else."""
    if len(data) < at + 11 or data[at] != 0:
        return None
    kind, size, ttl, rdata = _RECORD.unpack_from(data, at + 1)
    end = at + 11 + rdata
    if kind != OPT or end != len(data) or not _options_fit(data, at + 11, end):
        return None
    return bool(ttl & 0x8000), max(UDP_LIMIT, min(size, EDNS_SIZE)), (ttl >> 16) & 0xFF


def _options_fit(data: bytes, at: int, end: int) -> bool:
    """Whether the options of an OPT record fill it exactly."""
    while at + 4 <= end:
        at += 4 + _TWO.unpack_from(data, at)[1]
    return at == end


def _bare(ident: int, flags: int, rcode: Rcode) -> bytes:
    """A reply of a header alone, for packets whose question cannot be trusted."""
    return _HEADER.pack(ident, QR | (flags & (_KEPT | 0x7800)) | RA | rcode, 0, 0, 0, 0)


def head(
    query: Query, rcode: Rcode, answers: int, authorities: int, additionals: int, *, truncated: bool = False
) -> bytes:
    """Bytes 2 to 11 of a reply: flags and counts; `additionals` without the OPT record, which is counted by itself."""
    flags = QR | (query.flags & _KEPT) | RA | (rcode & 15) | (TC if truncated else 0)
    return struct.pack("!HHHHH", flags, 1, answers, authorities, additionals + query.edns)


def opt(query: Query, rcode: Rcode) -> bytes:
    """Our OPT record when the query had one: size, the high bits of the rcode, the DO bit as asked."""
    if not query.edns:
        return b""
    return b"\0" + _RECORD.pack(OPT, EDNS_SIZE, (rcode >> 4) << 24 | (0x8000 if query.do else 0), 0)


def reply(data: bytes, query: Query, rcode: Rcode, answers: int, authorities: int, body: bytes) -> bytes:
    """A whole reply to `data`; the asker's spelling of the name is repeated."""
    return data[:2] + head(query, rcode, answers, authorities, 0) + data[12 : query.end] + body + opt(query, rcode)


def truncated(data: bytes, query: Query) -> bytes:
    """The reply that tells the asker to come back over TCP: the question alone, never half a record set."""
    return (
        data[:2]
        + head(query, Rcode.NOERROR, 0, 0, 0, truncated=True)
        + data[12 : query.end]
        + opt(query, Rcode.NOERROR)
    )


def record(kind: int, ttl: int, rdata: bytes, owner: bytes = OWNER) -> bytes:
    """One resource record."""
    return owner + _RECORD.pack(kind, _IN, ttl, len(rdata)) + rdata


def name_to_wire(text: str) -> bytes:
    """The wire form, lower case, of a name with or without a trailing dot.

    Raises ValueError naming what is wrong (empty or long labels, too long a name, characters outside ASCII).
    """
    stripped = text.rstrip(".").lower()
    if not stripped:
        return b"\0"
    wire = bytearray()
    for label in stripped.split("."):
        try:
            encoded = label.encode("ascii")
        except UnicodeEncodeError as error:
            raise ValueError(f"the name {text!r} is not ASCII; give its punycode form") from error
        if not 1 <= len(encoded) <= 63:
            raise ValueError(f"the name {text!r} has a label of {len(encoded)} bytes; 1 to 63 are allowed")
        wire += bytes((len(encoded),)) + encoded
    if len(wire) > 254:
        raise ValueError(f"the name {text!r} is longer than 255 bytes")
    return bytes(wire) + b"\0"


def rdata_to_wire(kind: str, text: str) -> bytes:
    """Record data from its master-file form. Raises ValueError naming type and value when it does not fit."""
    try:
        match kind:
            case "A":
                return ipaddress.IPv4Address(text).packed
            case "AAAA":
                return ipaddress.IPv6Address(text).packed
            case "CNAME" | "NS" | "PTR":
                return name_to_wire(text)
            case "MX":
                preference, target = text.split()
                return struct.pack("!H", int(preference)) + name_to_wire(target)
            case "SRV":
                priority, weight, port, target = text.split()
                return struct.pack("!HHH", int(priority), int(weight), int(port)) + name_to_wire(target)
            case "TXT":
                return _text_to_wire(text)
    except (ValueError, struct.error) as error:
        raise ValueError(f"{text!r} is not the data of a record of type {kind}: {error}") from error
    raise ValueError(f"record type {kind} is not served; {', '.join(TYPES)} are")


def _text_to_wire(text: str) -> bytes:
    """Quoted strings; a value without quotes is one string."""
    parts = [text]
    if text.startswith('"'):
        parts, current, quoted, escaped = [], "", False, False
        for char in text:
            if escaped:
                current, escaped = current + char, False
            elif char == "\\" and quoted:
                escaped = True
            elif char == '"':
                if quoted:
                    parts.append(current)
                    current = ""
                quoted = not quoted
            elif quoted:
                current += char
        if quoted:
            raise ValueError("a quoted string has no end")
    wire = b""
    for part in parts:
        encoded = part.encode()
        if len(encoded) > 255:
            raise ValueError("a string is longer than 255 bytes")
        wire += bytes((len(encoded),)) + encoded
    return wire
