"""Packets sent to find out who decides, and what was seen of them. Asked of the agent under the topic `probe`.

A report holds evidence only: what packet sockets, log groups and the kernel's route look-up showed. Whoever reads it
draws the conclusion.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Protocol = Literal["tcp", "udp", "icmp"]
"""`icmp` means ICMPv6 when the destination is an IPv6 address."""

ReplyKind = Literal["syn-ack", "reset", "unreachable", "echo-reply", "datagram"]

Direction = Literal["forward", "reply"]
"""Of a packet: towards the probe's destination, or an answer on its way back."""


class Probe(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One packet: a SYN, a datagram or an ICMP message."""

    number: int
    """The caller's name for it; the report repeats it."""
    netns: str
    device: str
    """The link on which answers come back; "" for any link of the namespace."""
    source: str
    """The source address, whether the namespace has it or not."""
    destination: str
    protocol: Protocol
    port: int | None = None
    """Destination port; for `icmp` the type, None for an echo request."""
    code: int = 0
    """For `icmp`."""
    source_port: int | None = None
    """None: one of a client's, 32768 to 60999."""


class Tap(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where arriving probes are looked for."""

    netns: str
    device: str
    """"" for any link of the namespace."""


class ProbeBatch(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Probes that are sent together."""

    probes: tuple[Probe, ...]
    deciders: tuple[str, ...]
    """The namespaces whose log groups say who dropped or admitted a packet: routers and gateways."""
    arrivals: tuple[Tap, ...]
    deadline: float = 0.5
    """Seconds after the last packet until what nothing was seen of is given up."""
    grace: float = 0.03
    """Seconds without any news after which datagrams that arrived are not waited for: an ICMP error or an answer would
    have come on one machine, unless whoever answers did not get the processor."""


class RouteSeen(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which route of the namespace takes such a packet, by the kernel's own look-up."""

    kind: Literal["unicast", "blackhole", "unreachable", "prohibit", "local", "none"]
    table: int | None = None
    prefix: str | None = None
    device: str | None = None


class Decision(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one filter said about one of the probe's packets."""

    netns: str
    prefix: str
    """The words of docs/decisions.md: `D sg-in eni-…`, `A sgr-…`."""
    direction: Direction
    in_link: str
    out_link: str
    source: str
    """The packet's addresses at that point, which a translation may have changed."""
    destination: str
    route: RouteSeen | None = None
    """For `D route`."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What came back to the source."""

    kind: ReplyKind
    source: str
    type: int | None = None
    code: int | None = None
    """Of an ICMP error."""


class Report(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What was seen of one probe."""

    number: int
    source_port: int | None = None
    arrived: tuple[str, ...] = ()
    """The namespaces in which it arrived."""
    reply: Reply | None = None
    dropped: Decision | None = None
    accepted: tuple[Decision, ...] = ()
    """In the order of the packet's walk."""
    error: str | None = None
    """Why it could not be sent."""


class ProbeReports(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The answer to a batch, in its order."""

    reports: tuple[Report, ...]
    missed: int = 0
    """At least so many observations came faster than they were read; with any, "nothing was seen" proves nothing."""
    seconds: float = 0.0
    """From the first packet to the last observation."""
