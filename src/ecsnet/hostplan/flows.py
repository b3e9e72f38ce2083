"""What control and the flow reader say to each other: length-prefixed msgpack over the reader's stdin and stdout.

The reader runs inside the world while somebody wants to know about flows, and ends with its stdin.
"""

from __future__ import annotations

import msgspec


class FlowMessage(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    pass


class Watch(FlowMessage, frozen=True, kw_only=True, gc=False, tag=True):
    """Which routers to read from now on, and for what. Replaces the last one."""

    number: int
    routers: tuple[str, ...]
    """Namespaces that are kept in intervals (they need not exist yet)."""
    live: tuple[str, ...]
    """Namespaces whose flows are told at once."""
    interval: float
    """Seconds between two `Interval` messages."""


class Watching(FlowMessage, frozen=True, kw_only=True, gc=False, tag=True):
    """The order of this number is carried out: what is there is being read."""

    number: int


class Part(msgspec.Struct, frozen=True, kw_only=True, gc=False, array_like=True):
    """One direction of a flow: what was admitted, or what one filter denied."""

    protocol: int
    source: bytes
    """Packed: 4 or 16 bytes, as it is in the packets."""
    destination: bytes
    source_port: int
    """0 without ports, as for ICMP."""
    destination_port: int
    in_link: str
    """The router's link by which these packets come; "" when unknown."""
    out_link: str
    reply: bool
    """Whether these packets answer those that began the flow."""
    denied: str
    """Who dropped them (docs/decisions.md, without `D `); "" when they were admitted."""
    rules: tuple[str, ...]
    """The security group rules that admitted the flow, as far as they were logged."""
    sent_packets: int
    """Packets that passed the sender's filters (0 when they were denied)."""
    sent_bytes: int
    packets: int
    """Packets that passed all filters, or that were denied. A packet is what the kernel handles as one: several TCP
    segments may be."""
    size: int
    """Their bytes, headers from IP on included."""
    flags: int | None
    """TCP flags of all these packets together (FIN 1, SYN 2, RST 4, SYN-ACK 18); None when unknown."""
    start: float
    """Epoch seconds."""
    end: float


class Interval(FlowMessage, frozen=True, kw_only=True, gc=False, tag=True):
    """What one router saw between two moments."""

    router: str
    start: float
    end: float
    parts: tuple[Part, ...]
    missed: bool
    """Whether events were lost, so that flows may be missing."""


class Live(FlowMessage, frozen=True, kw_only=True, gc=False, tag=True):
    """What a router decided just now."""

    router: str
    parts: tuple[Part, ...]
    missed: bool = False


FromReader = Watching | Interval | Live
