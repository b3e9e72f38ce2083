"""Which probe a captured packet belongs to: the probe itself, translated or not, or an answer to it."""

from __future__ import annotations

from typing import NamedTuple

from ecsnet.agent.packet import ACK, ICMP, ICMPV6, RST, SYN, TCP, Packet, parse
from ecsnet.agent.prober.craft import NUMBERED, Signature
from ecsnet.hostplan.probes import ReplyKind

_ECHO_REPLIES = ((ICMP, 0), (ICMPV6, 129))


class Found(NamedTuple):
    """A packet of a probe."""

    number: int | None
    """None: a datagram without number, which may be an answer to a probe with these ports."""
    reply: ReplyKind | None
    """None: the probe itself, on its way."""
    packet: Packet


def recognise(data: bytes, signature: Signature) -> Found | None:
    """What `data`, from the IP header on, has to do with any probe of this process; None for foreign traffic."""
    packet = parse(data)
    if packet is None:
        return None
    if packet.quoted is not None:
        number = _original(data, packet.quoted, signature)
        return None if number is None else Found(number, "unreachable", packet)
    match packet.protocol:
        case 6:
            return _tcp(data, packet, signature)
        case 17:
            return Found(_numbered(data, packet, signature), "datagram", packet)
        case 1 | 58:
            number = _numbered(data, packet, signature)
            if number is None:
                return None
            return Found(number, "echo-reply" if (packet.protocol, packet.type) in _ECHO_REPLIES else None, packet)
        case _:
            return None


def _tcp(data: bytes, packet: Packet, signature: Signature) -> Found | None:
    flags = packet.flags & (SYN | ACK | RST)
    if flags == SYN and packet.sequence is not None:
        return Found(packet.sequence, None, packet)
    if flags & ACK and flags & (SYN | RST) and packet.acknowledgement is not None:
        return Found((packet.acknowledgement - 1) & 0xFFFFFFFF, "reset" if flags & RST else "syn-ack", packet)
    return None


def _original(data: bytes, quoted: Packet, signature: Signature) -> int | None:
    if quoted.protocol == TCP:
        return quoted.sequence
    return _numbered(data, quoted, signature)


def _numbered(data: bytes, packet: Packet, signature: Signature) -> int | None:
    if packet.payload is None or len(data) < packet.payload + NUMBERED.size:
        return None
    value, number = NUMBERED.unpack_from(data, packet.payload)
    return number if value == signature.value else None
