"""What one router's events add up to: per flow and direction, packets and bytes of an interval. Pure.

The kernel counts a packet before the filters see it, and every drop is logged; so what was admitted is what was counted
less what was denied. Both are kept since the flow began and only then compared with what has been told, because the
table is read a moment before or after the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ecsnet.agent import packet as headers
from ecsnet.agent.flows.conntrack import Entry, Key, turned
from ecsnet.agent.nflog import Logged
from ecsnet.hostplan.decisions import Side, side
from ecsnet.hostplan.flows import Part

LinkName = Callable[[int], str]
"""Name of a link of the router by its index; "" for 0 and for a link that is gone."""

_SYN_RECEIVED, _LAST_ACK, _TIME_WAIT = 2, 6, 7
"""States of linux/netfilter/nf_conntrack_tcp.h."""
_PORTLESS = frozenset((headers.ICMP, headers.ICMPV6))
_SHOWN_FLAGS = headers.FIN | headers.SYN | headers.RST


@dataclass(slots=True, kw_only=True)
class _Direction:
    """Packets and bytes of one direction since the flow began."""

    counted: tuple[int, int] = (0, 0)
    denied_sending: tuple[int, int] = (0, 0)
    denied_receiving: tuple[int, int] = (0, 0)
    told_sent: tuple[int, int] = (0, 0)
    told: tuple[int, int] = (0, 0)


@dataclass(slots=True, kw_only=True)
class _Flow:
    key: Key
    id: int
    started: float
    stopped: float | None = None
    in_link: str = ""
    out_link: str = ""
    rules: tuple[str, ...] = ()
    state: int | None = None
    told_state: int | None = None
    unseen: int = 0
    """How often in a row the connection table did not have it."""
    directions: tuple[_Direction, _Direction] = field(default_factory=lambda: (_Direction(), _Direction()))

    def first_packet(self) -> Part:
        """What to tell at once of a flow that began."""
        return _part(self, reply=False, sent=(1, 0), passed=(1, 0), flags=None, start=self.started, end=self.started)


@dataclass(slots=True, kw_only=True)
class _Admitted:
    """What the log says of a flow that is not in the connection table (yet)."""

    in_link: str
    out_link: str
    rules: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class _Denied:
    """Packets of one direction that ended at one filter."""

    first: Part
    packets: int = 0
    size: int = 0
    flags: int = 0
    end: float
    known_flow: bool
    last: headers.Packet

    def last_packet(self) -> Part:
        """What to tell at once of the newest of them."""
        tcp = self.last.protocol == headers.TCP
        return _with(
            self.first,
            packets=1,
            size=self.last.length,
            flags=_flags(self.last.flags) if tcp else None,
            start=self.end,
            end=self.end,
        )


class FlowTable:
    """The flows of one router since somebody watches it."""

    def __init__(self, link_name: LinkName, now: float) -> None:
        """`now`, here and below, is epoch seconds."""
        self._link_name = link_name
        self._flows: dict[Key, _Flow] = {}
        self._ended: list[_Flow] = []
        self._admitted: dict[Key, _Admitted] = {}
        self._denied: dict[tuple[Key, str, int, int], _Denied] = {}
        self._since = now

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, entry: Entry) -> None:
        """A connection that was there before anybody watched: what it has counted so far is not told."""
        flow = self._put(entry, self._since)
        flow.told_state = flow.state
        for direction in flow.directions:
            direction.told = direction.told_sent = direction.counted

    def admitted(self, event: Logged) -> None:
        """A rule admitted a packet."""
        packet = headers.parse(event.payload)
        if packet is None:
            return
        key, rule = _key(packet), event.prefix.removeprefix("A ")
        known = self._flows.get(key) or self._admitted.get(key)
        if known is None:
            known = self._admitted[key] = _Admitted(in_link="", out_link="", rules=())
        if not known.in_link:
            known.in_link, known.out_link = self._link_name(event.in_link), self._link_name(event.out_link)
        if rule not in known.rules:
            known.rules = (*known.rules, rule)

    def denied(self, event: Logged, now: float) -> _Denied | None:
        """A filter dropped a packet; the answer knows what to tell of it at once."""
        packet = headers.parse(event.payload)
        return None if packet is None else self._deny(_key(packet), packet, event, now)

    def connection(self, entry: Entry, now: float) -> _Flow | None:
        """A connection began or ended; the answer is the flow that began."""
        known = self._flows.get(entry.key)
        if entry.ended:
            if known is not None and known.id == entry.id:
                self._update(known, entry)
                del self._flows[entry.key]
                self._ended.append(known)
            return None
        return self._put(entry, now)

    def _put(self, entry: Entry, now: float) -> _Flow:
        known = self._flows.get(entry.key)
        if known is not None and known.id == entry.id:
            self._update(known, entry)
            known.unseen = 0
            return known
        if known is not None:  # its end was lost
            self._ended.append(known)
        flow = _Flow(key=entry.key, id=entry.id, started=entry.started or now)
        admitted = self._admitted.pop(entry.key, None)
        if admitted is not None:
            flow.in_link, flow.out_link, flow.rules = admitted.in_link, admitted.out_link, admitted.rules
        self._flows[entry.key] = flow
        self._update(flow, entry)
        return flow

    @staticmethod
    def _update(flow: _Flow, entry: Entry) -> None:
        packets, size, reply_packets, reply_size = entry.counters
        first, answers = flow.directions
        # The word of a beginning has no counters, and may be read after the table that has.
        first.counted = _most(first.counted, (packets, size))
        answers.counted = _most(answers.counted, (reply_packets, reply_size))
        flow.stopped = entry.stopped
        if entry.tcp_state is not None:
            flow.state = entry.tcp_state

    def _deny(self, key: Key, packet: headers.Packet, event: Logged, now: float) -> _Denied:
        words = event.prefix.removeprefix("D ")
        flow, index = self._flows.get(key), 0
        if flow is None:
            flow, index = self._flows.get(turned(key)), 1
        known_flow = flow is not None
        if flow is not None:
            direction = flow.directions[index]
            if side(words) is Side.SENDER:
                direction.denied_sending = _plus(direction.denied_sending, (1, packet.length))
            else:
                direction.denied_receiving = _plus(direction.denied_receiving, (1, packet.length))
        place = (key, words, event.in_link, event.out_link)
        denied = self._denied.get(place)
        if denied is None:
            admitted = self._admitted.get(key)
            rules = flow.rules if flow is not None else admitted.rules if admitted is not None else ()
            first = _bare(
                key, self._link_name(event.in_link), self._link_name(event.out_link), index == 1 and known_flow
            )
            denied = self._denied[place] = _Denied(
                first=_with(first, denied=words, rules=rules, start=now), end=now, known_flow=known_flow, last=packet
            )
        denied.packets += 1
        denied.size += packet.length
        denied.flags |= _flags(packet.flags)
        denied.end = now
        denied.last = packet
        return denied

    # ── intervals ────────────────────────────────────────────────────────────────────────────────────────────────

    def refresh(self, entries: Iterable[Entry]) -> None:
        """Take the connection table as it is now. Read the events and the log once more between this and `interval`:
        what they hold of packets that the table has counted must not be missing."""
        ended = {(flow.key, flow.id) for flow in self._ended}
        seen = set()
        for entry in entries:
            if (entry.key, entry.id) not in ended:  # the word of its end may come a moment before the end
                seen.add(self._put(entry, self._since).key)
        for key in [key for key in self._flows if key not in seen]:
            flow = self._flows[key]
            flow.unseen += 1
            if flow.unseen > 1:  # ended, and the word of it was lost
                del self._flows[key]

    def interval(self, now: float) -> tuple[float, tuple[Part, ...]]:
        """End an interval: its start, and everything that was admitted or denied in it."""
        start, self._since = self._since, now
        parts: list[Part] = []
        for flow in (*self._ended, *self._flows.values()):
            parts.extend(_told(flow, start, now))
        for denied in self._denied.values():
            flags = denied.flags if denied.first.protocol == headers.TCP else None
            parts.append(_with(denied.first, packets=denied.packets, size=denied.size, flags=flags, end=denied.end))
            parts.extend(_sent_in_vain(denied))
        self._ended.clear()
        self._admitted.clear()
        self._denied.clear()
        return start, tuple(parts)


def _told(flow: _Flow, start: float, end: float) -> Iterator[Part]:
    """Both directions of a flow, as far as packets were admitted since they were last told."""
    flags = _tcp_flags(flow)
    flow.told_state = flow.state
    for index, direction in enumerate(flow.directions):
        sent = _most(direction.told_sent, _minus(direction.counted, direction.denied_sending))
        passed = _most(
            direction.told, _minus(_minus(direction.counted, direction.denied_sending), direction.denied_receiving)
        )
        new_sent, new = _minus(sent, direction.told_sent), _minus(passed, direction.told)
        direction.told_sent, direction.told = sent, passed
        if new_sent[0] > 0:
            yield _part(
                flow,
                reply=index == 1,
                sent=new_sent,
                passed=new,
                flags=flags[index],
                start=max(flow.started, start),
                end=min(end, flow.stopped) if flow.stopped is not None else end,
            )


def _sent_in_vain(denied: _Denied) -> Iterator[Part]:
    """Packets of no known connection that passed the sender's filters and ended later: the sender's log has them."""
    if denied.known_flow or side(denied.first.denied) not in (Side.RECEIVER, Side.BEYOND):
        return
    flags = denied.flags if denied.first.protocol == headers.TCP else None
    yield _with(
        denied.first,
        denied="",
        sent_packets=denied.packets,
        sent_bytes=denied.size,
        packets=0,
        size=0,
        flags=flags,
        end=denied.end,
    )


def _tcp_flags(flow: _Flow) -> tuple[int | None, int | None]:
    """What the connection's states say of the flags in this interval; None where they leave it open.

    A reset, and an end of which only one half is in the interval, may be either side's.
    """
    before, now = flow.told_state, flow.state
    if now is None:
        return None, None
    if before == now:
        return 0, 0
    if now > _TIME_WAIT or _SYN_RECEIVED + 1 < now < _LAST_ACK or (before is not None and before > _SYN_RECEIVED + 1):
        return None, None
    ended = headers.FIN if now in (_LAST_ACK, _TIME_WAIT) else 0
    began = headers.SYN if before is None else 0
    answered = headers.SYN | headers.ACK if (before or 0) < _SYN_RECEIVED <= now else 0
    return began | ended, answered | ended


def _part(
    flow: _Flow,
    *,
    reply: bool,
    sent: tuple[int, int],
    passed: tuple[int, int],
    flags: int | None,
    start: float,
    end: float,
) -> Part:
    if reply:
        bare = _bare(turned(flow.key), flow.out_link, flow.in_link, True)
    else:
        bare = _bare(flow.key, flow.in_link, flow.out_link, False)
    return _with(
        bare,
        rules=flow.rules,
        sent_packets=sent[0],
        sent_bytes=sent[1],
        packets=passed[0],
        size=passed[1],
        flags=flags,
        start=start,
        end=end,
    )


def _bare(key: Key, in_link: str, out_link: str, reply: bool) -> Part:
    protocol, source, destination, source_port, destination_port = key
    return Part(
        protocol=protocol,
        source=source,
        destination=destination,
        source_port=0 if protocol in _PORTLESS else source_port,
        destination_port=0 if protocol in _PORTLESS else destination_port,
        in_link=in_link,
        out_link=out_link,
        reply=reply,
        denied="",
        rules=(),
        sent_packets=0,
        sent_bytes=0,
        packets=0,
        size=0,
        flags=None,
        start=0.0,
        end=0.0,
    )


def _key(packet: headers.Packet) -> Key:
    if packet.protocol in _PORTLESS:
        identifier = packet.identifier or 0
        return packet.protocol, packet.source, packet.destination, identifier, identifier
    return (
        packet.protocol,
        packet.source,
        packet.destination,
        packet.source_port or 0,
        packet.destination_port or 0,
    )


def _flags(flags: int) -> int:
    """As flow logs write them: an acknowledgement counts only together with SYN (VPC user guide, `tcp-flags`)."""
    shown = flags & _SHOWN_FLAGS
    return shown | headers.ACK if shown & headers.SYN and flags & headers.ACK else shown


def _with(part: Part, **fields: Any) -> Part:
    return msgspec.structs.replace(part, **fields)


def _plus(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


def _minus(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] - other[0], one[1] - other[1]


def _most(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return max(one[0], other[0]), max(one[1], other[1])
